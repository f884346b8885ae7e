"""How a sign-in code reaches the phone. `settings.OTP_DELIVERY` names one function of this shape."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from loyalty.errors import CodeNotDelivered

logger = logging.getLogger("svoykrug.codes")


def deliver_code(phone: str, code: str) -> None:
    """Send the code to the phone; raises CodeNotDelivered when that cannot be done."""
    deliver: Callable[[str, str], None] = import_string(settings.OTP_DELIVERY)
    deliver(phone, code)


def to_console(phone: str, code: str) -> None:
    """Write the code where the developer looks. Refuses in production, where a log is no secret."""
    if settings.PRODUCTION:
        raise CodeNotDelivered(_("Codes cannot be sent now."))
    # A warning, because that is what an unconfigured logger still shows.
    logger.warning("Sign-in code for %s: %s", phone, code)
