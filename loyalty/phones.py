"""Phones as people type them, turned into E.164."""

import phonenumbers
from django.utils.translation import gettext as _

from loyalty.errors import InvalidPhone

DEFAULT_REGION = "RU"
# The longest sensible input; anything beyond is refused before it is parsed.
LONGEST_INPUT = 40


def normalise_phone(text: str) -> str:
    """Return the phone in E.164, such as +79161234217; numbers without a country code are Russian.

    Raises InvalidPhone for what no network could dial.
    """
    if len(text) > LONGEST_INPUT:
        raise InvalidPhone(_("This is not a phone number."), field="phone")
    try:
        number = phonenumbers.parse(text, DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        raise InvalidPhone(_("This is not a phone number."), field="phone") from None
    if number.extension or not phonenumbers.is_possible_number(number):
        raise InvalidPhone(_("This is not a phone number."), field="phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
