"""Liability and breakage from the ledger's facts, against the ledger and against rows counted by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from uuid import UUID, uuid4

import pytest
from django.db.models import Sum
from django.utils import timezone

from analytics.liability import Breakage, BreakagePoint, Held, breakage, liability
from analytics.services.sync import sync_facts
from loyalty.models import BonusLot
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from tests.factories import BusinessFactory, MemberFactory, give_bonuses

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

TODAY = timezone.localdate()
SHOP, OTHER = UUID(int=101), UUID(int=102)
FIRST = (TODAY - timedelta(days=300)).replace(day=1)


def day(months: int, number: int = 2) -> datetime:
    """Noon of that day, so many months after the first."""
    first = (FIRST + timedelta(days=31 * months + 5)).replace(day=number)
    return datetime(first.year, first.month, number, 12, tzinfo=UTC)


def enter(clickhouse, given, kind, amount, at, issuer=SHOP):
    clickhouse.run(
        "INSERT INTO bonus_facts (entry_id, issuer_business_id, kind, amount, timestamp, given_at, version)"
        " SELECT %(entry)s, %(issuer)s, %(kind)s, toDecimal64(%(amount)s, 2), %(at)s, %(given)s, 1",
        {
            "entry": str(uuid4()), "issuer": str(issuer), "kind": kind, "amount": amount,
            "at": int(at.timestamp()), "given": int(given.timestamp()),
        },
    )  # fmt: skip


@pytest.fixture
def lots(clickhouse):
    """Three lots of a shop, one spent in part, one lapsed, one taken back, and a lot of somebody else."""
    spent, lapsed, returned, foreign = day(0), day(1), day(1), day(3)
    enter(clickhouse, spent, "accrual", "100.00", day(0))
    enter(clickhouse, spent, "redemption", "-30.00", day(1, 3))
    enter(clickhouse, spent, "restoration", "10.00", day(2, 3))
    enter(clickhouse, spent, "write_off", "-5.00", day(2, 3))
    enter(clickhouse, lapsed, "accrual", "40.00", day(1))
    enter(clickhouse, lapsed, "expiry", "-40.00", day(4, 3))
    enter(clickhouse, returned, "accrual", "60.00", day(1))
    enter(clickhouse, returned, "reversal", "-50.00", day(1, 3))
    enter(clickhouse, foreign, "accrual", "7.77", day(3), issuer=OTHER)


def test_liability_stands_by_issuer_and_age(lots):
    on = day(5, 1).date()

    assert liability([SHOP], on=on) == (Held(SHOP, 3, D("10.00")), Held(SHOP, 4, D("80.00")))
    assert liability(None, on=on)[2:] == (Held(OTHER, 1, D("7.77")),)
    assert liability([], on=on) == ()


def test_a_month_is_over_on_the_same_local_day_of_the_next(clickhouse):
    evening = datetime(FIRST.year, FIRST.month, 9, 20, 59, 59, tzinfo=UTC)  # 23:59:59 in Moscow
    enter(clickhouse, evening, "accrual", "5.00", evening)
    enter(clickhouse, evening + timedelta(seconds=1), "accrual", "7.00", evening + timedelta(seconds=1))

    assert liability([SHOP], on=day(1, 9).date()) == (Held(SHOP, 0, D("7.00")), Held(SHOP, 1, D("5.00")))


def test_liability_of_a_day_knows_nothing_of_later_ones(lots):
    on = day(1, 3).date()

    assert sum(held.bonuses for held in liability([SHOP], on=on)) == D("200.00")


def test_breakage_adds_up_month_by_month(lots):
    span = {"start": FIRST, "end": day(2, 1).date()}

    assert breakage([SHOP], **span) == Breakage(
        given=D("200.00"),
        curve=(
            BreakagePoint(0, D("0.00"), D("0.00"), D("50.00")),
            BreakagePoint(1, D("30.00"), D("0.00"), D("50.00")),
            BreakagePoint(2, D("20.00"), D("0.00"), D("50.00")),
            BreakagePoint(3, D("20.00"), D("40.00"), D("50.00")),
        ),
    )
    assert round(breakage([SHOP], **span).expired_percent, 2) == D("26.67")
    nothing = breakage([OTHER], start=date(2020, 1, 1), end=date(2020, 2, 1))
    assert (nothing, nothing.expired_percent) == (Breakage(D("0.00"), ()), None)


def test_breakage_leaves_out_lots_of_which_only_the_end_lies_in_the_span(lots):
    """The shop's lots were given in months 0 and 1; afterwards there are a restoration and an expiry."""
    assert breakage([SHOP], start=day(2, 1).date(), end=day(5, 1).date()) == Breakage(D("0.00"), ())


def test_liability_equals_what_is_left_in_the_ledgers_lots(clickhouse):
    member, issuer = MemberFactory(), BusinessFactory()
    honouring = BusinessFactory(can_accrue=False, requires_presence_code=False)
    at = timezone.now() - timedelta(days=2)
    give_bonuses(member, issuer, "10.00", at=at)
    give_bonuses(member, issuer, "5.00", at=at)
    record_purchase(
        PurchaseRequest(
            business=honouring, external_id="1", member_id=member.pk, amount=D("20.00"), redeem=D("4.00"),
            purchased_at=at,
        ),
        at=at,
    )  # fmt: skip
    sync_facts()

    held = liability([issuer.pk], on=TODAY + timedelta(days=1))

    left = BonusLot.objects.filter(issuer=issuer).aggregate(left=Sum("remaining"))["left"]
    assert sum(each.bonuses for each in held) == left == D("11.00")
