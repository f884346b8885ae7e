"""The demo coalition: real purchases up to yesterday, logins that work, nothing done twice."""

from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db.models import Max
from django.utils import timezone

from loyalty.models import Business, Consent, ImportJob, Member, Transaction
from loyalty.services.consents import decisions
from promos.demo import sample
from promos.demo.coalition import CHAINS, LOGINS
from promos.demo.people import MEMBER_PHONE
from promos.management.commands import demo
from promos.models import ChainAssignment, Coupon, CrossPromoChain

pytestmark = pytest.mark.django_db


@pytest.fixture
def tiny(monkeypatch):
    """The same demo over a hundredth of the members, without ClickHouse."""
    monkeypatch.setattr(sample, "SMALL_SHARE_PERCENT", 1)
    monkeypatch.setattr(demo, "ANALYTICS", ())


def run_demo() -> str:
    out = StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


def test_the_demo_ends_yesterday_and_gives_logins_that_work(tiny):
    said = run_demo()

    latest = Transaction.objects.filter(source="import").aggregate(latest=Max("created_at"))["latest"]
    assert timezone.localdate(latest) == timezone.localdate() - timedelta(days=1)
    assert Business.objects.filter(is_programme=False).count() == 20
    assert set(CrossPromoChain.objects.values_list("status", flat=True)) == {"active"}
    assert CrossPromoChain.objects.count() == len(CHAINS)
    for login in LOGINS:
        staff = authenticate(username=login.phone, password=login.password)
        assert staff.staff_memberships.get().business.code == login.business
        assert f"{login.phone}  {login.password}" in said
    assert sample.ATTRIBUTION in said
    assert "Amounts: 100 ₽ for £1." in said


def test_the_demo_member_has_a_history_and_coupons_are_redeemed_where_they_hold(tiny):
    run_demo()

    assert Member.objects.get(phone=MEMBER_PHONE).transactions.count() > 0
    redeemed = Coupon.objects.filter(status="redeemed")
    assert redeemed.count() > 0
    for coupon in redeemed:
        purchase = Transaction.objects.get(coupon=coupon)
        assert (purchase.business_id, purchase.member_id) == (coupon.business_id, coupon.member_id)
        assert coupon.valid_from <= purchase.created_at < coupon.valid_until


def test_most_members_consent_and_unclaimed_cards_do_not(tiny):
    said = run_demo()

    members = Member.objects.filter(card_number__startswith="uci-")
    advertised = members.filter(consents__purpose="advertising").distinct()
    assert 0.7 < advertised.count() / members.count() < 0.9
    assert f"Members: {members.count()}, of them " in said
    assert not advertised.filter(phone=None).exists()
    claimed = members.exclude(phone=None)
    assert Consent.objects.filter(purpose="processing").count() == claimed.count()
    shown = Member.objects.get(phone=MEMBER_PHONE)
    agreed = decisions(shown.pk)
    assert len(agreed) == Consent.objects.filter(member=shown).count() == 5
    assert all(row.granted for row in agreed.values())


def test_both_arms_come_by_themselves_and_coupons_bring_more(tiny, monkeypatch):
    monkeypatch.setattr(sample, "SMALL_SHARE_PERCENT", 4)
    said = run_demo()

    assert "who reacts is simulated, with an effect put in on purpose" in said
    invented = Transaction.objects.filter(external_id__startswith="demo-", kind="purchase")
    drawn = ChainAssignment.objects.exclude(arm="skipped").in_bulk()
    own = [drawn[UUID(each.external_id[5:])] for each in invented.filter(coupon=None)]
    assert {assignment.arm for assignment in own} == {"treatment", "control"}
    for each in invented.select_related("coupon"):
        if each.coupon is None:
            assignment = drawn[UUID(each.external_id[5:])]
        else:
            assignment = each.coupon.assignments.get()
            assert assignment.converted_id == each.pk
        counted = timedelta(days=assignment.chain.attribution_days)
        assert assignment.created_at < each.created_at <= assignment.created_at + counted
    assert invented.exclude(coupon=None).count() > invented.filter(coupon=None).count() > 0


def test_a_second_run_changes_nothing(tiny):
    run_demo()
    before = (Transaction.objects.count(), Member.objects.count(), Coupon.objects.count())

    assert run_demo().startswith("There are purchases already; the demo is left as it is.")

    assert (Transaction.objects.count(), Member.objects.count(), Coupon.objects.count()) == before


def test_an_interrupted_demo_goes_on_with_the_shift_it_began_with(tiny, monkeypatch):
    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(demo.Command, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            run_demo()
    stored = Transaction.objects.count()

    run_demo()

    again = ImportJob.objects.latest("pk")
    assert (again.created, again.refunds, again.duplicates) == (0, 0, stored)
    assert Transaction.objects.filter(source="import").count() == stored
    assert Member.objects.filter(phone=MEMBER_PHONE).count() == 1


def test_production_refuses_the_demo(settings):
    settings.PRODUCTION = True

    with pytest.raises(CommandError) as caught:
        call_command("demo")

    assert str(caught.value) == "The demo's passwords are public: it is refused in production."
    assert Transaction.objects.count() == 0
