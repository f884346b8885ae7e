"""How a code reaches the phone. `settings.OTP_DELIVERY` names one function of this shape."""

import logging
from collections.abc import Callable
from enum import StrEnum

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from loyalty.errors import CodeNotDelivered

logger = logging.getLogger("svoykrug.codes")


class Purpose(StrEnum):
    """What a code is for. The text sent must say it: one is kept to oneself, one is told a cashier."""

    SIGN_IN = "sign_in"
    PRESENCE = "presence"


CONSOLE_WORDS = {Purpose.SIGN_IN: "Sign-in code", Purpose.PRESENCE: "Code to tell the cashier"}


def deliver_code(phone: str, code: str, purpose: Purpose = Purpose.SIGN_IN) -> None:
    """Send the code to the phone; raises CodeNotDelivered when that cannot be done."""
    deliver: Callable[[str, str, str], None] = import_string(settings.OTP_DELIVERY)
    deliver(phone, code, purpose)


def to_console(phone: str, code: str, purpose: Purpose) -> None:
    """Write the code where the developer looks. Refuses in production, where a log is no secret."""
    if settings.PRODUCTION:
        raise CodeNotDelivered(_("Codes cannot be sent now."))
    # A warning, because that is what an unconfigured logger still shows.
    logger.warning("%s for %s: %s", CONSOLE_WORDS[purpose], phone, code)
