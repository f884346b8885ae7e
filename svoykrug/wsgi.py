"""WSGI entry point of the web process."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")
application = get_wsgi_application()
# What is loaded by now stays to the end: without it in the collector's way a purchase costs a sixth less.
gc.freeze()
# Requests leave few cycles behind; looking for them every 700 objects costs a twentieth of a purchase.
gc.set_threshold(20_000, 20, 20)
