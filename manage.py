#!/usr/bin/env python
"""Django's command-line entry point."""

import os
import secrets
import sys
from contextlib import AbstractContextManager


def acting_as_command(arguments: list[str]) -> AbstractContextManager[None]:
    """Write in the name of the command; its run has an id of its own, e.g. expire_bonuses-4f1d2c3b."""
    from svoykrug.db.actor import Actor, ActorKind, acting_as

    name = arguments[1] if len(arguments) > 1 else "help"
    return acting_as(Actor(ActorKind.COMMAND, request_id=f"{name[:50]}-{secrets.token_hex(4)}"))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        # Read first: Django would run some commands on its defaults when ours cannot be read.
        settings.INSTALLED_APPS  # noqa: B018
        with acting_as_command(sys.argv):
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The settings are wrong: {error}")


if __name__ == "__main__":
    main()
