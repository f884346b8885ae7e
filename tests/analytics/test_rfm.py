"""RFM against a plain second computation of the rule, on seeded random receipts."""

import random
from collections import defaultdict
from datetime import datetime, time, timedelta
from decimal import Decimal
from math import ceil
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from analytics.clickhouse.client import Connection
from analytics.models import RfmRun, SyncWindow
from analytics.selectors import RfmMap, RfmPage, RfmRow, member_segment, rfm_map, rfm_rows
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import sync_facts
from loyalty.models import Business, Member, StatusTier, Transaction
from promos.models import MemberSegment
from promos.segments import Segment
from tests.analytics.rows import purchase, refund
from tests.factories import BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

# Not a fixed date: ClickHouse drops facts of more than 24 months ago.
DAY = timezone.localdate() - timedelta(days=3)
MEMBERS, RECEIPTS = 60, 700
ZONE = timezone.get_default_timezone()
SEGMENTS = {  # rules.md, RFM
    "champions": ({5}, {4, 5}), "loyal": ({3, 4}, {4, 5}), "potential_loyalist": ({4, 5}, {2, 3}),
    "new": ({5}, {1}), "promising": ({4}, {1}), "need_attention": ({3}, {3}),
    "about_to_sleep": ({3}, {1, 2}), "at_risk": ({1, 2}, {3, 4}), "cant_lose": ({1, 2}, {5}),
    "hibernating": ({1, 2}, {1, 2}),
}  # fmt: skip


def midnight(days_ago: int) -> datetime:
    return datetime.combine(DAY - timedelta(days=days_ago), time.min, ZONE)


def random_receipts(seed: int) -> None:
    """Purchases over 14 months, few members buying much; a third refunded, partly or wholly, soon or late."""
    dice = random.Random(seed)
    tier = StatusTier.objects.get(level=1)
    members = Member.objects.bulk_create(
        Member(card_number=f"c{n}", referral_code=f"R{n}", status_tier=tier) for n in range(MEMBERS)
    )
    businesses = [BusinessFactory() for _ in range(3)]
    purchases, refunds = [], []
    for _ in range(RECEIPTS):
        at = midnight(0) + timedelta(hours=12) - timedelta(minutes=dice.randrange(430 * 24 * 60))
        bought = Transaction(
            member=members[int(MEMBERS * dice.random() ** 2)], business=dice.choice(businesses),
            amount=Decimal(dice.randrange(1, 500_000)) / 100, created_at=at, source="import",
        )  # fmt: skip
        purchases.append(bought)
        left = bought.amount
        while left and dice.random() < 0.3:
            part = left if dice.random() < 0.5 else Decimal(dice.randrange(1, int(left * 100) + 1)) / 100
            left -= part
            refunds.append(
                Transaction(
                    member=bought.member, business=bought.business, kind="refund", refund_of=bought,
                    amount=-part, created_at=at + timedelta(hours=dice.randrange(900)), source="import",
                )
            )  # fmt: skip
    Transaction.objects.bulk_create(purchases)
    Transaction.objects.bulk_create(refunds)


def expected(day: Any, business: Business | None = None) -> dict[UUID, RfmRow]:
    """The rule once more, as one would do it by hand."""
    rows = Transaction.objects.all() if business is None else Transaction.objects.filter(business=business)
    net: dict[UUID, Decimal] = {}
    bought: dict[UUID, Transaction] = {}
    for row in sorted(rows, key=lambda each: each.kind):  # purchases come first
        local = timezone.localdate(row.created_at)
        if row.kind == "purchase" and day - timedelta(days=365) <= local < day:
            net[row.pk], bought[row.pk] = row.amount, row
        elif row.kind == "refund" and local < day and row.refund_of_id in net:
            net[row.refund_of_id] += row.amount
    members: dict[UUID, list[Transaction]] = defaultdict(list)
    for key, amount in net.items():
        if amount > 0:
            members[bought[key].member_id].append(bought[key])
    metrics = {
        member: (
            (day - max(timezone.localdate(each.created_at) for each in receipts)).days,
            len(receipts),
            sum((net[each.pk] for each in receipts), Decimal(0)),
        )
        for member, receipts in members.items()
    }

    def score(values: list[Any], value: Any) -> int:
        ranked = sorted(values)
        cuts = [ranked[ceil(k * len(ranked) / 5) - 1] for k in (1, 2, 3, 4)]
        return 1 + sum(cut < value for cut in cuts)

    result = {}
    for member, (recency, frequency, monetary) in metrics.items():
        r = score([-metric[0] for metric in metrics.values()], -recency)
        f = score([metric[1] for metric in metrics.values()], frequency)
        m = score([metric[2] for metric in metrics.values()], monetary)
        [segment] = [name for name, (rs, fs) in SEGMENTS.items() if r in rs and f in fs]
        result[member] = RfmRow(member, recency, frequency, monetary, r, f, m, segment)
    return result


