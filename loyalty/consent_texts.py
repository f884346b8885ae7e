"""The texts of consents: files by version, purpose and language that never change once published.

A new wording is a new folder in `loyalty/consents/` and a new `CURRENT`; who agreed to an earlier
one still can read it.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from loyalty.models import Consent

CURRENT = "2026-11"
LANGUAGES = ("ru", "en")
FOLDER = Path(__file__).parent / "consents"


@dataclass(frozen=True, slots=True)
class ConsentText:
    """What a member reads before deciding. `digest` is SHA-256 of the file."""

    version: str
    purpose: str
    language: str
    html: str
    digest: str


@cache
def consent_text(purpose: str, language: str, version: str = CURRENT) -> ConsentText:
    """Return a text; an unknown language reads English. Raises KeyError if there is no such text."""
    language = language if language in LANGUAGES else "en"
    if purpose not in Consent.Purpose or version not in versions():
        raise KeyError(version, purpose)
    content = (FOLDER / version / f"{purpose}.{language}.html").read_bytes()
    return ConsentText(version, purpose, language, content.decode(), sha256(content).hexdigest())


@cache
def versions() -> list[str]:
    """Return every version ever published, newest first."""
    return sorted((folder.name for folder in FOLDER.iterdir() if folder.is_dir()), reverse=True)
