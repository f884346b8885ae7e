"""What staff see of a member's tiers and invitation."""

from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from loyalty.models import Business, Member, Referral, TierChange
from loyalty.services.enrolment import remember_phone
from tests.factories import NOON, MemberFactory, StaffFactory, consent
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


def test_a_partner_sees_first_name_and_masked_phone(client, business, told):
    Member.objects.filter(pk=told.pk).update(last_name="Белова", phone="+79161234217")

    html = page(client, StaffFactory(business=business).member, told)

    assert "Анна" in html
    assert "+7 ••• •••-42-17" in html
    assert "Белова" not in html


def test_a_partner_sees_the_person_who_agreed_to_that(client, business, told):
    Member.objects.filter(pk=told.pk).update(last_name="Белова", phone="+79161234217")
    consent(told, purpose="handover", partner=business)
    staff, stranger = StaffFactory(business=business).member, StaffFactory().member
    paid(told, stranger.staff_memberships.get().business, "100.00", at=NOON)

    for shown in ("Анна Белова", "+7 916 123-42-17"):
        assert shown in page(client, staff, told).replace("\xa0", " ")
    assert "Белова" not in page(client, stranger, told)

    consent(told, purpose="handover", partner=business, granted=False)
    assert "Белова" not in page(client, staff, told)


@pytest.mark.parametrize("model", ["member", "transaction"])
def test_a_list_asks_once_whom_it_may_name(client, business, model, django_assert_num_queries):
    staff = StaffFactory(business=business).member
    client.force_login(staff)
    address = reverse(f"admin:loyalty_{model}_changelist")
    agreed = MemberFactory(last_name="Белова")
    consent(agreed, purpose="handover", partner=business)
    paid(agreed, business, "100.00", at=NOON)
    client.get(address)

    with CaptureQueriesContext(connection) as alone:
        assert "Анна Белова" in client.get(address).content.decode()
    for _ in range(3):
        paid(MemberFactory(last_name="Чужой"), business, "100.00", at=NOON)

    with django_assert_num_queries(len(alone)):
        html = client.get(address).content.decode()
    assert (html.count("Анна Белова"), html.count("Чужой")) == (1, 0)
