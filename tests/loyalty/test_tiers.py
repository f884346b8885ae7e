"""Tiers rise by the turnover of twelve months and are held for a year."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from loyalty.services.tiers import raise_tiers, tier_holds_until
from promos.services.checkout import record_many
from promos.services.purchases import PurchaseRequest, RefundRequest
from tests.factories import NOON, MemberFactory

pytestmark = pytest.mark.django_db


def bought(member, business, amount, at, external_id):
    return PurchaseRequest(
        business=business, external_id=external_id, member_id=member.pk, amount=D(amount), purchased_at=at
    )


@pytest.mark.parametrize(
    ("turnover", "level"),
    [("29999.99", 1), ("30000.00", 2), ("100000.00", 3), ("299999.99", 3), ("300000.00", 4)],
)
def test_each_threshold_is_reached_by_the_kopeck(member, business, turnover, level):
    record_many([bought(member, business, turnover, NOON, "1")], at=NOON)

    raise_tiers(at=NOON)

    member.refresh_from_db()
    assert member.status_tier.level == level


def test_turnover_is_net_of_refunds_and_of_purchases_older_than_a_year(business):
    refunded, old = MemberFactory(), MemberFactory()
    record_many(
        [
            bought(refunded, business, "30000.00", NOON, "1"),
            RefundRequest(
                business=business, external_id="R", refund_of="1", amount=D("0.01"), purchased_at=NOON
            ),
            bought(old, business, "30000.00", NOON - timedelta(days=366), "2"),
        ],
        at=NOON,
    )

    assert raise_tiers(at=NOON) == {}


def test_a_tier_never_falls_here_and_a_second_run_changes_nothing(member, business):
    record_many([bought(member, business, "30000.00", NOON, "1")], at=NOON)

    assert raise_tiers(at=NOON) == {member.pk: 2}
    assert raise_tiers(at=NOON + timedelta(days=400)) == {}

    member.refresh_from_db()
    assert member.status_tier.level == 2


def test_a_tier_holds_to_the_end_of_the_month_a_year_later():
    assert tier_holds_until(NOON) == datetime(2027, 6, 30, 21, 0, tzinfo=UTC)
