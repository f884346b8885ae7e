"""A purchase tells its business's systems what came of it, in the statement that stores it."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.models import StaffMembership, WebhookDelivery, WebhookEvent
from loyalty.services.webhooks.endpoints import ASKED_FOR, add_endpoint
from promos.services import chains
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.purchases import PurchaseRequest, RefundRequest
from tests.factories import NOON, BusinessFactory, ChainFactory, CouponFactory, MemberFactory, agreeing

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    return told(BusinessFactory(code="B01"))


def told(business):
    add_endpoint(business=business, url="http://127.0.0.1:9/", events=ASKED_FOR)
    business.refresh_from_db()
    return business


def purchase(member, business, receipt, amount, **more):
    return PurchaseRequest(
        business=business, external_id=receipt, member_id=member.pk, amount=D(amount), **more
    )


def events():
    return list(WebhookEvent.objects.order_by("id").values_list("type", "data"))


def test_purchase_and_refund_are_told_of_one_object_in_order(shop):
    member = MemberFactory()
    bought, _new = record_purchase(purchase(member, shop, "1", "1000.00"), at=NOON)
    record_refund(RefundRequest(shop, "2", "1", D("400.00")), at=NOON + timedelta(days=1))

    [(first, said), (second, given_back)] = events()

    assert (first, second) == ("purchase.created", "purchase.refunded")
    assert said["id"] == given_back["refund_of"] == str(bought.pk)
    assert (said["amount"], said["amount_paid"], said["bonus_accrued"]) == ("1000.00", "1000.00", "30.00")
    assert (given_back["amount"], given_back["bonus_accrued"]) == ("-400.00", "-12.00")
    assert set(WebhookDelivery.objects.values_list("object_id", flat=True)) == {bought.pk}
    assert WebhookDelivery.objects.count() == 2


def test_a_repeat_tells_nothing_new_and_a_refusal_nothing_at_all(shop):
    member = MemberFactory()
    asked = purchase(member, shop, "1", "1000.00")
    outcomes = record_many([asked, asked, purchase(member, shop, "2", "5.00", redeem=D("4.00"))], at=NOON)
    record_purchase(asked, at=NOON)

    assert [str(outcome.status) for outcome in outcomes] == ["created", "duplicate", "rejected"]
    assert [kind for kind, _data in events()] == ["purchase.created"]


def test_a_rise_and_a_redeemed_coupon_are_told(shop):
    member = MemberFactory()
    coupon = CouponFactory(
        member=member,
        business=shop,
        valid_from=NOON - timedelta(days=1),
        valid_until=NOON + timedelta(days=1),
    )
    bought, _new = record_purchase(purchase(member, shop, "1", "40000.00", coupon_code=coupon.code), at=NOON)

    found = dict(events())
    assert found["coupon.redeemed"] == {
        "id": str(coupon.pk), "member": str(member.pk), "purchase": str(bought.pk),
    }  # fmt: skip
    assert found["member.tier_changed"] == {
        "member": str(member.pk), "from_level": 1, "to_level": 2, "purchase": str(bought.pk),
    }  # fmt: skip


def test_the_target_of_a_chain_hears_of_its_coupon_without_the_code(shop):
    source = BusinessFactory(code="B02")
    chain = ChainFactory(source_business=source, target_business=shop, accepted_at=NOON - timedelta(days=1))
    record_purchase(purchase(agreeing(), source, "1", "1000.00"), at=NOON)

    [(kind, said)] = events()
    coupon = chain.coupons.get()
    assert (kind, said["id"], said["value"]) == ("coupon.issued", str(coupon.pk), str(coupon.benefit_value))
    assert coupon.code not in str(said)
    assert WebhookEvent.objects.get().business == shop


def test_each_side_of_a_chain_hears_what_the_other_did(shop):
    target = told(BusinessFactory(code="B03"))
    owners = [MemberFactory(is_staff=True) for _side in range(2)]
    for owner, business in zip(owners, (shop, target), strict=True):
        StaffMembership.objects.create(member=owner, business=business, role="owner")
    chain = ChainFactory(
        source_business=shop, target_business=target, status="draft", accepted_by=None, accepted_at=None
    )

    chains.propose(chain.pk, by=owners[0], at=NOON)
    chains.accept(chain.pk, by=owners[1], at=NOON)

    told_whom = WebhookEvent.objects.order_by("id").values_list("type", "business", "object_id")
    assert list(told_whom) == [
        ("chain.proposed", target.pk, chain.pk), ("chain.accepted", shop.pk, chain.pk),
    ]  # fmt: skip


@pytest.mark.usefixtures("spelled_out")
def test_a_business_without_webhooks_pays_nothing_for_them():
    business = BusinessFactory(code="B01")
    with CaptureQueriesContext(connection) as queries:
        record_purchase(purchase(MemberFactory(), business, "1", "1000.00"), at=NOON)
    assert not any("webhook" in query["sql"] for query in queries)
    assert events() == []
