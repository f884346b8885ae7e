"""Requests recorded one by one and in one batch come to the same: one set of rules, one result."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from types import SimpleNamespace
from uuid import UUID

import hypothesis.strategies as st
import pytest
from django.db import connection
from django.db.transaction import atomic, set_rollback
from hypothesis import HealthCheck, given, seed, settings

from promos.services import checkout
from promos.services.checkout import record_many, record_purchase
from promos.services.purchases import LineRefund, PurchaseRequest, RefundRequest, Status
from promos.services.quotes import make_quote
from tests.factories import NOON, BusinessFactory, ChainFactory, CouponFactory, agreeing, invite
from tests.promos.requests import purchase
from tests.prove import at_length

from .stored import check_foreign_keys

SEED = 2
NOW = NOON + timedelta(days=400)
NOBODY = UUID(int=1)
money = st.one_of(st.integers(1, 2_000), st.integers(40_000, 5_000_000)).map(lambda kopecks: D(kopecks) / 100)

STATE = """
SELECT jsonb_build_object(
    'transactions', (SELECT jsonb_agg(to_jsonb(t) ORDER BY t.external_id) FROM (
        SELECT t.external_id, t.user_id, t.business_id, t.coupon_id, t.kind, p.external_id AS refund_of,
            t.amount, t.coupon_discount, t.bonus_redeemed, t.bonus_accrued, t.amount_paid, t.category,
            t.lines, t.request_hash, t.created_at, t.explanation - 'rules' AS explanation
        FROM transactions t LEFT JOIN transactions p ON p.id = t.refund_of
    ) t),
    'lots', (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.user_id, l.external_id, l.kind) FROM (
        SELECT l.user_id, l.issuer_id, t.external_id, l.kind, l.accrued, l.remaining, l.available_from,
            l.expires_at
        FROM bonus_lots l JOIN transactions t ON t.id = l.transaction_id
    ) l),
    'entries', (SELECT jsonb_agg(to_jsonb(e) ORDER BY e.user_id, e.position) FROM (
        SELECT e.user_id, e.position, e.kind, e.amount, e.total_after, e.debt_after, e.honoured_by,
            e.created_at, t.external_id, o.external_id AS lot, l.kind AS lot_kind
        FROM bonus_entries e JOIN bonus_lots l ON l.id = e.lot_id
        JOIN transactions o ON o.id = l.transaction_id LEFT JOIN transactions t ON t.id = e.transaction_id
    ) e),
    'balances', (SELECT jsonb_agg(to_jsonb(b) ORDER BY b.user_id) FROM (
        SELECT user_id, balance, pending, debt, entries, expires_at FROM bonuses
    ) b),
    'tiers', (SELECT jsonb_agg(to_jsonb(u) ORDER BY u.id) FROM (
        SELECT id, status_tier, tier_valid_until FROM users
    ) u),
    'tier_changes', (SELECT jsonb_agg(to_jsonb(c) ORDER BY c.user_id, c.from_level) FROM (
        SELECT c.user_id, c.from_level, c.to_level, c.turnover_rub, c.created_at, t.external_id
        FROM tier_changes c LEFT JOIN transactions t ON t.id = c.transaction_id
    ) c),
    'coupons', (SELECT jsonb_agg(to_jsonb(c) ORDER BY c.user_id, c.external_id, c.valid_until, c.own) FROM (
        SELECT c.user_id, c.status, c.valid_until, c.benefit, t.external_id,
            CASE WHEN t.id IS NULL THEN c.code END AS own
        FROM coupons c LEFT JOIN transactions t ON t.id = c.issued_for
    ) c),
    'chains', (SELECT jsonb_agg(issued_count ORDER BY id) FROM cross_promo_chains),
    'invitations', (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.newcomer_id) FROM (
        SELECT r.newcomer_id, r.status, r.reason, r.settled_at, t.external_id
        FROM referrals r LEFT JOIN transactions t ON t.id = r.transaction_id
    ) r),
    'quotes', (SELECT jsonb_agg(t.external_id ORDER BY q.id) FROM quotes q
        LEFT JOIN transactions t ON t.id = q.transaction_id),
    'holds', (SELECT jsonb_agg(released_at ORDER BY id) FROM bonus_holds),
    'parked', (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.external_id) FROM (
        SELECT user_id, external_id, refund_of, amount, purchased_at, request_hash FROM parked_refunds
    ) p)
)::text
"""


@pytest.fixture
def scene(settings):
    """Three members with bonuses, one of them invited by another, coupons, a quote and a chain."""
    settings.REFERRAL_MONTHLY_LIMIT = 1
    shop = BusinessFactory(requires_presence_code=False, no_earn_categories=["tobacco"])
    slow = BusinessFactory(requires_presence_code=False, pending_days=3)
    ChainFactory(source_business=shop, target_business=slow, total_limit=2)
    members = [agreeing() for _ in range(3)]
    invite(members[0], members[1])
    invite(members[0], members[2])
    for number, member in enumerate(members):
        early = purchase(member, shop, f"early{number}", "400.00", purchased_at=NOON)
        record_purchase(early, at=NOON)
        late = purchase(member, shop, f"late{number}", "490.00", purchased_at=NOW - timedelta(days=9))
        record_purchase(late, at=NOW)
    coupons = [
        CouponFactory(member=member, business=shop, valid_from=NOON, valid_until=NOW + timedelta(days=1))
        for member in members
    ]
    held = PurchaseRequest(shop, None, members[0].pk, D("100.00"), redeem=D("10.00"))
    quote = make_quote(held, hold=True, at=NOW).quote
    return SimpleNamespace(businesses=[shop, slow], members=members, coupons=coupons, quote=quote, held=held)


def draw_requests(data, scene):
    requests, receipts = [], ["early0", "late1", "never"]
    for number in range(data.draw(st.integers(2, 14))):
        kind = data.draw(
            st.sampled_from(["buy"] * 4 + ["refund"] * 3 + ["lines", "early", "repeat", "quote"])
        )
        if kind == "repeat" and requests:
            again = data.draw(st.sampled_from(requests))
            change = data.draw(st.sampled_from([{}, {}, {"category": "other"}]))
            requests.append(replace(again, **change))
        elif kind == "quote":
            requests.append(
                replace(scene.held, external_id=f"Q{number}", quote_id=scene.quote.pk, purchased_at=NOW)
            )
        elif kind in ("refund", "lines", "repeat"):
            requests.append(draw_refund(data, scene, f"R{number}", receipts, by_lines=kind == "lines"))
        else:
            bought = draw_purchase(data, scene, f"P{number}")
            receipts.append(bought.external_id)
            if kind == "early":
                part = max((bought.amount / 3).quantize(D("0.01")), D("0.01"))
                requests.append(
                    RefundRequest(
                        bought.business, f"E{number}", bought.external_id, part, bought.member_id,
                        bought.purchased_at,
                    )
                )  # fmt: skip
            requests.append(bought)
    return requests


def draw_purchase(data, scene, external_id):
    member = data.draw(st.sampled_from([*scene.members, *scene.members, None]))
    shop = data.draw(st.sampled_from(scene.businesses))
    lines = data.draw(st.lists(st.tuples(money, st.sampled_from(["", "tobacco"])), max_size=3))
    coupon = scene.coupons[scene.members.index(member)] if member and data.draw(st.booleans()) else None
    days = data.draw(st.sampled_from([0, 0, 0, 5, 30, 380]))
    return PurchaseRequest(
        business=shop,
        external_id=external_id,
        member_id=member.pk if member else NOBODY,
        amount=sum((sum_ for sum_, _ in lines), D("0.00")) or data.draw(money),
        purchased_at=NOW - timedelta(days=days) + timedelta(minutes=data.draw(st.integers(-9, 9))),
        category=data.draw(st.sampled_from(["", "tobacco"])),
        lines=[{"amount": f"{sum_:.2f}", "category": category} for sum_, category in lines] or None,
        coupon_code=coupon.code if coupon else None,
        redeem=data.draw(st.sampled_from([D("0.00"), D("0.00"), D("5.00"), D("14.70"), D("400.00")])),
    )


def draw_refund(data, scene, external_id, receipts, *, by_lines):
    shop, receipt = scene.businesses[0], data.draw(st.sampled_from(receipts))
    at = NOW + timedelta(minutes=data.draw(st.integers(10, 60)))
    if by_lines:
        numbers = data.draw(st.sets(st.integers(1, 3), min_size=1))
        sums = st.one_of(st.none(), money)
        lines = tuple(LineRefund(number, data.draw(sums)) for number in sorted(numbers))
        return RefundRequest(shop, external_id, receipt, lines=lines, purchased_at=at)
    member = data.draw(st.sampled_from([None, *scene.members]))
    amount = data.draw(st.one_of(money, st.sampled_from([D("400.00"), D("490.00"), D("100.00")])))
    return RefundRequest(shop, external_id, receipt, amount, member.pk if member else None, at)


def state():
    with connection.cursor() as cursor:
        cursor.execute(STATE)
        return cursor.fetchone()[0]


def play(requests, at_once):
    """Record the requests so many at a time in a world that is undone; return outcomes and state."""
    with atomic():
        outcomes = [
            outcome
            for start in range(0, len(requests), at_once)
            for outcome in record_many(requests[start : start + at_once], at=NOW)
        ]
        check_foreign_keys()
        found = state()
        set_rollback(True)
    return [told(outcome) for outcome in outcomes], found


def told(outcome):
    """Return what came of a request. One that waited for its purchase ends alike in both ways."""
    status = Status.CREATED if outcome.status is Status.PARKED else outcome.status
    return status, outcome.error and (outcome.error.code, outcome.error.detail, outcome.error.details)


@pytest.mark.django_db
def test_one_by_one_and_in_a_batch_come_to_the_same(scene, proved, monkeypatch):
    # A batch of two already sends its rows while the rest is decided.
    monkeypatch.setattr(checkout, "FIRST_AHEAD_ROWS", 2)
    monkeypatch.setattr(checkout, "AHEAD_ROWS", 2)
    statuses = []

    @seed(SEED)
    @given(data=st.data())
    @settings(
        max_examples=at_length(briefly=25, full=1_000),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    def same(data):
        requests = draw_requests(data, scene)
        single, batch = play(requests, 1), play(requests, len(requests))
        statuses.extend(status for status, _ in batch[0])
        assert batch[0] == single[0]
        assert batch[1] == single[1]

    same()
    counts = ", ".join(f"{status} {statuses.count(status)}" for status in sorted(set(statuses)))
    proved(f"seed {SEED}: {len(statuses)} requests, {counts}")
