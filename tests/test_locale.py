"""The Russian catalogue: complete, sound, and compiled from what lies beside it."""

import re
from pathlib import Path

import polib
import pytest
from django.apps import apps
from django.conf import settings
from django.utils.translation import override

CATALOGUE = Path(settings.BASE_DIR) / "locale/ru/LC_MESSAGES/django.po"
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sdX]|%\(\w+\)02X")


@pytest.fixture(scope="module")
def po() -> polib.POFile:
    return polib.pofile(CATALOGUE)


def test_every_message_is_translated_and_none_is_a_guess(po):
    assert [entry.msgid for entry in po if not entry.translated() or "fuzzy" in entry.flags] == []
    assert po.obsolete_entries() == []


def test_the_compiled_catalogue_says_the_same(po):
    mo = polib.mofile(CATALOGUE.with_suffix(".mo"))

    def said(catalogue):
        return {(entry.msgctxt, entry.msgid): entry.msgstr_plural or entry.msgstr for entry in catalogue}

    assert said(mo) == said(po)


def test_placeholders_survive_translation(po):
    def differing(entry):
        translations = entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]
        known = {*PLACEHOLDER.findall(entry.msgid), *PLACEHOLDER.findall(entry.msgid_plural)}
        return [text for text in translations if set(PLACEHOLDER.findall(text)) != known]

    assert [entry.msgid for entry in po if differing(entry)] == []


def test_models_are_named_in_russian_too(po):
    """A message added to a model without a run of makemessages would show up here in English."""
    ours = [apps.get_app_config(label) for label in ("loyalty", "promos", "events", "analytics")]
    with override("ru"):
        names = {
            str(model._meta.verbose_name)
            for app in ours
            for model in app.get_models()
            # A lazy name is one that somebody meant for people.
            if not isinstance(model._meta.verbose_name, str)
        }
    assert [name for name in sorted(names) if not re.search("[а-яё]|RFM", name)] == []
