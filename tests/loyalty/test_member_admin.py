"""What staff see of a member's tiers and invitation."""

from decimal import Decimal as D

import pytest
from django.urls import reverse

from loyalty.models import Business, Member, Referral, TierChange
from loyalty.services.enrolment import remember_phone
from tests.factories import NOON, MemberFactory, StaffFactory
from tests.loyalty.tier_rows import paid

pytestmark = pytest.mark.django_db


def page(client, staff, member):
    client.force_login(staff)
    address = reverse("admin:loyalty_member_change", args=[member.pk])
    return client.get(address, headers={"accept-language": "en"}).content.decode()


@pytest.fixture
def programme_staff():
    return StaffFactory(business=Business.objects.get(is_programme=True)).member


@pytest.fixture
def told(member, business):
    """A member with a purchase at the business, a change of tier and a refused invitation."""
    paid(member, business, "30150.00", at=NOON)
    TierChange.objects.create(
        member=member, from_level=1, to_level=2, reason="rise", turnover_rub=D("30150.00")
    )
    Referral.objects.create(
        inviter=MemberFactory(), newcomer=member, code="ABCD2345", status="refused", reason="phone_seen"
    )
    return member


def test_programme_staff_see_the_history_and_why_an_invitation_was_refused(client, programme_staff, told):
    html = page(client, programme_staff, told)

    assert "Changes of tier" in html
    assert "30150.00" in html
    assert "ABCD2345 · refused · the phone was a member&#x27;s before" in html


def test_a_partner_sees_neither(client, business, told):
    html = page(client, StaffFactory(business=business).member, told)

    assert told.card_number in html
    assert "Changes of tier" not in html
    assert "ABCD2345" not in html


def test_a_phone_that_staff_set_counts_as_seen(client, programme_staff, member):
    client.force_login(programme_staff)
    saved = client.post(
        reverse("admin:loyalty_member_change", args=[member.pk]),
        {
            "phone": "+79161234217", "first_name": "Анна", "language": "ru", "is_active": "on",
            "tier_changes-TOTAL_FORMS": "0", "tier_changes-INITIAL_FORMS": "0",
        },
    )  # fmt: skip

    assert saved.status_code == 302
    assert Member.objects.get(pk=member.pk).phone == "+79161234217"
    assert remember_phone("+79161234217") is False
