"""A campaign issued by several workers at once, and coupons that several hands reach for."""

from datetime import timedelta
from threading import Event

import pytest
from django.db import IntegrityError

from promos.errors import CouponNotRedeemable, CouponNotVoidable
from promos.models import CampaignCoupon, Coupon, CouponCampaign
from promos.services import campaigns, coupon_life
from promos.services.campaigns import issue, start
from promos.services.checkout import record_purchase
from promos.services.coupon_life import expire_coupons, void_coupon
from tests.factories import NOON, BusinessFactory, CampaignFactory, CouponFactory, MemberFactory, consent
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
WORKERS = 4
MEMBERS = 30


@pytest.fixture
def campaign(monkeypatch):
    monkeypatch.setattr(campaigns, "MEMBERS_AT_ONCE", 5)
    [consent(MemberFactory()) for _ in range(MEMBERS)]
    campaign = CampaignFactory(reaches_everybody=True)
    start(campaign.pk, at=NOON)
    return campaign


def test_several_workers_give_each_member_one_coupon(at_once, campaign):
    results = at_once(*[lambda: issue(campaign.pk, at=NOON)] * WORKERS)

    assert sum(results) == MEMBERS
    assert Coupon.objects.values("member").distinct().count() == Coupon.objects.count() == MEMBERS
    campaign.refresh_from_db()
    assert (campaign.status, campaign.issued) == (CouponCampaign.Status.ISSUED, MEMBERS)


def test_without_the_lock_workers_meet_and_the_database_refuses_the_second_coupon(
    at_once, campaign, monkeypatch
):
    monkeypatch.setattr(
        campaigns, "_lock", lambda pk: CouponCampaign.objects.select_related("business").get(pk=pk)
    )

    results = at_once(*[lambda: issue(campaign.pk, at=NOON)] * WORKERS)

    assert [result for result in results if isinstance(result, IntegrityError)] != []
    assert CampaignCoupon.objects.values("member").distinct().count() == CampaignCoupon.objects.count()


def test_a_coupon_is_redeemed_or_voided_but_not_both(at_once):
    business = BusinessFactory()
    for number in range(5):  # Threads need not meet the first time.
        coupon = CouponFactory(business=business)
        bill = purchase(coupon.member, business, f"{number}", coupon_code=coupon.code)

        sold, voided = at_once(
            lambda bill=bill: record_purchase(bill, at=NOON),
            lambda pk=coupon.pk: void_coupon(pk, reason="Ошибка", at=NOON),
        )

        coupon.refresh_from_db()
        if coupon.status == "redeemed":
            assert isinstance(voided, CouponNotVoidable)
        else:
            assert coupon.status == "voided"
            assert isinstance(sold, CouponNotRedeemable)


def test_without_the_lock_a_coupon_is_redeemed_and_voided(at_once, monkeypatch):
    read, bought = Event(), Event()

    def read_and_dawdle(coupon_id):
        coupon = Coupon.objects.get(pk=coupon_id)
        read.set()
        assert bought.wait(timeout=60)
        return coupon

    monkeypatch.setattr(coupon_life, "_lock", read_and_dawdle)
    business = BusinessFactory()
    coupon = CouponFactory(business=business)
    bill = purchase(coupon.member, business, coupon_code=coupon.code)

    def sell():
        assert read.wait(timeout=60)
        sold = record_purchase(bill, at=NOON)
        bought.set()
        return sold

    at_once(sell, lambda: void_coupon(coupon.pk, reason="Ошибка", at=NOON))

    coupon.refresh_from_db()
    assert (coupon.status, coupon.redeemed_in.count()) == ("voided", 1)


def test_without_the_lock_the_nightly_closing_expires_what_a_till_redeems(at_once, monkeypatch):
    read, bought = Event(), Event()

    def read_and_dawdle(coupon_ids, *, at):
        found = list(Coupon.objects.filter(pk__in=coupon_ids, status="issued").values_list("pk", flat=True))
        read.set()
        assert bought.wait(timeout=60)
        return found

    monkeypatch.setattr(coupon_life, "_hold_lapsed", read_and_dawdle)
    business = BusinessFactory()
    coupon = CouponFactory(business=business, valid_until=NOON)
    before = NOON - timedelta(minutes=1)
    bill = purchase(coupon.member, business, coupon_code=coupon.code, purchased_at=before)

    def sell():
        assert read.wait(timeout=60)
        sold = record_purchase(bill, at=NOON)
        bought.set()
        return sold

    at_once(sell, lambda: expire_coupons(at=NOON))

    coupon.refresh_from_db()
    assert (coupon.status, coupon.redeemed_in.count()) == ("expired", 1)


def test_the_nightly_closing_leaves_alone_what_a_till_redeems(at_once):
    """The purchase was made in the coupon's last minute and reaches us while the job runs."""
    business = BusinessFactory()
    for number in range(5):
        coupon = CouponFactory(business=business, valid_until=NOON)
        bill = purchase(
            coupon.member, business, f"{number}", coupon_code=coupon.code,
            purchased_at=NOON - timedelta(minutes=1),
        )  # fmt: skip

        sold, _closed = at_once(
            lambda bill=bill: record_purchase(bill, at=NOON), lambda: expire_coupons(at=NOON)
        )

        assert sold[1] is True
        coupon.refresh_from_db()
        assert coupon.status == "redeemed"
