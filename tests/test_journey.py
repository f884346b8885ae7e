"""The main job, whole: a till's purchase, what the member sees and why, what it means to the owner.

Everything goes over HTTP; only the clock's jobs (sync, snapshot, aggregation) are called as an operator
or beat would call them.
"""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from analytics.selectors import member_segment, win_win_matrix
from loyalty.services.api_keys import create_api_key
from promos.models import Coupon
from tests.api import Caller
from tests.factories import BusinessFactory, ChainFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
PHONE = "+79161234567"


def till_of(business):
    return Caller(f"Api-Key {create_api_key(business=business)[1]}")


def sign_in_on_the_web(sent_code):
    browser = Client()
    browser.post("/sign-in/", {"phone": PHONE})
    browser.post("/sign-in/code/", {"code": sent_code(PHONE)})
    return browser


def test_from_the_till_to_the_owners_insight(clickhouse, sent_code):
    bakery, tea_room = BusinessFactory(name="Печём вместе"), BusinessFactory(name="Чайная на углу")
    chain = ChainFactory(
        source_business=bakery,
        target_business=tea_room,
        trigger_min_amount=D("500.00"),
        accepted_at=timezone.now() - timedelta(days=3),
    )
    today = timezone.localdate()
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    # The member joins by a phone code and has nothing yet.
    stranger = Caller()
    assert stranger.post("auth/otp", {"phone": PHONE}).status_code == 202
    consents = {"processing": True, "advertising": {"inapp": True}}
    tokens = stranger.post(
        "auth/token", {"phone": PHONE, "code": sent_code(PHONE), "consents": consents}
    ).json()
    assert tokens["is_new"] is True
    me = Caller(f"Bearer {tokens['access']}")
    assert me.get("me/balance").json()["available"] == "0.00"

    # The bakery's till records a purchase; a repeat changes nothing.
    body = {
        "external_id": "check-1",
        "member": {"phone": PHONE},
        "amount": "1000.00",
        "purchased_at": yesterday,
    }
    first = till_of(bakery).post("transactions", body)
    again = till_of(bakery).post("transactions", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["bonus_accrued"] == "30.00"
    [issued] = first.json()["coupons_issued"]

    # The member sees the balance, the entry and the coupon, in the API and on the page, and why.
    assert me.get("me/balance").json()["available"] == "30.00"
    [entry] = me.get("me/entries").json()["results"]
    assert (entry["kind"], entry["amount"]) == ("accrual", "30.00")
    browser = sign_in_on_the_web(sent_code)
    home = browser.get("/", headers={"Accept-Language": "ru"}).content.decode()
    assert "Печём вместе" in home
    assert "почему 30?" in home
    assert "Чайная на углу" in browser.get("/coupons/", headers={"Accept-Language": "ru"}).content.decode()

    # Within one sync the fact is in ClickHouse, the job gives the member a segment.
    call_command("sync_clickhouse")
    facts = clickhouse.run("SELECT toString(transaction_id), amount FROM transaction_facts").rows
    assert facts == [(first.json()["id"], D("1000.00"))]
    call_command("rfm", "--date", today.isoformat())
    segment = member_segment(Coupon.objects.get().member_id)
    assert (segment.recency_days, segment.frequency, segment.monetary_rub) == (1, 1, D("1000.00"))

    # The pair's cell: one coupon issued, none redeemed yet.
    call_command("aggregate_cross_promo")
    span = {"start": today - timedelta(days=7), "end": today + timedelta(days=1)}
    [cell] = win_win_matrix(None, **span)
    assert (cell.source_id, cell.target_id) == (bakery.pk, tea_room.pk)
    assert (cell.triggers, cell.conversions) == (1, 0)

    # The coupon is redeemed in a purchase at the other partner, once.
    code = issued["code"]
    there = till_of(tea_room).post(
        "transactions",
        {"external_id": "tea-1", "member": {"phone": PHONE}, "amount": "400.00", "coupon": code},
    )
    assert (there.json()["coupon_discount"], there.json()["amount_paid"]) == ("80.00", "320.00")
    twice = till_of(tea_room).post(
        "transactions",
        {"external_id": "tea-2", "member": {"phone": PHONE}, "amount": "400.00", "coupon": code},
    )
    assert (twice.status_code, twice.json()["code"]) == (409, "coupon_not_redeemable")

    # And the cell changes.
    call_command("sync_clickhouse")
    call_command("aggregate_cross_promo")
    [cell] = win_win_matrix([bakery.pk], **span)
    assert (cell.triggers, cell.conversions, cell.rate) == (1, 1, 1.0)
    chain.refresh_from_db()
    assert chain.issued_count == 1
