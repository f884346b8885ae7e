"""What a till learns of a coupon before the purchase, and what a member sees of the own ones."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.models import CampaignCoupon, Offer, Quote
from promos.services.checkout import record_purchase
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, CampaignFactory, ChainFactory, CouponFactory, MemberFactory
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def coupon(business, now):
    return CouponFactory(
        business=business, valid_from=now - timedelta(days=1), valid_until=now + timedelta(days=1),
        min_amount=D("500"),
    )  # fmt: skip


def reasons(answer):
    return [reason["code"] for reason in answer.json()["reasons"]]


class TestTill:
    def test_a_coupon_that_may_be_redeemed(self, till, coupon):
        assert till.get(f"coupons/{coupon.code}", card=coupon.member.card_number, amount="500.00").json() == {
            "code": coupon.code,
            "business": coupon.business.name,
            "benefit": "percent",
            "benefit_value": "20.00",
            "benefit_text": "",
            "min_amount": "500.00",
            "valid_from": timezone.localtime(coupon.valid_from).isoformat(),
            "valid_until": timezone.localtime(coupon.valid_until).isoformat(),
            "state": "live",
            "redeemable": True,
            "reasons": [],
        }

    def test_member_and_bill_need_not_be_known_yet(self, till, coupon):
        assert till.get(f"coupons/{coupon.code}").json()["redeemable"] is True

    def test_it_may_be_typed_as_the_member_shows_it(self, till, coupon):
        typed = f"{coupon.code[:5]}-{coupon.code[5:]}".lower().replace("0", "o")

        assert till.get(f"coupons/{typed}").json()["code"] == coupon.code

    @pytest.mark.parametrize(("fields", "state", "reason"), [
        ({"status": "redeemed"}, "used", "redeemed"),
        ({"status": "voided"}, "voided", "voided"),
        ({"status": "expired", "valid_until": timedelta(0)}, "expired", "out_of_date"),
        ({"valid_until": timedelta(0)}, "expired", "out_of_date"),
        ({"valid_from": timedelta(hours=1)}, "not_yet_valid", "not_yet_valid"),
    ])  # fmt: skip
    def test_what_speaks_against_it_is_said(self, till, coupon, now, fields, state, reason):
        for name, value in fields.items():
            setattr(coupon, name, now + value if isinstance(value, timedelta) else value)
        coupon.save()

        answer = till.get(f"coupons/{coupon.code}")

        assert (answer.json()["state"], reasons(answer), answer.json()["redeemable"]) == (
            state,
            [reason],
            False,
        )

    def test_all_of_it_is_said_at_once(self, till, coupon):
        stranger = MemberFactory()
        coupon.status = "redeemed"
        coupon.save()

        answer = till.get(f"coupons/{coupon.code}", phone=stranger.phone, amount="499.99")

        assert reasons(answer) == ["other_member", "redeemed", "min_amount"]

    def test_set_aside_for_another_bill(self, till, coupon, business, now):
        Quote.objects.create(
            business=business, member=coupon.member, coupon=coupon, content={}, promised={}, holds=True,
            expires_at=now + timedelta(minutes=15),
        )  # fmt: skip

        assert reasons(till.get(f"coupons/{coupon.code}")) == ["set_aside"]

    def test_asking_changes_nothing(self, till, coupon, business, now):
        till.get(f"coupons/{coupon.code}")

        bill = purchase(coupon.member, business, coupon_code=coupon.code, purchased_at=now)
        assert record_purchase(bill, at=now)[0].coupon_discount == D("200.00")

    def test_another_businesss_coupon_is_not_found(self, till, now):
        other = CouponFactory(business=BusinessFactory())

        strange = till.get(f"coupons/{other.code}")

        assert refusal(strange)[:2] == (404, "not_found")
        assert strange.json()["detail"] == till.get("coupons/0000000018").json()["detail"]

    @pytest.mark.parametrize("code", ["0", "UUUUUUUUUU", "%00", "купон", "0" * 400])
    def test_what_is_no_code_is_not_found(self, till, code):
        assert refusal(till.get(f"coupons/{code}"))[:2] == (404, "not_found")

    def test_an_unknown_member_is_said_to_be_so(self, till, coupon):
        answer = till.get(f"coupons/{coupon.code}", card="nobody")

        assert refusal(answer)[:2] == (404, "member_not_found")

    @pytest.mark.parametrize(("query", "error"), [
        ({"amount": "0"}, ("amount", "not_positive")),
        ({"amount": "many"}, ("amount", "invalid")),
        ({"phone": "+79161234217", "card": "1"}, ("", "one_of")),
        ({"colour": "red"}, ("colour", "unknown_field")),
    ])  # fmt: skip
    def test_bad_input_is_named(self, till, coupon, query, error):
        status, code, errors = refusal(till.get(f"coupons/{coupon.code}", **query))

        assert (status, code, errors) == (400, "invalid", [error])

    def test_it_needs_the_scope(self, coupon, business):
        _, secret = create_api_key(business=business, scopes=["purchases:write"])

        assert refusal(Caller(f"Api-Key {secret}").get(f"coupons/{coupon.code}"))[:2] == (
            403,
            "permission_denied",
        )
        assert refusal(Caller().get(f"coupons/{coupon.code}"))[:2] == (401, "not_authenticated")


class TestMember:
    @pytest.fixture
    def caller(self, member, now):
        tokens = open_session(member, at=now, ip="127.0.0.1", user_agent="")
        return Caller(f"Bearer {tokens.access}")

    def test_each_coupon_says_its_state_and_where_it_came_from(self, caller, member, business, now):
        live = {"member": member, "business": business, "valid_until": now + timedelta(days=5)}
        chain = ChainFactory(target_business=business)
        offer = Offer.objects.create(business=business, title="Чай в подарок")
        of_chain = CouponFactory(**live, chain=chain)
        of_offer = CouponFactory(**live, offer=offer, valid_from=now + timedelta(days=1))
        of_campaign = CouponFactory(**live)
        CampaignCoupon.objects.create(campaign=CampaignFactory(), member=member, coupon=of_campaign)
        plain = CouponFactory(**live | {"valid_until": now})
        CouponFactory(**live | {"member": MemberFactory()})

        rows = caller.get("me/coupons").json()["results"]

        assert [(row["code"], row["state"], row["source"], row["source_name"]) for row in rows] == [
            (plain.code, "expired", "other", ""),
            (of_campaign.code, "live", "campaign", "Осенние купоны"),
            (of_offer.code, "not_yet_valid", "offer", "Чай в подарок"),
            (of_chain.code, "live", "chain", chain.source_business.name),
        ]

    def test_a_used_one_names_its_purchase(self, caller, member, business, now):
        coupon = CouponFactory(member=member, business=business, valid_until=now + timedelta(days=1))
        bill = purchase(member, business, coupon_code=coupon.code, purchased_at=now)
        bought, _ = record_purchase(bill, at=now)

        [row] = caller.get("me/coupons").json()["results"]

        assert (row["state"], row["used_in"]) == ("used", str(bought.pk))

    def test_it_asks_the_same_for_one_coupon_and_for_three(self, caller, member, django_assert_num_queries):
        def queries_for(count):
            for _ in range(count):
                chain = ChainFactory()
                CouponFactory(member=member, chain=chain, business=chain.target_business, status="redeemed")
            with django_assert_num_queries(100, exact=False) as asked:
                caller.get("me/coupons")
            return len(asked)

        assert queries_for(1) == queries_for(3)

    def test_a_till_has_no_coupons_of_its_own(self, till):
        assert refusal(till.get("me/coupons"))[:2] == (403, "permission_denied")
