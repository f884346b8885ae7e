"""Coupons for an audience: who is counted, who gets one, and that nobody gets two."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import IntegrityError
from django.db.transaction import atomic
from django_celery_beat.models import PeriodicTask

from loyalty.models import Notification, StatusTier, WebhookDelivery, WebhookEvent
from loyalty.services.webhooks.endpoints import add_endpoint
from promos import tasks
from promos.errors import CampaignRefused
from promos.models import CampaignCoupon, Coupon, CouponCampaign
from promos.rules import normalise_code
from promos.services import campaigns, segments
from promos.services.campaigns import Preview, issue, preview, start, stop
from promos.services.checkout import record_purchase
from tests.factories import NOON, BusinessFactory, CampaignFactory, MemberFactory, consent
from tests.promos.requests import give_back, purchase

pytestmark = pytest.mark.django_db
Status = CouponCampaign.Status


def willing(**fields):
    member = MemberFactory(**fields)
    consent(member)
    return member


def buyer(business, *, days_ago=1, **fields):
    """A member who bought at the business and agrees to advertising."""
    member = willing(**fields)
    at = NOON - timedelta(days=days_ago)
    record_purchase(purchase(member, business, external_id=f"{member.pk}", purchased_at=at), at=at)
    return member


def issued(campaign, *, at=NOON):
    start(campaign.pk, at=at)
    issue(campaign.pk, at=at)
    campaign.refresh_from_db()
    return campaign


def holders(campaign):
    return set(CampaignCoupon.objects.filter(campaign=campaign).values_list("member_id", flat=True))


class TestAudience:
    def test_a_partner_addresses_its_own_buyers(self, business):
        own = buyer(business)
        buyer(BusinessFactory())
        willing()

        assert holders(issued(CampaignFactory(business=business))) == {own.pk}

    def test_the_programme_addresses_everybody(self, business):
        members = {buyer(business).pk, willing().pk}

        campaign = issued(CampaignFactory(business=business, reaches_everybody=True))

        assert holders(campaign) == members

    def test_tiers_narrow_it(self, business):
        buyer(business)
        friend = buyer(business, status_tier=StatusTier.objects.get(level=3))

        assert holders(issued(CampaignFactory(business=business, tiers=[3, 4]))) == {friend.pk}

    def test_segments_of_the_last_snapshot_narrow_it(self, business):
        champion, gone = buyer(business), buyer(business)
        buyer(business)
        segments.store([(champion.pk, "champions"), (gone.pk, "hibernating")], snapshot_date=NOON.date())

        assert holders(issued(CampaignFactory(business=business, segments=["champions"]))) == {champion.pk}

    def test_days_since_the_purchase_narrow_it(self, business):
        recent = buyer(business, days_ago=30)
        buyer(business, days_ago=31)

        assert holders(issued(CampaignFactory(business=business, bought_within_days=30))) == {recent.pk}

    def test_all_conditions_must_hold(self, business):
        tier = StatusTier.objects.get(level=3)
        both = buyer(business, days_ago=5, status_tier=tier)
        buyer(business, days_ago=50, status_tier=tier)
        buyer(business, days_ago=5)

        assert holders(issued(CampaignFactory(business=business, tiers=[3], bought_within_days=30))) == {
            both.pk
        }

    def test_who_has_left_gets_none(self, business):
        gone, here = buyer(business), buyer(business)
        gone.anonymised_at = NOON
        gone.save(update_fields=["anonymised_at"])

        campaign = CampaignFactory(business=business)

        assert preview(campaign, at=NOON) == Preview(matched=1, consenting=1)
        assert holders(issued(campaign)) == {here.pk}


class TestPreview:
    def test_it_counts_what_the_issue_then_does(self, business):
        [buyer(business) for _ in range(3)]
        consent(buyer(business), partner=business, granted=False)
        campaign = CampaignFactory(business=business)

        assert preview(campaign, at=NOON) == Preview(matched=4, consenting=3)

        issued(campaign)
        assert (campaign.matched, campaign.refused, campaign.issued) == (4, 1, 3)

    def test_it_asks_the_same_of_one_member_and_of_three(self, business, django_assert_num_queries):
        campaign = CampaignFactory(business=business)
        for _ in range(2):
            with django_assert_num_queries(1):
                preview(campaign, at=NOON)
            [buyer(business) for _ in range(3)]


class TestIssue:
    def test_the_coupon_says_what_the_campaign_says(self, business):
        member = buyer(business)
        issued(
            CampaignFactory(business=business, benefit="fixed", benefit_value=D("150"), min_amount=D("500"))
        )

        coupon = Coupon.objects.get()

        assert (coupon.member, coupon.business, coupon.status) == (member, business, "issued")
        assert (coupon.benefit, coupon.benefit_value, coupon.min_amount) == (
            "fixed",
            D("150.00"),
            D("500.00"),
        )
        assert normalise_code(coupon.code) == coupon.code
        # 14 days after the 15th, to the end of that day in Moscow.
        assert (coupon.valid_from, coupon.valid_until) == (NOON, datetime(2026, 6, 29, 21, 0, tzinfo=UTC))

    def test_it_is_redeemed_like_any_other_and_comes_back_with_a_full_refund(self, business):
        member = buyer(business)
        issued(CampaignFactory(business=business))
        coupon = Coupon.objects.get()

        record_purchase(purchase(member, business, "with", coupon_code=coupon.code), at=NOON)
        coupon.refresh_from_db()
        assert coupon.status == "redeemed"

        give_back(business, "back", "with", "1000.00", at=NOON + timedelta(days=20))
        coupon.refresh_from_db()
        assert coupon.status == "issued"
        # It had run out meanwhile: 14 days more, to the end of the day.
        assert coupon.valid_until == datetime(2026, 7, 19, 21, 0, tzinfo=UTC)

    def test_a_message_goes_with_it_once(self, business):
        member = buyer(business)
        issued(CampaignFactory(business=business))

        message = Notification.objects.get()

        assert (message.member, message.template, message.purpose) == (member, "coupon_given", "advertising")
        assert (message.partner, message.channel) == (business, "inapp")
        assert message.payload["coupon"] == str(Coupon.objects.get().pk)

    def test_the_partners_systems_hear_of_each_coupon_without_its_code(self, business, settings):
        settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        members = {str(buyer(business).pk) for _ in range(2)}
        add_endpoint(business=business, url="http://127.0.0.1:9/", events=["coupon.issued"])
        business.refresh_from_db()

        issued(CampaignFactory(business=business, benefit="fixed", benefit_value=D("150"), min_amount=D("5")))

        events, coupons = WebhookEvent.objects.all(), Coupon.objects.in_bulk()
        assert {event.object_id for event in events} == coupons.keys()
        assert {event.data["member"] for event in events} == members
        for event in events:
            coupon = coupons[event.object_id]
            assert (event.business, event.type) == (business, "coupon.issued")
            assert event.data == {
                "id": str(coupon.pk), "member": str(coupon.member_id), "benefit": "fixed",
                "value": "150.00", "text": "", "min_amount": "5.00",
                "valid_from": NOON.isoformat(), "valid_until": "2026-06-30T00:00:00+03:00",
            }  # fmt: skip
            assert coupon.code not in str(event.data)
        assert set(WebhookDelivery.objects.values_list("event_id", flat=True)) == {each.pk for each in events}

    def test_events_of_an_issue_that_is_undone_are_undone_with_it(self, business, settings):
        settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        member = buyer(business)
        add_endpoint(business=business, url="http://127.0.0.1:9/", events=["coupon.issued"])
        business.refresh_from_db()
        campaign = issued(CampaignFactory(business=business))
        campaign.business = business
        assert WebhookEvent.objects.count() == 1

        with pytest.raises(IntegrityError), atomic():
            campaigns._give(campaign, [member.pk], at=NOON)

        assert WebhookEvent.objects.count() == WebhookDelivery.objects.count() == 1

    def test_the_gate_is_asked_at_the_issue_and_not_only_beforehand(self, business):
        agreeing, withdrawn = buyer(business), buyer(business)
        campaign = CampaignFactory(business=business)
        assert preview(campaign, at=NOON).consenting == 2

        consent(withdrawn, granted=False)

        assert holders(issued(campaign)) == {agreeing.pk}
        assert set(Notification.objects.values_list("member_id", flat=True)) == {agreeing.pk}

    def test_without_any_word_about_advertising_there_is_no_coupon(self, business):
        silent, agreeing = MemberFactory(), buyer(business)
        record_purchase(purchase(silent, business), at=NOON)

        campaign = issued(CampaignFactory(business=business))

        assert (campaign.matched, campaign.refused, campaign.issued) == (2, 1, 1)
        assert holders(campaign) == {agreeing.pk}

    def test_consent_to_this_business_alone_is_enough(self, business):
        member = MemberFactory()
        record_purchase(purchase(member, business), at=NOON)
        consent(member, partner=business)

        assert holders(issued(CampaignFactory(business=business))) == {member.pk}

    def test_consent_withdrawn_between_two_parts_of_the_issue_counts(self, business, monkeypatch):
        monkeypatch.setattr(campaigns, "MEMBERS_AT_ONCE", 1)
        first, second = sorted([buyer(business), buyer(business)], key=lambda member: member.pk)
        campaign = CampaignFactory(business=business)
        start(campaign.pk, at=NOON)
        campaigns._issue_more(campaign.pk, at=NOON)

        consent(second, granted=False)
        issue(campaign.pk, at=NOON)

        assert holders(campaign) == {first.pk}

    def test_run_again_it_gives_nothing_more(self, business):
        buyer(business)
        campaign = issued(CampaignFactory(business=business))
        buyer(business)

        assert issue(campaign.pk, at=NOON) == 0
        assert Coupon.objects.count() == 1

    def test_it_goes_on_by_parts_where_it_was_cut_off(self, business, monkeypatch):
        monkeypatch.setattr(campaigns, "MEMBERS_AT_ONCE", 2)
        members = {buyer(business).pk for _ in range(5)}
        campaign = CampaignFactory(business=business)
        start(campaign.pk, at=NOON)

        assert campaigns._issue_more(campaign.pk, at=NOON) == 2
        assert issue(campaign.pk, at=NOON) == 3

        campaign.refresh_from_db()
        assert holders(campaign) == members
        assert (campaign.status, campaign.matched, campaign.issued) == (Status.ISSUED, 5, 5)

    def test_a_late_second_run_counts_days_from_the_beginning(self, business):
        member = buyer(business, days_ago=30)
        campaign = CampaignFactory(business=business, bought_within_days=30)
        start(campaign.pk, at=NOON)

        issue(campaign.pk, at=NOON + timedelta(days=2))

        assert holders(campaign) == {member.pk}

    def test_a_thousand_members_cost_a_fixed_number_of_queries(
        self, business, settings, django_assert_num_queries
    ):
        def queries_for(count):
            [buyer(business) for _ in range(count)]
            campaign = CampaignFactory(business=business)
            start(campaign.pk, at=NOON)
            with django_assert_num_queries(100, exact=False) as asked:
                issue(campaign.pk, at=NOON)
            return len(asked)

        assert queries_for(1) == queries_for(3)

        settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        add_endpoint(business=business, url="http://127.0.0.1:9/", events=["coupon.issued"])
        assert queries_for(1) == queries_for(3)
        assert WebhookEvent.objects.filter(type="coupon.issued").count() == Coupon.objects.count() - 5

    def test_a_code_that_exists_is_drawn_again(self, business, monkeypatch):
        buyer(business)
        issued(CampaignFactory(business=business))
        taken = Coupon.objects.get().code
        codes = iter([taken, "0000000018", "0000000026"])
        monkeypatch.setattr(campaigns, "new_code", lambda: next(codes))

        issued(CampaignFactory(business=business))

        assert set(Coupon.objects.values_list("code", flat=True)) == {taken, "0000000018"}

    def test_the_database_refuses_a_second_coupon_of_the_campaign(self, business):
        member = buyer(business)
        campaign = issued(CampaignFactory(business=business))
        campaign.business = business

        with pytest.raises(IntegrityError, match="idx_campaign_coupons_campaign"), atomic():
            campaigns._give(campaign, [member.pk], at=NOON)

        assert Coupon.objects.count() == 1


class TestLife:
    def test_it_starts_once(self, business):
        buyer(business)
        campaign = CampaignFactory(business=business)
        start(campaign.pk, at=NOON)

        with pytest.raises(CampaignRefused):
            start(campaign.pk, at=NOON)

    def test_it_does_not_start_for_nobody(self, business):
        record_purchase(purchase(MemberFactory(), business), at=NOON)
        campaign = CampaignFactory(business=business)

        with pytest.raises(CampaignRefused):
            start(campaign.pk, at=NOON)

        campaign.refresh_from_db()
        assert (campaign.status, campaign.started_at) == (Status.DRAFT, None)

    def test_a_draft_issues_nothing(self, business):
        buyer(business)

        assert issue(CampaignFactory(business=business).pk, at=NOON) == 0
        assert Coupon.objects.count() == 0

    def test_a_business_that_left_gives_no_coupons(self):
        campaign = CampaignFactory(business=BusinessFactory(is_active=False))

        with pytest.raises(CampaignRefused):
            start(campaign.pk, at=NOON)

        campaign.refresh_from_db()
        assert campaign.status == Status.DRAFT

    def test_a_stopped_one_gives_no_more(self, business, monkeypatch):
        monkeypatch.setattr(campaigns, "MEMBERS_AT_ONCE", 1)
        [buyer(business) for _ in range(3)]
        campaign = CampaignFactory(business=business)
        start(campaign.pk, at=NOON)
        campaigns._issue_more(campaign.pk, at=NOON)

        stop(campaign.pk, at=NOON)

        assert issue(campaign.pk, at=NOON) == 0
        assert Coupon.objects.count() == 1
        with pytest.raises(CampaignRefused):
            stop(campaign.pk, at=NOON)

    def test_what_a_lost_worker_left_is_taken_up_again(self, business, monkeypatch):
        buyer(business)
        campaign = CampaignFactory(business=business)
        CampaignFactory(business=business)
        start(campaign.pk, at=NOON)
        monkeypatch.setattr(tasks.issue_campaign, "delay", tasks.issue_campaign)

        assert tasks.continue_campaigns() == 1

        assert CampaignCoupon.objects.get().campaign == campaign
        assert PeriodicTask.objects.get(name="continue_campaigns").enabled
