"""Lots lapse at the end of their day, whether or not the nightly job has run."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from loyalty.models import Bonus, BonusEntry, BonusLot
from loyalty.selectors import wallet
from loyalty.services.expiry import expire_bonuses
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from tests.factories import NOON

pytestmark = pytest.mark.django_db
LAPSE = datetime(2027, 6, 15, 21, 0, tzinfo=UTC)  # the end of 15 June 2027 in Moscow


def buy(member, business, external_id, at):
    record_purchase(
        PurchaseRequest(business=business, external_id=external_id, member_id=member.pk, amount=D("1000.00")),
        at=at,
    )


def test_a_lapsed_lot_is_not_available_from_the_first_moment(member, business):
    buy(member, business, "1", NOON)

    assert wallet(member.pk, at=LAPSE - timedelta(microseconds=1)).available == D("30.00")
    assert wallet(member.pk, at=LAPSE).available == D("0.00")


def test_the_job_closes_lapsed_lots_and_may_run_twice(member, business):
    buy(member, business, "1", NOON)
    buy(member, business, "2", NOON + timedelta(days=10))

    assert expire_bonuses(at=LAPSE) == 1
    assert expire_bonuses(at=LAPSE) == 0

    entry = BonusEntry.objects.get(kind="expiry")
    assert (entry.amount, entry.created_at, entry.lot.remaining) == (D("-30.00"), LAPSE, D("0.00"))
    bonus = Bonus.objects.get(member=member)
    assert bonus.balance == D("30.00")
    assert bonus.expires_at == LAPSE + timedelta(days=10)


def test_a_purchase_after_the_lapse_closes_it_without_the_job(member, business):
    buy(member, business, "1", NOON)

    buy(member, business, "2", LAPSE)

    assert Bonus.objects.get(member=member).balance == D("30.00")
    assert list(BonusLot.objects.order_by("created_at").values_list("remaining", flat=True)) == [D(0), D(30)]


def test_pending_bonuses_become_the_balance_when_their_day_comes(member, business):
    business.pending_days = 14
    business.save()
    buy(member, business, "1", NOON)

    buy(member, business, "2", NOON + timedelta(days=14))

    bonus = Bonus.objects.get(member=member)
    assert (bonus.balance, bonus.pending) == (D("30.00"), D("30.00"))
