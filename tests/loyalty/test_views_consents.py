"""Joining with three boxes, and the page where consents are given and withdrawn, without a script."""

import re

import pytest
from django.urls import reverse

from loyalty.models import Consent, Member
from loyalty.services.consents import advertising, decisions, may_advertise, may_see_person
from tests.factories import BusinessFactory, consent
from tests.loyalty.pages import PHONE, read, words

pytestmark = pytest.mark.django_db
CODE, CONSENTS = "/sign-in/code/", "/consents/"


@pytest.fixture
def asked(client, codes):
    """A newcomer who has typed the right code; returns it with the page that asks for consents."""
    client.post(reverse("member-sign-in"), {"phone": PHONE})
    code = codes[-1][1]
    return code, client.post(CODE, {"code": code}, headers={"accept-language": "en"})


def join(client, code, **boxes):
    body = {"joining": "1", "code": code, **boxes}
    return client.post(CODE, body, headers={"accept-language": "en"})


def agreed():
    return {(row.purpose, row.channel, row.partner_id, row.granted) for row in Consent.objects.all()}


def test_three_boxes_are_unticked_and_lead_to_their_texts(asked):
    html = asked[1].content.decode()

    boxes = re.findall(r'<input type="checkbox" name="(\w+)"([^>]*)>', html)
    assert [name for name, _ in boxes] == ["processing", "advertising", "handover"]
    assert not any("checked" in rest for _, rest in boxes)
    assert re.findall(r'href="/consents/2026-11/(\w+)/en/"', html) == [
        "processing",
        "advertising",
        "handover",
    ]
    assert not Member.objects.filter(phone=PHONE).exists()


def test_nobody_joins_without_the_first_box(client, asked):
    response = join(client, asked[0], advertising="on")

    assert "Without this there is nobody to give bonuses to." in words(response)
    assert "_auth_user_id" not in client.session
    assert not Member.objects.filter(phone=PHONE).exists()


def test_the_first_box_is_enough(client, asked):
    assert join(client, asked[0], processing="on").url == reverse("member-home")

    assert agreed() == {("processing", "", None, True)}
    row = Consent.objects.get()
    assert (row.member.phone, row.ip, row.language) == (PHONE, "127.0.0.1", "en")


def test_every_box_is_a_consent_of_its_own(client, asked):
    tea = BusinessFactory(code="TEA")

    join(client, asked[0], processing="on", advertising="on", handover="on", partner="TEA")

    assert agreed() == {
        ("processing", "", None, True),
        *(("advertising", channel, None, True) for channel in ("inapp", "sms", "email", "push")),
        ("handover", "", tea.pk, True),
    }


@pytest.mark.parametrize("partner", ["", "NOBODY", "KRUG"])
def test_a_handover_names_its_partner(client, asked, partner):
    response = join(client, asked[0], processing="on", handover="on", partner=partner)

    assert response.status_code == 200
    assert 'id="id_partner_error"' in response.content.decode()
    assert not Consent.objects.exists()


def test_a_code_that_ran_out_while_reading_leads_back(client, codes, asked):
    client.post(reverse("member-sign-in"), {"phone": PHONE})

    response = join(client, asked[0], processing="on")

    assert "The code did not fit." in words(response)
    assert not Member.objects.filter(phone=PHONE).exists()


def test_a_known_member_is_not_asked(client, codes, member):
    client.post(reverse("member-sign-in"), {"phone": member.phone})

    assert client.post(CODE, {"code": codes[-1][1]}).url == reverse("member-home")

    assert not Consent.objects.exists()


def ticked(html):
    return re.findall(r'name="(?:channels" value=")?(\w+)"[^>]* checked', html)


