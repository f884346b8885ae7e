"""Sandboxes: a test key acts on a copy of its business, with members of its own (decision 0025).

The copy is a row of `businesses` that `Business.objects` hides, its members are rows of `users` that
`Member.objects` hides. A test key is a key of the copy, so every rule of the programme applies to what
it does, and none of them knows of sandboxes.
"""

from datetime import datetime

from django.db import connection
from django.db.models import Max, QuerySet
from django.db.transaction import atomic

from loyalty.models import SANDBOX_PHONES, Business, Member, SandboxMember, StatusTier

# One for each tier, which their first purchases bring them to (promos.services.sandbox).
FIRST_NAMES = ("Анна", "Борис", "Вера", "Глеб")
OWN = {"id", "created_at", "updated_at", "code", "is_programme", "has_webhooks", "is_sandbox"}
TERMS = [field.attname for field in Business._meta.concrete_fields if field.attname not in OWN]


@atomic
def open_sandbox(business: Business, *, at: datetime) -> tuple[Business, bool]:
    """Return the copy of a real business, with its terms as they are now, and whether it is new.

    A new one has members, who have nothing yet. May be called again and at once.
    """
    with connection.cursor() as cursor:
        # Rare enough to let one wait for another: numbers of members are counted on.
        cursor.execute("LOCK TABLE sandbox_members IN SHARE ROW EXCLUSIVE MODE")
    if known := sandboxes_of(business).first():
        keep_alike(business)
        return known, False
    copy = Business(code=_code(business), is_sandbox=True, **_terms(business))
    copy.save(force_insert=True)
    tier, number = StatusTier.objects.get(level=1), _next_number()
    for place, name in enumerate(FIRST_NAMES, start=1):
        member = Member(
            phone=f"{SANDBOX_PHONES}{number:05}{place:02}",
            card_number=f"sandbox-{number:05}-{place}",
            first_name=name,
            status_tier=tier,
            password="!",  # noqa: S106  none
            is_sandbox=True,
        )
        member.save(force_insert=True)
        SandboxMember.objects.create(sandbox=copy, member=member, created_at=at)
    return copy, True


def sandboxes_of(business: Business) -> QuerySet[Business]:
    """Return the copy of the business, if it has one."""
    return Business.with_sandboxes.filter(code=_code(business), is_sandbox=True)


def keep_alike(business: Business) -> None:
    """Give the copy of a business, if there is one, the terms of the business."""
    sandboxes_of(business).update(**_terms(business), updated_at=business.updated_at)


def _code(business: Business) -> str:
    return f"test-{business.pk.hex[-12:]}"


def _terms(business: Business) -> dict[str, object]:
    return {name: getattr(business, name) for name in TERMS}


def _next_number() -> int:
    last = Member.with_sandboxes.filter(is_sandbox=True).aggregate(last=Max("phone"))["last"]
    return int(last[len(SANDBOX_PHONES) : -2]) + 1 if last else 1
