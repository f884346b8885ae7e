"""Phones as people type them, turned into E.164."""

import re

import phonenumbers
from django.utils.translation import gettext as _

from loyalty.errors import InvalidPhone
from loyalty.models import SANDBOX_PHONES

DEFAULT_REGION = "RU"
# The parser alone would also find a number among letters.
AS_TYPED = re.compile(r"[0-9+()\-.\s]{5,40}")


def normalise_phone(text: str, *, sandbox: bool = False) -> str:
    """Return the phone in E.164, such as +79161234217; numbers without a country code are Russian.

    sandbox  whether a number of a sandbox's member is one; nobody can sign in by it

    Raises InvalidPhone for what no network could dial.
    """
    if not AS_TYPED.fullmatch(text):
        raise InvalidPhone(_("This is not a phone number."), field="phone")
    try:
        number = phonenumbers.parse(text, DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        raise InvalidPhone(_("This is not a phone number."), field="phone") from None
    if not phonenumbers.is_possible_number(number):
        raise InvalidPhone(_("This is not a phone number."), field="phone")
    phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if phone.startswith(SANDBOX_PHONES) and not sandbox:
        raise InvalidPhone(_("This is not a phone number."), field="phone")
    return phone


def readable_phone(phone: str) -> str:
    """Return an E.164 phone the way people read it: +7 916 123-42-17."""
    number = phonenumbers.parse(phone)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
