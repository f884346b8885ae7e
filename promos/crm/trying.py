"""A sample message read and shown as it would be recorded; nothing is stored."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from loyalty.models import CrmIntegration
from loyalty.templatetags.money import rub
from svoykrug.history import moment

from .mapping import read_mapping
from .reading import Event, Fault, Skipped, parse, read_events
from .requests import Settled, requests_of


@dataclass(frozen=True, slots=True)
class Tried:
    """One event in words: `ok` says whether it would be recorded, `trouble` why not."""

    title: str
    facts: list[tuple[str, str]]
    ok: bool
    skipped: bool
    trouble: str


def try_message(body: str, integration: CrmIntegration) -> list[Tried]:
    """Return what the message would bring. Raises MappingRefused or Unreadable."""
    mapping = read_mapping(integration.mapping, zone=ZoneInfo(settings.TIME_ZONE))
    events = read_events(parse(body.encode("utf-8", "replace")), mapping)
    wanted = requests_of(events, integration.business)
    return [_tried(event, each) for event, each in zip(events, wanted, strict=True)]


def _tried(event: Event, wanted: Any) -> Tried:
    settled = wanted if isinstance(wanted, Settled) else None
    skipped = settled is not None and settled.status != "rejected"
    trouble = settled.detail if settled else ""
    if isinstance(event, Fault | Skipped):
        return Tried(event.external_id or _("Event"), [], False, skipped, trouble)
    facts = [
        (_("receipt"), event.external_id),
        (_("of the receipt"), event.refund_of or ""),
        (_("customer"), event.phone or event.card or ""),
        (_("amount"), "" if event.amount is None else str(rub(event.amount))),
        (_("when"), moment(event.purchased_at)),
        (_("category"), event.category),
    ]
    titles = {"purchase": _("purchase"), "refund": _("refund"), "cancel": _("cancellation")}
    return Tried(
        capfirst(titles[event.kind]), [fact for fact in facts if fact[1]], settled is None, skipped, trouble
    )
