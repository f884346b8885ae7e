"""Moves between segments and cohorts, against rows counted by hand."""

from datetime import date, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from analytics.movements import CohortCell, SegmentMove, cohorts, segment_moves
from analytics.services.sync import sync_facts
from promos.segments import Segment
from tests.analytics.rows import purchase, refund
from tests.factories import BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

ZONE = timezone.get_default_timezone()
TODAY = timezone.localdate()
FIRST = (TODAY - timedelta(days=100)).replace(day=1)


def month(number: int) -> date:
    return (FIRST + timedelta(days=32 * number)).replace(day=1)


def at(number: int, *, minutes: int = 0) -> datetime:
    """The first minute of that month in the programme's zone, and later."""
    day = month(number)
    return datetime(day.year, day.month, 1, tzinfo=ZONE) + timedelta(minutes=minutes)


def test_moves_count_each_member_once_and_name_who_came_and_who_left(clickhouse):
    earlier, later = TODAY - timedelta(days=30), TODAY
    rows = [
        (earlier, 1, "champions", 0), (later, 1, "champions", 0),
        (earlier, 2, "champions", 0), (later, 2, "at_risk", 0),
        (earlier, 3, "loyal", 0), (later, 4, "new", 0),
        # Taken twice: the later calculation counts.
        (later, 5, "new", 0), (later, 5, "promising", 1), (earlier, 5, "new", 0),
        (TODAY - timedelta(days=60), 2, "hibernating", 0),
    ]  # fmt: skip
    values = ", ".join(
        f"('{day}', toUUID('00000000-0000-7000-8000-00000000000{n}'), '{segment}', toDateTime64({second}, 3))"
        for day, n, segment, second in rows
    )
    clickhouse.run(
        f"INSERT INTO rfm_snapshots (snapshot_date, user_id, rfm_segment, calculated_at) VALUES {values}"
    )

    assert segment_moves(earlier=earlier, later=later) == (
        SegmentMove(None, Segment.NEW, 1),
        SegmentMove(Segment.CHAMPIONS, Segment.AT_RISK, 1),
        SegmentMove(Segment.CHAMPIONS, Segment.CHAMPIONS, 1),
        SegmentMove(Segment.LOYAL, None, 1),
        SegmentMove(Segment.NEW, Segment.PROMISING, 1),
    )
    assert segment_moves(earlier=date(2020, 1, 1), later=date(2020, 2, 1)) == ()


def test_cohorts_follow_members_by_months_of_the_programmes_zone(clickhouse):
    faithful, once, newcomer = MemberFactory(), MemberFactory(), MemberFactory()
    cafe, other = BusinessFactory(), BusinessFactory()
    back = purchase(faithful, cafe, "100.00", at=at(0))
    purchase(faithful, cafe, "50.00", at=at(0, minutes=1))
    purchase(faithful, cafe, "10.00", at=at(2))
    refund(back, "100.00", at=at(1))
    purchase(once, cafe, "7.00", at=at(1, minutes=-1))
    purchase(newcomer, cafe, "3.00", at=at(1))
    purchase(once, other, "1.00", at=at(1))
    sync_facts()
    span = {"start": month(0), "end": month(3)}

    assert cohorts([cafe.pk], **span) == (
        CohortCell(month(0), 0, 2, D("157.00")),
        CohortCell(month(0), 2, 1, D("10.00")),
        CohortCell(month(1), 0, 1, D("3.00")),
    )
    assert cohorts([other.pk], **span) == (CohortCell(month(1), 0, 1, D("1.00")),)
    assert cohorts(None, **span)[1] == CohortCell(month(0), 1, 1, D("1.00"))
    assert cohorts([], **span) == ()
