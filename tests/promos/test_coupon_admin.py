"""What staff do with coupons and campaigns in the admin."""

import csv
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from loyalty.models import AuditLog, Business
from promos import tasks
from promos.models import Coupon, CouponCampaign
from promos.services.campaigns import issue, start
from promos.services.checkout import record_purchase
from tests.factories import (
    BusinessFactory,
    CampaignFactory,
    CouponFactory,
    MemberFactory,
    StaffFactory,
    consent,
)
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db
FORM = {
    "title": "Осенние купоны", "benefit": "percent", "benefit_value": "10", "benefit_text": "",
    "min_amount": "0", "valid_days": "14", "bought_within_days": "",
}  # fmt: skip


def client_of(member):
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(member)
    return client


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def owner(business):
    return client_of(StaffFactory(business=business).member)


@pytest.fixture
def programme():
    return client_of(StaffFactory(business=Business.objects.get(is_programme=True)).member)


@pytest.fixture
def cashier(business):
    return client_of(StaffFactory(business=business, role="cashier").member)


def page(model, name, *arguments):
    return reverse(f"admin:promos_{model._meta.model_name}_{name}", args=arguments)


def buyer(business, now, *, agrees=True):
    member = MemberFactory()
    record_purchase(purchase(member, business, f"{member.pk}", purchased_at=now), at=now)
    if agrees:
        consent(member)
    return member


class TestDraft:
    def test_an_owner_drafts_for_the_own_business(self, owner, business):
        add = page(CouponCampaign, "add")

        owner.post(add, FORM | {"business": business.pk, "tiers": ["3", "4"], "segments": ["champions"]})

        campaign = CouponCampaign.objects.get()
        assert (campaign.business, campaign.status) == (business, "draft")
        assert (campaign.tiers, campaign.segments) == ([3, 4], ["champions"])

    def test_not_for_anothers(self, owner):
        answer = owner.post(page(CouponCampaign, "add"), FORM | {"business": BusinessFactory().pk})

        assert "business" in answer.context["adminform"].form.errors
        assert CouponCampaign.objects.count() == 0

    def test_only_the_programme_reaches_everybody(self, owner, programme, business):
        form = FORM | {"business": business.pk, "reaches_everybody": "on"}

        owner.post(page(CouponCampaign, "add"), form)
        programme.post(page(CouponCampaign, "add"), form)

        reaches = CouponCampaign.objects.order_by("pk").values_list("reaches_everybody", flat=True)
        assert list(reaches) == [False, True]

    @pytest.mark.parametrize(("fields", "wrong"), [
        ({"benefit_value": "100.01"}, "benefit_value"),
        ({"benefit_value": "0"}, "benefit_value"),
        ({"benefit_value": "-5"}, "benefit_value"),
        ({"benefit_value": "many"}, "benefit_value"),
        ({"benefit": "multiplier", "benefit_value": "1"}, "benefit_value"),
        ({"benefit": "fixed", "benefit_value": "0"}, "benefit_value"),
        ({"benefit": "gift"}, "benefit_text"),
        ({"benefit": "other"}, "benefit"),
        ({"min_amount": "-1"}, "min_amount"),
        ({"valid_days": "0"}, "valid_days"),
        ({"valid_days": "366"}, "valid_days"),
        ({"bought_within_days": "0"}, "bought_within_days"),
        ({"tiers": ["5"]}, "tiers"),
        ({"segments": ["nobody"]}, "segments"),
        ({"title": ""}, "title"),
    ])  # fmt: skip
    def test_bad_input_is_said_at_the_field(self, owner, business, fields, wrong):
        answer = owner.post(page(CouponCampaign, "add"), FORM | {"business": business.pk} | fields)

        assert list(answer.context["adminform"].form.errors) == [wrong]
        assert CouponCampaign.objects.count() == 0

    def test_its_page_counts_whom_it_reaches(self, owner, business, now):
        buyer(business, now)
        buyer(business, now, agrees=False)
        campaign = CampaignFactory(business=business)

        html = owner.get(page(CouponCampaign, "change", campaign.pk)).content.decode()

        assert "Match: 2. Agree to advertising, get a coupon: 1. Do not agree: 1." in html


class TestIssue:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch):
        monkeypatch.setattr(tasks.issue_campaign, "delay_on_commit", tasks.issue_campaign)

    def test_it_asks_and_then_issues(self, owner, business, now):
        buyer(business, now)
        campaign = CampaignFactory(business=business)
        address = page(CouponCampaign, "issue", campaign.pk)

        assert "Give 1 member a coupon?</h2>" in owner.get(address).content.decode()
        assert Coupon.objects.count() == 0
        owner.post(address)

        campaign.refresh_from_db()
        assert (campaign.status, campaign.issued, campaign.expected) == ("issued", 1, 1)
        assert "(&#x27;" not in owner.get(page(CouponCampaign, "change", campaign.pk)).content.decode()
        assert (
            "Coupons: 1. Without consent: 0."
            in owner.get(page(CouponCampaign, "change", campaign.pk)).content.decode()
        )

    def test_the_journal_says_who_issued(self, owner, business, now):
        buyer(business, now)
        campaign = CampaignFactory(business=business)

        owner.post(page(CouponCampaign, "issue", campaign.pk))

        began = AuditLog.objects.filter(
            table_name="coupon_campaigns", row_id=campaign.pk, changes__status=["draft", "issuing"]
        ).get()
        assert began.actor_kind == "staff"

    def test_what_is_issued_is_not_changed_or_issued_again(self, owner, business, now):
        buyer(business, now)
        campaign = CampaignFactory(business=business)
        address = page(CouponCampaign, "issue", campaign.pk)
        [owner.post(address) for _ in range(2)]

        change = owner.post(page(CouponCampaign, "change", campaign.pk), FORM | {"business": business.pk})

        assert change.status_code == 403
        assert Coupon.objects.count() == 1

    def test_nobody_to_reach_is_said_and_nothing_begins(self, owner, business):
        campaign = CampaignFactory(business=business)

        answer = owner.post(page(CouponCampaign, "issue", campaign.pk), follow=True)

        assert "Nobody would get a coupon" in answer.content.decode()
        campaign.refresh_from_db()
        assert campaign.status == "draft"

    @pytest.mark.parametrize("deed", ["issue", "stop", "export"])
    def test_anothers_is_not_found(self, owner, deed):
        campaign = CampaignFactory()

        for call in (owner.get, owner.post):
            assert call(page(CouponCampaign, deed, campaign.pk)).status_code == 404

    @pytest.mark.parametrize("deed", ["issue", "stop", "export"])
    def test_a_cashier_does_none_of_it(self, cashier, business, deed):
        campaign = CampaignFactory(business=business)

        assert cashier.post(page(CouponCampaign, deed, campaign.pk)).status_code in (403, 404)
        campaign.refresh_from_db()
        assert campaign.status == "draft"

    def test_it_can_be_stopped(self, owner, business, now):
        buyer(business, now)
        campaign = CampaignFactory(business=business)
        start(campaign.pk, at=now)

        owner.post(page(CouponCampaign, "stop", campaign.pk))

        campaign.refresh_from_db()
        assert campaign.status == "stopped"


