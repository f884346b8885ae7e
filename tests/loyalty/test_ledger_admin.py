"""What staff see of quotes, lots and refunds that wait."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.urls import reverse
from django.utils import timezone

from loyalty.models import BonusLot, Business, ParkedRefund
from promos.models import Quote
from promos.services.quotes import cancel_quote, make_quote
from tests.factories import BusinessFactory, StaffFactory, give_bonuses
from tests.promos.requests import purchase, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(business):
    return StaffFactory(business=business).member


@pytest.fixture
def programme():
    return StaffFactory(business=Business.objects.get(is_programme=True)).member


def read(client, person, name, *arguments, query=""):
    client.force_login(person)
    address = reverse(f"admin:{name}", args=arguments) + query
    return client.get(address, headers={"accept-language": "en"}).content.decode()


def park(business, member, receipt, *, days):
    now = timezone.now()
    return ParkedRefund.objects.create(
        business=business, member=member, external_id=receipt, refund_of="none", amount=D("10.00"),
        purchased_at=now, request_hash=receipt, source="batch", created_at=now - timedelta(days=days),
    )  # fmt: skip


def test_a_quote_tells_what_was_promised_and_what_became_of_it(client, member, business, owner):
    now = timezone.now()
    give_bonuses(member, business, "100.00", at=now - timedelta(days=1))
    bill = purchase(member, business, None, "400.00", redeem=D("40.00"), purchased_at=None)
    quote = make_quote(bill, hold=True, at=now).quote

    page = read(client, owner, "promos_quote_change", quote.pk)
    for words in ("400\u202f₽", "40 bonuses", "+10.80", "valid"):
        assert words in page

    cancel_quote(quote.pk, business=business, at=now)
    assert "cancelled by the till" in read(client, owner, "promos_quote_changelist")
    Quote.objects.update(cancelled_at=None, expires_at=now)
    assert "run out" in read(client, owner, "promos_quote_changelist")


def test_a_partner_sees_of_a_lot_what_was_given_or_honoured_there(client, member, business, owner, programme):
    lot = give_bonuses(member, business, "100.00")
    elsewhere = BusinessFactory(name="Соседняя лавка", can_accrue=False, requires_presence_code=False)
    third = BusinessFactory(name="Третья лавка", can_accrue=False, requires_presence_code=False)
    spend(member, "20.00", business=elsewhere)
    spend(member, "30.00", business=third)
    neighbour = StaffFactory(business=elsewhere).member
    assert BonusLot.objects.get().remaining == D("50.00")

    for person in (programme, owner):
        page = read(client, person, "loyalty_bonuslot_change", lot.pk)
        assert [text in page for text in ("+100", "−20", "−30", "Третья лавка")] == [True] * 4
    page = read(client, neighbour, "loyalty_bonuslot_change", lot.pk)
    assert [text in page for text in ("−20", "−30", "Третья лавка")] == [True, False, False]


def test_refunds_that_wait_too_long_are_marked_filtered_and_told_on_the_first_page(
    client, member, business, owner, programme, settings
):
    settings.PARKED_REFUND_DAYS = 30
    park(business, member, "old-receipt", days=30)
    park(business, member, "new-receipt", days=29)
    park(BusinessFactory(), member, "their-receipt", days=31)

    everything = read(client, owner, "loyalty_parkedrefund_changelist")
    assert "old-receipt" in everything
    assert "new-receipt" in everything
    filtered = read(client, owner, "loyalty_parkedrefund_changelist", query="?wait=long")
    assert "old-receipt" in filtered
    assert "new-receipt" not in filtered
    assert "1 refund has waited for its purchase for over 30 days." in read(client, owner, "index")
    assert "2 refunds have waited for their purchases" in read(client, programme, "index")


def test_nothing_is_said_while_no_refund_waits_too_long(client, member, business, owner):
    park(business, member, "new-receipt", days=1)

    assert "waited for" not in read(client, owner, "index")


def test_programme_staff_set_the_categories_that_earn_nothing(client, business, programme):
    client.force_login(programme)
    address = reverse("admin:loyalty_business_change", args=[business.pk])
    form = client.get(address).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    values = {name: value for name, value in values.items() if value is not None}

    saved = client.post(address, {**values, "no_earn_categories": "Табак, Подарочные карты"})

    assert saved.status_code == 302, saved.context["adminform"].form.errors
    business.refresh_from_db()
    assert business.no_earn_categories == ["Табак", "Подарочные карты"]