def stored(clickhouse: Connection, day: Any) -> dict[UUID, RfmRow]:
    rows = clickhouse.run(
        "SELECT user_id, recency_days, frequency_count, monetary_value, r_score, f_score, m_score,"
        " rfm_segment FROM rfm_snapshots FINAL WHERE snapshot_date = %(day)s",
        {"day": day},
    ).rows
    return {row[0]: RfmRow(*row) for row in rows}


@pytest.mark.parametrize("seed", [1, 2])
def test_snapshot_equals_a_plain_computation(clickhouse, seed):
    random_receipts(seed)
    sync_facts()
    # Carried twice, as after a crash: the doubles lie unmerged and must not count.
    SyncWindow.objects.update(status="planned")
    sync_facts()

    run = calculate_rfm(snapshot_date=DAY, at=timezone.now())

    assert stored(clickhouse, DAY) == expected(DAY)
    assert run.members == len(expected(DAY)) > 50
    assert {row.segment for row in expected(DAY).values()} > {"champions", "hibernating"}
    assert dict(MemberSegment.objects.values_list("member", "segment")) == {
        member_id: row.segment for member_id, row in expected(DAY).items()
    }


def test_taking_a_snapshot_again_changes_nothing(clickhouse):
    random_receipts(3)
    sync_facts()
    first = calculate_rfm(snapshot_date=DAY, at=timezone.now())
    before = stored(clickhouse, DAY)

    second = calculate_rfm(snapshot_date=DAY, at=timezone.now() + timedelta(seconds=1))

    assert stored(clickhouse, DAY) == before
    assert RfmRun.objects.count() == 1
    assert (second.recency_cuts, second.frequency_cuts, second.monetary_cuts) == (
        first.recency_cuts, first.frequency_cuts, first.monetary_cuts,
    )  # fmt: skip


def test_who_falls_out_of_a_snapshot_leaves_it(clickhouse):
    member, business = MemberFactory(), BusinessFactory()
    bought = purchase(member, business, "100.00", at=midnight(5))
    sync_facts()
    calculate_rfm(snapshot_date=DAY, at=timezone.now())
    assert set(stored(clickhouse, DAY)) == {member.pk}
    assert MemberSegment.objects.get().member_id == member.pk
    refund(bought, "100.00", at=midnight(4))
    sync_facts()

    run = calculate_rfm(snapshot_date=DAY, at=timezone.now() + timedelta(seconds=1))

    assert stored(clickhouse, DAY) == {}
    assert (run.members, run.recency_cuts) == (0, [])
    assert not MemberSegment.objects.exists()


def test_only_changed_segments_are_handed_over_and_never_those_of_an_older_day(clickhouse):
    random_receipts(1)
    sync_facts()
    earlier = DAY - timedelta(days=60)
    kept = MemberSegment.objects.values_list("member", "segment", "snapshot_date")
    calculate_rfm(snapshot_date=earlier, at=timezone.now())
    before = set(kept.all())

    calculate_rfm(snapshot_date=DAY, at=timezone.now())

    segments = {member_id: row.segment for member_id, row in expected(DAY).items()}
    after = set(kept.all())
    assert {(member, segment) for member, segment, _ in after} == set(segments.items())
    # Whoever stays where they were is not written again.
    assert {member for member, _, day in after if day == earlier} == {
        member for member, segment, _ in before if segments.get(member) == segment
    }
    assert {day for _, _, day in after} == {earlier, DAY}
    calculate_rfm(snapshot_date=earlier, at=timezone.now())
    assert set(kept.all()) == after


def test_days_are_counted_in_the_programmes_zone(clickhouse):
    business, second = BusinessFactory(), timedelta(seconds=1)
    inside = {MemberFactory(): at for at in (midnight(365), midnight(0) - second)}
    outside = {MemberFactory(): at for at in (midnight(365) - second, midnight(0))}
    for member, at in (inside | outside).items():
        purchase(member, business, "100.00", at=at)
    sync_facts()

    calculate_rfm(snapshot_date=DAY, at=timezone.now())

    first, last = inside
    recency = {row.member_id: row.recency_days for row in stored(clickhouse, DAY).values()}
    assert recency == {first.pk: 365, last.pk: 1}


