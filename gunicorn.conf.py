"""What gunicorn reads by itself from the folder it is started in; addresses and numbers are its arguments."""

import gc
import os
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")

from django.conf import settings

from svoykrug.metrics import folder

folder.open_folder(Path(settings.METRICS_FOLDER))

if settings.PRODUCTION:
    logconfig_dict = {
        "formatters": {"generic": {"()": "svoykrug.log.JsonFormatter"}},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["console"], "propagate": False},
        },
    }


def pre_fork(server, worker):
    # The code lives as long as the worker: Python's collector need not look through it again and again.
    gc.freeze()


def post_fork(server, worker):
    folder.reserve(worker.pid)


def child_exit(server, worker):
    folder.bury(worker.pid)


def on_exit(server):
    folder.remove_folder()