def test_the_page_shows_what_holds_and_saves_what_is_ticked(signed_in, member):
    consent(member, channel="sms")
    assert ticked(signed_in.get(CONSENTS).content.decode()) == ["sms"]

    saved = signed_in.post(CONSENTS, {"channels": ["inapp", "push"]}, follow=True)

    assert saved.redirect_chain == [(CONSENTS, 302)]
    assert ticked(saved.content.decode()) == ["inapp", "push"]
    said = {subject.channel: row.granted for subject, row in decisions(member.pk).items()}
    assert said == {"sms": False, "inapp": True, "push": True}


def test_a_partner_is_an_exception_either_way(signed_in, member):
    tea, books = BusinessFactory(code="TEA"), BusinessFactory(code="BOOKS")
    consent(member)

    signed_in.post(CONSENTS, {"partner": "TEA", "handover": "on"})
    signed_in.post(CONSENTS, {"partner": "BOOKS", "channels": ["inapp", "sms"]})

    def advertised(partner, channel):
        return bool(may_advertise([member.pk], channel=channel, partner_id=partner.pk))

    assert (advertised(tea, "inapp"), advertised(books, "inapp"), advertised(books, "sms")) == (
        False, True, True,
    )  # fmt: skip
    assert may_see_person([member.pk], tea.pk) == {member.pk}
    assert may_see_person([member.pk], books.pk) == set()
    # Nothing was said that held already.
    assert advertising("inapp", books.pk) not in decisions(member.pk)


def test_a_chosen_partner_is_open_with_what_holds_for_the_circle(signed_in, member):
    BusinessFactory(code="TEA", name="Чайная")
    consent(member, channel="email")

    html = signed_in.get(f"{CONSENTS}?partner=TEA").content.decode()

    card = re.search(r'<details class="card partner-card" open id="TEA">.*?</details>', html, re.DOTALL)[0]
    assert ticked(card) == ["email"]
    assert not Consent.objects.exclude(channel="email").exists()


def test_what_a_partner_that_left_was_allowed_can_be_withdrawn(signed_in, member):
    gone = BusinessFactory(code="GONE", is_active=False)
    consent(member, purpose="handover", partner=gone)

    signed_in.post(CONSENTS, {"partner": "GONE"})

    assert may_see_person([member.pk], gone.pk) == set()


def test_one_button_ends_all_advertising(signed_in, member, business):
    consent(member, channel="sms")
    consent(member, partner=business)

    page = signed_in.post(CONSENTS, {"stop": "1", "channels": ["sms"]}, follow=True)

    assert ticked(page.content.decode()) == []
    assert not any(row.granted for row in decisions(member.pk).values())
    assert "No advertising at all" not in words(page)


@pytest.mark.parametrize("body", [{"channels": ["fax"]}, {"partner": "NOBODY"}, {"partner": "KRUG"}], ids=str)
def test_what_the_page_does_not_offer_is_refused(signed_in, member, body):
    response = signed_in.post(CONSENTS, body, headers={"accept-language": "en"})

    assert response.status_code == 400
    assert "Nothing was saved" in words(response)
    assert not Consent.objects.exists()


def test_a_member_from_before_may_agree_to_processing(signed_in, member):
    assert "I agree" in read(signed_in, CONSENTS, "en")

    signed_in.post(CONSENTS, {"agree": "1"})

    assert agreed() == {("processing", "", None, True)}
    assert "Given: today" in read(signed_in, CONSENTS, "en")


def test_the_page_is_for_members(client):
    assert client.get(CONSENTS).url == "/sign-in/?next=/consents/"
    assert client.post(CONSENTS, {"stop": "1"}).url == "/sign-in/?next=/consents/"


@pytest.mark.parametrize("number", [1, 3])
def test_the_page_costs_the_same_for_one_partner_as_for_three(
    signed_in, member, number, django_assert_num_queries
):
    for _ in range(number):
        consent(member, purpose="handover", partner=BusinessFactory())

    with django_assert_num_queries(5):  # session, member, decisions, their partners, the others
        signed_in.get(CONSENTS)
