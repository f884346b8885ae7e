"""What becomes of coupons without a purchase: they run out, are reminded of, are taken back."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from loyalty.models import AuditLog, Notification
from promos import tasks
from promos.errors import CouponNotRedeemable, CouponNotVoidable
from promos.models import CampaignCoupon, Coupon
from promos.services import coupon_life
from promos.services.checkout import record_purchase
from promos.services.coupon_life import expire_coupons, queue_coupon_warnings, void_coupon
from tests.factories import NOON, CampaignFactory, ChainFactory, CouponFactory, MemberFactory, consent
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db
# The first moment after the 18th in Moscow: three days are left on the 15th.
AFTER_THE_18TH = datetime(2026, 6, 18, 21, 0, tzinfo=UTC)
LAST_WEEK = NOON - timedelta(days=7)


def status_of(coupon):
    coupon.refresh_from_db()
    return coupon.status


class TestExpiry:
    def test_what_has_run_out_is_marked_and_nothing_else(self):
        lapsed = CouponFactory(valid_until=NOON)
        live = CouponFactory(valid_until=NOON + timedelta(microseconds=1))
        used = CouponFactory(valid_until=NOON, status="redeemed")
        voided = CouponFactory(valid_until=NOON, status="voided")

        assert expire_coupons(at=NOON) == 1
        assert [status_of(one) for one in (lapsed, live, used, voided)] == [
            "expired", "issued", "redeemed", "voided",
        ]  # fmt: skip

    def test_run_twice_it_changes_nothing_more(self):
        CouponFactory(valid_until=NOON)
        expire_coupons(at=NOON)

        assert expire_coupons(at=NOON) == 0

    def test_many_go_by_parts(self, monkeypatch):
        monkeypatch.setattr(coupon_life, "COUPONS_AT_ONCE", 2)
        coupons = [CouponFactory(valid_until=NOON) for _ in range(5)]

        assert expire_coupons(at=NOON) == 5
        assert {status_of(coupon) for coupon in coupons} == {"expired"}

    @pytest.mark.parametrize("marked", [False, True])
    def test_after_its_time_it_is_not_redeemable_marked_or_not(self, member, business, marked):
        coupon = CouponFactory(member=member, business=business, valid_until=NOON)
        if marked:
            expire_coupons(at=NOON)

        with pytest.raises(CouponNotRedeemable, match=r"run out|закончил|вышел"):
            record_purchase(purchase(member, business, coupon_code=coupon.code), at=NOON)

        assert status_of(coupon) == ("expired" if marked else "issued")

    @pytest.mark.parametrize("marked", [False, True])
    def test_a_purchase_made_in_time_and_sent_late_redeems_it(self, member, business, marked):
        coupon = CouponFactory(member=member, business=business, valid_until=NOON)
        if marked:
            expire_coupons(at=NOON)
        made = NOON - timedelta(minutes=1)

        record_purchase(
            purchase(member, business, coupon_code=coupon.code, purchased_at=made),
            at=NOON + timedelta(hours=12),
        )

        assert status_of(coupon) == "redeemed"


class TestWarning:
    def test_it_comes_three_days_before_once(self):
        coupon = CouponFactory(valid_until=AFTER_THE_18TH, created_at=LAST_WEEK)

        assert [queue_coupon_warnings(at=NOON) for _ in range(2)] == [1, 0]

        message = Notification.objects.get()
        assert (message.member, message.template, message.partner) == (
            coupon.member, "coupon_expiring", coupon.business,
        )  # fmt: skip
        assert message.payload["days"] == 3
        assert message.payload["expires_on"] == date(2026, 6, 18).isoformat()

    @pytest.mark.parametrize("fields", [
        {"valid_until": AFTER_THE_18TH + timedelta(days=1)},
        {"status": "redeemed"}, {"status": "voided"}, {"status": "expired"},
        {"valid_until": NOON},
        {"valid_from": NOON + timedelta(hours=1)},
        {"created_at": NOON - timedelta(hours=23)},
    ])  # fmt: skip
    def test_of_others_nobody_is_told(self, fields):
        CouponFactory(**{"valid_until": AFTER_THE_18TH, "created_at": LAST_WEEK} | fields)

        assert queue_coupon_warnings(at=NOON) == 0

    def test_who_has_left_is_not_told(self):
        CouponFactory(
            valid_until=AFTER_THE_18TH, created_at=LAST_WEEK, member=MemberFactory(anonymised_at=NOON)
        )

        assert queue_coupon_warnings(at=NOON) == 0

    def test_a_missed_night_is_made_up_for(self):
        CouponFactory(valid_until=AFTER_THE_18TH, created_at=LAST_WEEK)

        queue_coupon_warnings(at=NOON + timedelta(days=2))
        queue_coupon_warnings(at=NOON + timedelta(days=3))

        assert Notification.objects.get().payload["days"] == 1

    def test_a_coupon_of_a_chain_or_a_campaign_is_advertising(self):
        soon = {"valid_until": AFTER_THE_18TH, "created_at": LAST_WEEK}
        plain = CouponFactory(**soon)
        chain = ChainFactory()
        of_chain = CouponFactory(**soon, chain=chain, business=chain.target_business)
        given = CouponFactory(**soon)
        consent(given.member)
        CampaignCoupon.objects.create(campaign=CampaignFactory(), member=given.member, coupon=given)

        queue_coupon_warnings(at=NOON)

        service = Notification.objects.filter(purpose="service")
        assert [message.payload["coupon"] for message in service] == [str(plain.pk)]
        advertising = Notification.objects.filter(purpose="advertising")
        assert set(advertising.values_list("member_id", "status")) == {
            (of_chain.member_id, "suppressed"), (given.member_id, "queued"),
        }  # fmt: skip

    def test_it_asks_the_same_of_one_coupon_and_of_three(self, django_assert_num_queries):
        def queries_for(count):
            for _ in range(count):
                CouponFactory(valid_until=AFTER_THE_18TH, created_at=LAST_WEEK)
            with django_assert_num_queries(100, exact=False) as asked:
                assert queue_coupon_warnings(at=NOON) == count
            return len(asked)

        assert queries_for(1) == queries_for(3)

    def test_the_jobs_are_on_the_schedule(self):
        rows = PeriodicTask.objects.filter(name__in=["expire_coupons", "queue_coupon_warnings"])
        assert sorted((row.crontab.hour, row.crontab.minute, row.enabled) for row in rows) == [
            ("0", "15", True), ("0", "25", True),
        ]  # fmt: skip
        assert (tasks.expire_coupons(), tasks.queue_coupon_warnings()) == (0, 0)


class TestVoid:
    def test_a_voided_one_is_not_redeemable(self, member, business):
        coupon = CouponFactory(member=member, business=business)

        void_coupon(coupon.pk, reason=" Ошибка в условиях ", at=NOON)

        assert status_of(coupon) == "voided"
        assert coupon.void_reason == "Ошибка в условиях"
        with pytest.raises(CouponNotRedeemable):
            record_purchase(purchase(member, business, coupon_code=coupon.code), at=NOON)

    def test_the_journal_keeps_the_reason(self):
        coupon = CouponFactory()

        void_coupon(coupon.pk, reason="Ошибка", at=NOON)

        change = AuditLog.objects.filter(table_name="coupons", row_id=coupon.pk, action="update").get()
        assert change.changes == {"status": ["issued", "voided"], "void_reason": ["", "Ошибка"]}

    @pytest.mark.parametrize("fields", [
        {"status": "redeemed"}, {"status": "expired"}, {"status": "voided"}, {"valid_until": NOON},
    ])  # fmt: skip
    def test_only_a_live_one_is_voided(self, fields):
        coupon = CouponFactory(**fields)
        before = coupon.status

        with pytest.raises(CouponNotVoidable):
            void_coupon(coupon.pk, reason="Ошибка", at=NOON)

        assert (status_of(coupon), coupon.void_reason) == (before, "")

    @pytest.mark.parametrize("reason", ["", "  ", "х" * 201])
    def test_it_needs_a_reason_of_sane_length(self, reason):
        coupon = CouponFactory()

        with pytest.raises(CouponNotVoidable) as refused:
            void_coupon(coupon.pk, reason=reason, at=NOON)

        assert refused.value.field == "reason"
        assert Coupon.objects.get().status == "issued"
