"""Everything that moves bonuses at once, in every order of members, and nothing waits in a circle."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal as D
from random import Random
from time import monotonic

import pytest
from django.db import OperationalError, connection

from loyalty import locks
from loyalty.models import Member
from loyalty.services.expiry import expire_bonuses
from loyalty.services.tiers import raise_tiers, review_tiers
from promos.services.checkout import record_many
from promos.services.purchases import PurchaseRequest, RefundRequest
from promos.services.quotes import make_quote
from svoykrug.db.models import uuid7
from svoykrug.errors import DomainError
from tests.factories import NOON, BusinessFactory, ChainFactory, CouponFactory, agreeing, invite
from tests.model.stored import balances
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
SEED, WORKERS = 4, 6


def deadlocks():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


class Till:
    """One worker: picks what to do, and whose bonuses to move in which order, by its own dice."""

    def __init__(self, number, coupons, shops, until):
        self.dice, self.coupons, self.shops, self.until = Random(f"{SEED}-{number}"), coupons, shops, until
        self.members, self.receipts, self.done = list(coupons), [], Counter()

    def work(self):
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '60s'")
        deeds = [self.sell] * 4 + [self.sell_many] * 3 + [self.refund] * 3 + [self.quote, self.night]
        while monotonic() < self.until:
            deed = self.dice.choice(deeds)
            try:
                deed()
            except DomainError as refusal:
                self.done[refusal.code] += 1
            self.done[deed.__name__] += 1
        return self.done

    def purchase(self, member):
        shop = self.dice.choice(self.shops)
        self.receipts.append((shop, str(uuid7())))
        return PurchaseRequest(
            business=shop,
            external_id=self.receipts[-1][1],
            member_id=member,
            amount=D(self.dice.choice([90, 600, 40_000])),
            coupon_code=self.coupons[member] if shop == self.shops[0] and self.dice.random() < 0.1 else None,
            redeem=D(self.dice.choice([0, 0, 1, 15])),
        )

    def record(self, requests):
        for outcome in record_many(requests, at=NOON):
            self.done[outcome.error.code if outcome.error else str(outcome.status)] += 1

    def sell(self):
        self.record([self.purchase(self.dice.choice(self.members))])

    def sell_many(self):
        self.record([self.purchase(member) for member in self.dice.sample(self.members, 8)])

    def refund(self):
        if self.receipts:
            shop, receipt = self.dice.choice(self.receipts)
            amount = D(self.dice.choice([30, 90, 600]))
            self.record([RefundRequest(shop, str(uuid7()), receipt, amount, self.dice.choice(self.members))])

    def quote(self):
        make_quote(self.purchase(self.dice.choice(self.members)), hold=True, at=NOON)

    def night(self):
        """The jobs take whom they find in an order of their own."""
        self.dice.choice([expire_bonuses, raise_tiers, review_tiers])(at=NOON + timedelta(days=700))


def tills(seconds):
    """Members who invite one another crosswise, shops of two kinds, and a chain with a limit."""
    members = [agreeing() for _ in range(24)]
    for inviter, newcomer in zip(members[:6], members[6:12], strict=True):
        invite(inviter, newcomer)
    for inviter, newcomer in zip(members[18:], members[12:18], strict=True):
        invite(inviter, newcomer)
    shops = [BusinessFactory(requires_presence_code=False), BusinessFactory(requires_presence_code=False)]
    ChainFactory(source_business=shops[0], target_business=shops[1], total_limit=1000)
    coupons = {member.pk: CouponFactory(member=member, business=shops[0]).code for member in members}
    until = monotonic() + seconds
    return [Till(number, coupons, shops, until) for number in range(WORKERS)]


def test_mixed_load_meets_no_deadlock(at_once, proved):
    seconds, before = at_length(briefly=10, full=300), deadlocks()

    results = at_once(*[till.work for till in tills(seconds)])

    assert [result for result in results if not isinstance(result, Counter)] == []
    assert deadlocks() == before
    balances(list(Member.objects.values_list("pk", flat=True)))
    done = sum(results, Counter())
    assert done["created"] > 0
    proved(f"seed {SEED}, {seconds} s: " + ", ".join(f"{name} {done[name]}" for name in sorted(done)))


def test_in_any_order_locks_meet_in_a_circle(at_once, monkeypatch):
    monkeypatch.setattr(locks, "LOCK_MEMBERS", locks.LOCK_MEMBERS.replace("ORDER BY id", "ORDER BY random()"))
    before = deadlocks()

    results = at_once(*[till.work for till in tills(at_length(briefly=6, full=30))])

    assert [result for result in results if isinstance(result, OperationalError)]
    assert deadlocks() > before
