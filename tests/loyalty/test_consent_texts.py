"""Texts of consents: published once, never changed, readable by anybody for ever."""

from hashlib import sha256

import pytest
from django.urls import reverse

from loyalty.consent_texts import CURRENT, FOLDER, LANGUAGES, consent_text, versions
from loyalty.models import Consent
from tests.loyalty.pages import words

# A new version adds lines. A line that has to change means that a published text was edited: members
# agreed to the words as they were, so write the next version instead.
PUBLISHED = {
    "2026-11/advertising.en.html": "6ed46f0cb3e7f4c143738d9d49342e2e042ac382075684e77b830602639e8fa2",
    "2026-11/advertising.ru.html": "588900fb0aeb717e93fca7de0357b538459dd8e6a8b2061c6048ee412cf98708",
    "2026-11/handover.en.html": "cd486d11096e416c7cae0280f8478e217e53362cb4b1abffc45b3168e840b0c1",
    "2026-11/handover.ru.html": "2da52204beb2e6b6eccb5059ea21034fbf755d6046b6be7017b1d9d140c216df",
    "2026-11/processing.en.html": "14ff6f981685695809aef919115a538b09000a39d8ba850235f86352a7b9bfbe",
    "2026-11/processing.ru.html": "18cc0856ad90e9ce5fe35289cc171caf7299f486eaec873464ca4229c7f23fb8",
}


def test_a_published_text_never_changes():
    found = {
        str(path.relative_to(FOLDER)): sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.rglob("*.html")
    }
    assert found == PUBLISHED


def test_every_version_has_every_text():
    assert versions()[0] == CURRENT
    for version in versions():
        for purpose in Consent.Purpose.values:
            assert {consent_text(purpose, language, version).language for language in LANGUAGES} == {
                *LANGUAGES
            }


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_stranger_can_read_each_at_its_address(client, name):
    version, file = name.split("/")
    purpose, language, _ = file.split(".")

    page = client.get(reverse("consent-text", args=[version, purpose, language]))

    assert page.status_code == 200
    assert consent_text(purpose, language, version).html in page.content.decode()
    assert version in words(page)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["2020-01/processing/ru", "2026-11/rent/ru", "2026-11/processing/de", "../x/ru"]
)
def test_what_was_never_published_is_not_there(client, path):
    assert client.get(f"/consents/{path}/").status_code == 404
