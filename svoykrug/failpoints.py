"""Named points of the code at which a test kills the process, as a power cut would."""

import os
import signal

from django.conf import settings


def failpoint(name: str) -> None:
    """Kill this process, with no chance to tidy up, if FAILPOINTS names this point; else do nothing."""
    if name in settings.FAILPOINTS:
        os.kill(os.getpid(), signal.SIGKILL)
