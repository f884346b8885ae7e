"""Staff sign in by phone, password and the code of their authenticator.

Rule: specification api.md, "Who calls". Tries are counted in Redis, so a request that is rolled back
still counts.
"""

from datetime import datetime

import redis
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.utils.translation import gettext as _

from loyalty.errors import CodeRefused, CodesUnavailable, InvalidPhone
from loyalty.models import Member
from loyalty.phones import normalise_phone
from loyalty.services.limits import HOUR, MINUTE, Limit, count
from loyalty.services.second_factor import let_in


def verify_staff(phone: str, password: str, code: str, *, ip: str, at: datetime) -> Member:
    """Return the person of staff whose phone, password and second factor these are.

    code  of the authenticator, or a recovery code; either is good once

    Whichever of the three is wrong, the refusal reads alike.
    Raises InvalidPhone, CodeRefused, TooManyRequests or CodesUnavailable.
    """
    phone = normalise_phone(phone)
    count_password_try(phone, ip=ip, at=at)
    refused = CodeRefused(_("The phone, the password or the code is not right."), field="code")
    staff = Member.objects.filter(phone=phone, is_staff=True, is_active=True, anonymised_at=None).first()
    if staff is None:
        make_password(password)  # As long as for somebody who is there.
        raise refused
    if not staff.check_password(password):
        raise refused
    if staff.second_factor_at is None:
        raise CodeRefused(_("Sign in to the admin first and set up the second step there."), field="code")
    try:
        let_in(staff, code, at=at)
    except CodeRefused as error:
        raise refused from error
    return staff


def count_password_try(phone: str, *, ip: str, at: datetime) -> None:
    """Count a try of a password, for the admin and the API alike.

    A phone in whatever spelling counts as one. Raises TooManyRequests or CodesUnavailable.
    """
    try:
        phone = normalise_phone(phone)
    except InvalidPhone:
        phone = ""
    limits = [
        Limit("password:phone", phone, settings.PASSWORD_TRIES_PER_PHONE, 15 * MINUTE),
        Limit("password:address", ip, settings.PASSWORD_TRIES_PER_ADDRESS, HOUR),
    ]
    try:
        count(limits, at)
    except redis.RedisError as error:
        raise CodesUnavailable(_("Sign-in does not work for the moment.")) from error