def test_a_refund_counts_if_dated_before_the_day(clickhouse):
    member, business = MemberFactory(), BusinessFactory()
    bought = purchase(member, business, "100.00", at=midnight(10))
    refund(bought, "30.00", at=midnight(0) - timedelta(seconds=1))
    refund(bought, "20.00", at=midnight(0))
    sync_facts()

    calculate_rfm(snapshot_date=DAY, at=timezone.now())

    [row] = stored(clickhouse, DAY).values()
    assert (row.recency_days, row.frequency, row.monetary_rub) == (10, 1, Decimal("70.00"))


def test_equal_members_score_alike_and_the_cuts_are_kept(clickhouse):
    business = BusinessFactory()
    # Monetary 100, 200, 300, 300, 300, 600: with n = 6 the cuts are the 2nd, 3rd, 4th and 5th values.
    for amount in ("100", "200", "300", "300", "300", "600"):
        purchase(MemberFactory(), business, amount, at=midnight(1))
    sync_facts()

    run = calculate_rfm(snapshot_date=DAY, at=timezone.now())

    assert run.monetary_cuts == [Decimal(200), Decimal(300), Decimal(300), Decimal(300)]
    assert (run.recency_cuts, run.frequency_cuts) == ([-1] * 4, [1] * 4)
    scores = sorted((row.monetary_rub, row.m_score, row.r_score) for row in stored(clickhouse, DAY).values())
    assert [(int(amount), m, r) for amount, m, r in scores] == [
        (100, 1, 1), (200, 1, 1), (300, 2, 1), (300, 2, 1), (300, 2, 1), (600, 5, 1),
    ]  # fmt: skip


def test_every_segment_has_a_name():
    assert set(Segment.values) == set(SEGMENTS)


def test_the_table_pages_filters_and_counts(clickhouse):
    random_receipts(4)
    sync_facts()
    calculate_rfm(snapshot_date=DAY, at=timezone.now())
    by_turnover = sorted(expected(DAY).values(), key=lambda row: -row.monetary_rub)
    champions = [row for row in by_turnover if row.segment == "champions"]

    page = rfm_rows(limit=7, offset=7)
    assert (page.total, page.snapshot_date) == (len(by_turnover), DAY)
    assert list(page.rows) == by_turnover[7:14]
    assert list(rfm_rows(segment="champions").rows) == champions
    assert rfm_rows(segment="champions").total == len(champions)
    beyond = rfm_rows(limit=5, offset=500)
    assert (beyond.total, beyond.rows) == (len(by_turnover), ())
    assert member_segment(by_turnover[0].member_id) == by_turnover[0]
    assert member_segment(UUID(int=5)) is None


def test_the_map_adds_up_to_the_snapshot(clickhouse):
    random_receipts(5)
    sync_facts()
    calculate_rfm(snapshot_date=DAY, at=timezone.now())
    rows = expected(DAY).values()

    picture = rfm_map()

    assert (picture.members, picture.turnover_rub) == (len(rows), sum(row.monetary_rub for row in rows))
    assert {(c.r_score, c.f_score): c.members for c in picture.cells} == {
        (r, f): sum((row.r_score, row.f_score) == (r, f) for row in rows)
        for r, f in {(row.r_score, row.f_score) for row in rows}
    }


def test_an_owner_sees_scores_of_purchases_at_the_own_business_alone(clickhouse, monkeypatch):
    random_receipts(6)
    business, stranger = Business.objects.filter(is_programme=False)[0], BusinessFactory()
    sync_facts()
    calculate_rfm(snapshot_date=DAY, at=timezone.now())
    buyers = len(expected(DAY, business))

    monkeypatch.setattr("analytics.selectors.FEWEST_BUYERS", buyers)
    rows = {row.member_id: row for row in rfm_rows([business.pk], limit=1000).rows}
    assert rows == expected(DAY, business)

    monkeypatch.setattr("analytics.selectors.FEWEST_BUYERS", buyers + 1)
    assert rfm_rows([business.pk]) == RfmPage(DAY, enough_buyers=False, total=0, rows=())
    assert rfm_map([business.pk]) == RfmMap(DAY, enough_buyers=False, cells=())
    for nothing in ([], [stranger.pk]):
        assert rfm_rows(nothing).rows == ()
        assert rfm_map(nothing).cells == ()


def test_before_the_first_snapshot_there_is_nothing_to_show(clickhouse):
    assert rfm_rows().rows == ()
    assert rfm_map().snapshot_date is None
    assert member_segment(UUID(int=5)) is None
