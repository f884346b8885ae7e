"""The review measures a member only after the purchase under way at the till is stored."""

from threading import Event, Thread
from time import monotonic

import pytest
from django.db import connection, connections
from django.db.transaction import atomic

from loyalty.locks import lock_members
from loyalty.models import Member, StatusTier, TierChange
from loyalty.services import tiers
from loyalty.services.tiers import Review, review_tiers
from tests.factories import BusinessFactory
from tests.loyalty.test_tiers import HELD_ON, REVIEW, RUN_OUT
from tests.loyalty.tier_rows import member_of, paid

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
PATIENCE_SECONDS = 10


def wait_for_a_lock() -> None:
    """Return once some connection of this database waits for another's lock."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    until = monotonic() + PATIENCE_SECONDS
    with connection.cursor() as cursor:
        while monotonic() < until:
            # A transaction sees the activity of its first look otherwise.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(query)
            if cursor.fetchone():
                return
    raise AssertionError("Nobody waits.")


def review_while(under_way) -> Review:
    """Begin `under_way` under the members' locks, start the review, and commit once it waits."""
    started, results = Event(), []

    def purchase() -> None:
        try:
            with atomic():
                under_way()
                started.set()
                wait_for_a_lock()
        finally:
            connections.close_all()

    def review() -> None:
        try:
            started.wait(PATIENCE_SECONDS)
            results.append(review_tiers(at=REVIEW))
        finally:
            connections.close_all()

    threads = [Thread(target=purchase), Thread(target=review)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results[0]


def purchase_that_keeps_the_tier(member, business):
    def under_way():
        lock_members([member.pk])
        paid(member, business, "30000.00", at=REVIEW)

    return under_way


def test_a_purchase_under_way_keeps_the_tier():
    member, business = member_of(2, until=RUN_OUT), BusinessFactory()

    assert review_while(purchase_that_keeps_the_tier(member, business)) == Review(kept=1)

    member.refresh_from_db()
    assert (member.status_tier.level, member.tier_valid_until) == (2, HELD_ON)


def test_without_the_lock_the_purchase_under_way_is_overlooked(monkeypatch):
    monkeypatch.setattr(tiers, "lock_members", lambda member_ids: dict.fromkeys(member_ids))
    member, business = member_of(2, until=RUN_OUT), BusinessFactory()

    assert review_while(purchase_that_keeps_the_tier(member, business)) == Review(lowered=1)


def test_a_rise_under_way_is_not_reviewed():
    member, friend = member_of(2, until=RUN_OUT), StatusTier.objects.get(level=3)

    def rise():
        lock_members([member.pk])
        Member.objects.filter(pk=member.pk).update(status_tier=friend, tier_valid_until=HELD_ON)

    assert review_while(rise) == Review()

    member.refresh_from_db()
    assert (member.status_tier, member.tier_valid_until) == (friend, HELD_ON)
    assert not TierChange.objects.exists()


def test_two_reviews_at_once_lower_by_one_level(at_once):
    members = [member_of(4, until=RUN_OUT) for _ in range(20)]

    results = at_once(*[lambda: review_tiers(at=REVIEW)] * 4)

    assert sum(results, Review()) == Review(lowered=20)
    levels = Member.objects.filter(pk__in=[member.pk for member in members]).values_list("status_tier__level")
    assert set(levels) == {(3,)}
    assert TierChange.objects.count() == 20
