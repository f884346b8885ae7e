"""The last coupon of a limit, one delayed coupon at two workers; each with a twin that goes wrong."""

from decimal import Decimal as D

import pytest
from django.db import IntegrityError

from promos.errors import ChainNotReady
from promos.models import ChainAssignment, Coupon
from promos.services import chain_state, chains, delayed
from promos.services.checkout import record_purchase
from tests.factories import NOON, BusinessFactory, ChainFactory, StaffFactory, agreeing
from tests.promos.requests import days, purchase

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
TRIGGERS = 50
AT_ONCE = 10


def trigger_all(at_once, business):
    bills = [purchase(agreeing(), business, f"{n}") for n in range(TRIGGERS)]
    return [
        result
        for start in range(0, TRIGGERS, AT_ONCE)
        for result in at_once(
            *[lambda b=bill: record_purchase(b, at=NOON) for bill in bills[start : start + AT_ONCE]]
        )
    ]


@pytest.mark.parametrize("limit", ["total_limit", "daily_limit"])
def test_fifty_triggers_of_the_last_coupon_bring_one(at_once, limit):
    chain = ChainFactory(**{limit: 1})

    results = trigger_all(at_once, chain.source_business)

    assert [result for result in results if isinstance(result, Exception)] == []
    assert Coupon.objects.count() == 1
    assert ChainAssignment.objects.filter(arm="skipped", reason=limit).count() == TRIGGERS - 1


def test_without_the_lock_the_last_coupon_is_promised_more_than_once(at_once, monkeypatch):
    monkeypatch.setattr(chain_state, "LOCK", chain_state.LOCK.replace("FOR NO KEY UPDATE", ""))
    given, refused = [], 0
    for _round in range(5):  # Threads need not meet the first time.
        daily, total = ChainFactory(daily_limit=1), ChainFactory(total_limit=1)
        trigger_all(at_once, daily.source_business)
        results = trigger_all(at_once, total.source_business)
        given.append(Coupon.objects.filter(chain=daily).count())
        # The table itself refuses to count past the total.
        refused += len([result for result in results if isinstance(result, IntegrityError)])
        if max(given) > 1 and refused:
            break

    assert max(given) > 1
    assert refused > 0


def wait_for_coupons(count):
    business = BusinessFactory()
    ChainFactory(source_business=business, delay_hours=1)
    for number in range(count):
        record_purchase(purchase(agreeing(), business, f"{number}"), at=NOON)


def work(at_once):
    return at_once(*[lambda: delayed.issue_delayed_coupons(at=NOON + days(1))] * 4)


def test_one_delayed_coupon_at_four_workers_is_issued_once(at_once):
    wait_for_coupons(20)

    issued = work(at_once)

    assert sum(issued) == Coupon.objects.count() == 20


def test_without_the_lock_a_delayed_coupon_is_issued_twice(at_once, monkeypatch):
    monkeypatch.setattr(delayed, "DUE", delayed.DUE.replace("FOR UPDATE OF a SKIP LOCKED", ""))
    counts = []
    for _round in range(5):  # Threads need not meet the first time.
        Coupon.objects.all().delete()
        ChainAssignment.objects.all().delete()
        wait_for_coupons(20)
        work(at_once)
        counts.append(Coupon.objects.count())
        if counts[-1] > 20:
            break

    assert max(counts) > 20


def test_one_proposal_is_answered_once(at_once):
    source, target = StaffFactory(), StaffFactory()
    chain = ChainFactory(
        source_business=source.business, target_business=target.business, status="draft",
        accepted_by=None, accepted_at=None, holdout_percent=D(0),
    )  # fmt: skip
    chains.propose(chain.pk, by=source.member, at=NOON)

    results = at_once(
        lambda: chains.accept(chain.pk, by=target.member, at=NOON),
        lambda: chains.decline(chain.pk, reason="нет", by=target.member, at=NOON),
    )

    # An accepted chain has nothing that waits; a declined one is a draft again.
    assert [type(result) for result in results].count(ChainNotReady) == 1
    chain.refresh_from_db()
    version = chain.versions.get()
    assert (chain.status, version.decision) in [("active", "accepted"), ("draft", "declined")]