class TestVoid:
    @pytest.fixture
    def coupon(self, business, now):
        return CouponFactory(business=business, valid_until=now + timedelta(days=1))

    def test_it_takes_a_reason(self, owner, coupon):
        owner.post(page(Coupon, "void", coupon.pk), {"reason": "Ошибка в условиях"})

        coupon.refresh_from_db()
        assert (coupon.status, coupon.void_reason) == ("voided", "Ошибка в условиях")
        change = AuditLog.objects.filter(table_name="coupons", row_id=coupon.pk, action="update").get()
        assert (change.actor_kind, change.changes["void_reason"]) == ("staff", ["", "Ошибка в условиях"])

    def test_without_one_it_says_so_at_the_field(self, owner, coupon):
        answer = owner.post(page(Coupon, "void", coupon.pk), {"reason": "  "})

        assert 'id="reason-error"' in answer.content.decode()
        coupon.refresh_from_db()
        assert coupon.status == "issued"

    def test_anothers_is_not_found_and_a_cashier_may_not(self, cashier, owner, coupon):
        other = CouponFactory()

        assert owner.post(page(Coupon, "void", other.pk), {"reason": "x"}).status_code == 404
        assert cashier.post(page(Coupon, "void", coupon.pk), {"reason": "x"}).status_code in (403, 404)
        assert set(Coupon.objects.values_list("status", flat=True)) == {"issued"}

    def test_a_used_one_is_not_offered(self, owner, coupon):
        void = page(Coupon, "void", coupon.pk)
        assert void in owner.get(page(Coupon, "change", coupon.pk)).content.decode()

        Coupon.objects.update(status="redeemed")

        assert void not in owner.get(page(Coupon, "change", coupon.pk)).content.decode()


def rows_of(answer):
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines(), delimiter=";"))


class TestExport:
    def test_own_coupons_with_their_members_masked(self, owner, business, now):
        member = MemberFactory(phone="+79161234217", first_name="Анна", last_name="Петрова")
        coupon = CouponFactory(
            member=member, business=business, min_amount=D("500"), valid_until=now + timedelta(days=1)
        )
        CouponFactory()

        answer = owner.get(page(Coupon, "export"))
        text = rows_of(answer)

        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        [row] = text
        assert (row["Code"], row["Member"], row["Phone"]) == (str(coupon), "Анна", "+7 ••• •••-42-17")
        assert (row["Status"], row["Benefit"]) == ("Live", "20% off the bill")
        assert "Петрова" not in str(text)
        assert "9161234217" not in str(text)

    @pytest.mark.parametrize("name", ["=1+1", "+cmd", "-1+cmd", "@SUM(A1)", "\t=1"])
    def test_a_name_is_no_formula(self, owner, business, name):
        CouponFactory(member=MemberFactory(first_name=name), business=business)

        [row] = rows_of(owner.get(page(Coupon, "export")))

        assert row["Member"].startswith("'")

    def test_a_campaigns_own_coupons(self, owner, business, now):
        buyer(business, now)
        campaign = CampaignFactory(business=business)
        start(campaign.pk, at=now)
        issue(campaign.pk, at=now)
        CouponFactory(business=business)

        [row] = rows_of(owner.get(page(CouponCampaign, "export", campaign.pk)))

        assert row["Where from"] == "campaign “Осенние купоны”"

    def test_a_cashier_gets_none(self, cashier):
        assert cashier.get(page(Coupon, "export")).status_code == 403

    def test_it_asks_the_same_for_one_coupon_and_for_three(self, owner, business, django_assert_num_queries):
        def queries_for(count):
            for _ in range(count):
                CouponFactory(business=business)
            with django_assert_num_queries(100, exact=False) as asked:
                rows_of(owner.get(page(Coupon, "export")))
            return len(asked)

        assert queries_for(1) == queries_for(3)


def test_a_code_is_found_however_it_is_typed(owner, business):
    coupon = CouponFactory(business=business)
    CouponFactory(business=business)
    typed = f"{coupon.code[:5].lower()}-{coupon.code[5:]}"

    found = owner.get(page(Coupon, "changelist"), {"q": typed}).context["cl"].result_list

    assert [row.pk for row in found] == [coupon.pk]
