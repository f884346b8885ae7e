"""Bonuses are spent by lots, within what is available and what the bill allows, with the member present."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from uuid import uuid4

import pytest

from loyalty.errors import ExternalIdReused, InsufficientBonus, PresenceCodeInvalid, RedemptionLimitExceeded
from loyalty.models import Bonus, BonusEntry, BonusLot, Transaction
from loyalty.services.presence import issue_code
from promos.errors import QuoteChanged
from promos.models import Quote
from promos.services.checkout import record_many, record_purchase
from promos.services.purchases import Status
from promos.services.quotes import make_quote
from tests.factories import NOON, BusinessFactory, MemberFactory, give_bonuses
from tests.promos.requests import purchase

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes", "sound_ledger")]
LAPSE = datetime(2027, 6, 15, 21, 0, tzinfo=UTC)  # the end of 15 June 2027 in Moscow


@pytest.fixture
def shop():
    """A business that takes bonuses, gives none and needs no code."""
    return BusinessFactory(can_accrue=False, requires_presence_code=False)


def days(count):
    return timedelta(days=count)


def spend(member, shop, redeem, amount="1000.00", **fields):
    return purchase(member, shop, amount=amount, redeem=D(redeem), **fields)


def redeemed(member):
    entries = BonusEntry.objects.filter(member=member, kind="redemption").order_by("position")
    return [(entry.lot.issuer, -entry.amount) for entry in entries.select_related("lot__issuer")]


# --- Which lots --------------------------------------------------------------------------------------


def test_lots_are_spent_soonest_expiry_first_then_oldest(member, shop):
    first, second, late, soon = [BusinessFactory() for _ in range(4)]
    give_bonuses(member, late, "50.00", expires_at=LAPSE + days(30))
    give_bonuses(member, first, "50.00", expires_at=LAPSE)
    give_bonuses(member, second, "50.00", expires_at=LAPSE)
    give_bonuses(member, soon, "50.00", expires_at=LAPSE - days(30))

    transaction, _ = record_purchase(spend(member, shop, "170.00"), at=NOON)

    assert redeemed(member) == [(soon, D(50)), (first, D(50)), (second, D(50)), (late, D(20))]
    assert (transaction.bonus_redeemed, transaction.amount_paid) == (D("170.00"), D("830.00"))
    assert Bonus.objects.get(member=member).balance == D("30.00")


def test_one_entry_per_lot_names_who_honoured_it(member, business, shop):
    for _lot in range(2):
        give_bonuses(member, business, "50.00")

    transaction, _ = record_purchase(spend(member, shop, "80.00"), at=NOON)

    entries = BonusEntry.objects.filter(transaction=transaction)
    assert [entry.amount for entry in entries.order_by("position")] == [D("-50.00"), D("-30.00")]
    assert {entry.honoured_by for entry in entries} == {shop}
    assert len({entry.lot_id for entry in entries}) == 2
    assert set(BonusLot.objects.values_list("remaining", flat=True)) == {D("0.00"), D("20.00")}


def test_a_purchase_earns_on_what_is_left_of_the_bill(member, business):
    business.requires_presence_code = False
    give_bonuses(member, business, "200.00")

    transaction, _ = record_purchase(spend(member, business, "200.00"), at=NOON)

    assert transaction.bonus_accrued == D("24.00")  # 3 % of 800.00
    assert Bonus.objects.get(member=member).balance == D("24.00")
    rules = {rule["rule"]: rule for rule in transaction.explanation["rules"]}
    assert rules["redemption"]["params"] == {"spent": "200.00", "limit": "200.00"}


# --- How much ----------------------------------------------------------------------------------------


def test_more_than_available_is_refused_and_nothing_is_stored(member, business, shop):
    give_bonuses(member, business, "99.99")

    with pytest.raises(InsufficientBonus) as refusal:
        record_purchase(spend(member, shop, "100.00"), at=NOON)

    assert refusal.value.field == "redeem"
    assert not Transaction.objects.exists()
    assert Bonus.objects.get(member=member).balance == D("99.99")


@pytest.mark.parametrize(
    ("terms", "limit"),
    [
        ({}, "200.00"),
        ({"redemption_cap_percent": D("15")}, "150.00"),
        ({"redemption_cap_percent": D("90")}, "200.00"),  # the tier's 20 % is lower
        ({"redemption_cap_percent": D("0")}, "0.00"),
        ({"can_redeem": False}, "0.00"),
    ],
)
def test_the_lower_cap_of_tier_and_business_limits_the_share_of_the_bill(member, business, terms, limit):
    shop = BusinessFactory(requires_presence_code=False, **terms)
    give_bonuses(member, business, "500.00")

    with pytest.raises(RedemptionLimitExceeded) as refusal:
        record_purchase(spend(member, shop, D(limit) + D("0.01")), at=NOON)
    if D(limit):
        record_purchase(spend(member, shop, limit), at=NOON)

    assert refusal.value.field == "redeem"
    assert Bonus.objects.get(member=member).balance + D(limit) >= D("500.00")


def test_pending_lots_are_spent_from_the_first_moment_they_are_available(member, business, shop):
    give_bonuses(member, business, "100.00", available_from=NOON + days(14))
    request = spend(member, shop, "100.00", purchased_at=NOON + days(14) - timedelta(microseconds=1))

    with pytest.raises(InsufficientBonus):
        record_purchase(request, at=request.purchased_at)
    record_purchase(replace(request, purchased_at=NOON + days(14)), at=NOON + days(14))

    bonus = Bonus.objects.get(member=member)
    assert (bonus.balance, bonus.pending) == (0, 0)


def test_what_has_lapsed_is_not_spent_though_no_job_has_run(member, business, shop):
    give_bonuses(member, business, "100.00", expires_at=LAPSE)
    request = spend(member, shop, "100.00", purchased_at=LAPSE)

    with pytest.raises(InsufficientBonus):
        record_purchase(request, at=LAPSE)
    record_purchase(
        replace(request, purchased_at=LAPSE - timedelta(microseconds=1)), at=LAPSE - timedelta(microseconds=1)
    )

    assert Bonus.objects.get(member=member).balance == 0


def test_what_is_held_for_another_bill_is_not_spent_until_the_hold_is_over(member, business, shop):
    give_bonuses(member, business, "150.00")
    make_quote(spend(member, shop, "100.00", purchased_at=None), hold=True, at=NOON)
    minutes = [timedelta(minutes=14, seconds=59), timedelta(minutes=15)]
    early, late = (spend(member, shop, "51.00", purchased_at=NOON + passed) for passed in minutes)

    with pytest.raises(InsufficientBonus):
        record_purchase(early, at=early.purchased_at)
    record_purchase(late, at=late.purchased_at)

    assert Bonus.objects.get(member=member).balance == D("99.00")


def test_the_purchase_of_a_quote_spends_what_the_quote_holds(member, business, shop):
    give_bonuses(member, business, "100.00")
    request = spend(member, shop, "100.00", purchased_at=None)
    quoted = make_quote(request, hold=True, at=NOON)

    transaction, _ = record_purchase(replace(request, quote_id=quoted.quote.pk), at=NOON)

    quote = Quote.objects.select_related("hold").get()
    assert (quote.transaction_id, quote.hold.released_at) == (transaction.pk, NOON)
    assert Bonus.objects.get(member=member).balance == 0


def test_a_quote_of_before_a_rise_is_not_kept_and_says_what_changed(member, business):
    request = purchase(member, business, amount="1000.00", purchased_at=None)
    quoted = make_quote(request, hold=False, at=NOON)
    record_purchase(purchase(member, business, "big", "30000.00"), at=NOON)

    with pytest.raises(QuoteChanged) as refusal:
        record_purchase(replace(request, quote_id=quoted.quote.pk), at=NOON)

    assert refusal.value.details["fields"] == ["bonus_accrued"]
    assert Transaction.objects.count() == 1
    assert Quote.objects.get().transaction is None


def test_purchases_of_one_call_spend_one_after_the_other(member, business, shop):
    give_bonuses(member, business, "150.00")
    requests = [spend(member, shop, "100.00", external_id=str(number)) for number in range(2)]

    first, second = record_many(requests, at=NOON)

    assert first.status == Status.CREATED
    assert isinstance(second.error, InsufficientBonus)
    assert Bonus.objects.get(member=member).balance == D("50.00")


# --- Presence ----------------------------------------------------------------------------------------


@pytest.fixture
def guarded():
    return BusinessFactory(can_accrue=False, requires_presence_code=True)


def shown(member, shop, code, **fields):
    return spend(member, shop, "50.00", presence_code=code, till=uuid4(), purchased_at=None, **fields)


def test_presence_is_needed_to_spend_but_not_to_earn(member, business, guarded):
    give_bonuses(member, business, "100.00")

    with pytest.raises(PresenceCodeInvalid) as refusal:
        record_purchase(spend(member, guarded, "50.00"), at=NOON)
    record_purchase(purchase(member, guarded), at=NOON)

    assert refusal.value.field == "presence_code"
    assert Transaction.objects.get().bonus_redeemed == 0


def test_a_code_is_good_for_one_receipt_and_its_repeats(member, business, guarded):
    give_bonuses(member, business, "100.00")
    request = shown(member, guarded, issue_code(member.pk, at=NOON).code)

    first, created = record_purchase(request, at=NOON)
    again, repeated = record_purchase(request, at=NOON + timedelta(minutes=5))
    with pytest.raises(PresenceCodeInvalid):
        record_purchase(replace(request, external_id="other"), at=NOON)

    assert (created, repeated, again.pk) == (True, False, first.pk)
    assert Bonus.objects.get(member=member).balance == D("50.00")


def test_anothers_code_is_refused(member, business, guarded):
    give_bonuses(member, business, "100.00")
    code = issue_code(MemberFactory().pk, at=NOON).code

    with pytest.raises(PresenceCodeInvalid):
        record_purchase(shown(member, guarded, code), at=NOON)

    assert not Transaction.objects.exists()


def test_a_refused_purchase_does_not_use_the_code_up(member, business, guarded):
    give_bonuses(member, business, "100.00")
    request = shown(member, guarded, issue_code(member.pk, at=NOON).code)

    with pytest.raises(InsufficientBonus):
        record_purchase(replace(request, redeem=D("100.01")), at=NOON)
    _, created = record_purchase(replace(request, external_id="other"), at=NOON)

    assert created


def test_a_quote_is_not_used_up_by_a_purchase_without_presence(member, business, guarded):
    give_bonuses(member, business, "100.00")
    request = replace(shown(member, guarded, None), till=None)
    quoted = make_quote(request, hold=True, at=NOON)
    named = replace(request, quote_id=quoted.quote.pk)

    with pytest.raises(PresenceCodeInvalid):
        record_purchase(named, at=NOON)
    code = issue_code(member.pk, at=NOON).code
    _, created = record_purchase(replace(named, presence_code=code, till=uuid4()), at=NOON)

    assert created


# --- Repeats -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("redeem", ["0.00", "20.00", "50.00"])
def test_a_repeat_that_spends_otherwise_is_refused_naming_it(member, business, shop, redeem):
    give_bonuses(member, business, "100.00")
    record_purchase(spend(member, shop, "40.00"), at=NOON)

    with pytest.raises(ExternalIdReused) as refusal:
        record_purchase(spend(member, shop, redeem), at=NOON)

    assert refusal.value.details["fields"] == ["redeem"]
    assert Bonus.objects.get(member=member).balance == D("60.00")
