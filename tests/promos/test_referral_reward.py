"""The newcomer's first large purchase rewards both, once, and its refund in time undoes it."""

from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from loyalty.models import Bonus, BonusEntry, BonusLot, Business, Member, Referral, ReferralCode, StatusTier
from loyalty.services.enrolment import join
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.quotes import make_quote
from tests.factories import NOON, BusinessFactory, MemberFactory
from tests.promos.requests import entries_of, purchase, refund

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound_ledger")]
FORTNIGHT = timedelta(days=14)


@pytest.fixture
def shop():
    """A business that gives no bonuses of its own."""
    return BusinessFactory(can_accrue=False, requires_presence_code=False)


@pytest.fixture
def newcomer(member):
    return invited_by(member)


def invited_by(inviter):
    phone = f"+7916{Member.objects.count():07}"
    return join(phone=phone, referral_code=inviter.referral_code)[0]


def buy(member, shop, external_id="1", amount="500.00", *, at=NOON):
    return record_purchase(purchase(member, shop, external_id, amount, purchased_at=at), at=at)[0]


def give_back(shop, external_id="1", amount="500.00", *, at):
    return record_refund(refund(shop, f"R{at}", external_id, amount, purchased_at=at), at=at)[0]


def bonuses(member):
    bonus = Bonus.objects.filter(member=member).first()
    return (bonus.balance, bonus.pending, bonus.debt) if bonus else (0, 0, 0)


def outcome_for(newcomer):
    return Referral.objects.values_list("status", "reason").get(newcomer=newcomer)


def rewarded(inviter):
    return ReferralCode.objects.get(member=inviter).rewarded_count


def test_both_are_rewarded_by_the_programme_and_wait_a_fortnight(member, newcomer, shop):
    bought = buy(newcomer, shop)

    assert (bonuses(newcomer), bonuses(member)) == ((0, D(150), 0), (0, D(300), 0))
    programme = Business.objects.get(is_programme=True)
    for lot in BonusLot.objects.all():
        assert (lot.kind, lot.issuer, lot.transaction) == ("referral", programme, bought)
        assert lot.available_from == NOON + FORTNIGHT
    [gift] = [rule for rule in bought.explanation["rules"] if rule["rule"] == "referral"]
    assert (gift["applied"], gift["effect"]) == (True, "150.00")
    assert bought.bonus_accrued == 0
    referral = Referral.objects.get()
    assert (referral.status, referral.transaction, referral.settled_at) == ("rewarded", bought, NOON)
    assert rewarded(member) == 1


def test_only_the_first_purchase_of_enough_rewards(member, newcomer, shop):
    buy(newcomer, shop, "small", "499.99")
    small = bonuses(newcomer)
    buy(newcomer, shop, "enough", "500.00")
    buy(newcomer, shop, "again", "5000.00")

    assert (small, bonuses(newcomer), bonuses(member)) == ((0, 0, 0), (0, D(150), 0), (0, D(300), 0))
    assert Referral.objects.get().transaction.external_id == "enough"


def test_one_call_with_both_of_them_rewards_once(member, newcomer, shop):
    requests = [
        purchase(member, shop, "inviter"), purchase(newcomer, shop, "1"), purchase(newcomer, shop, "2"),
    ]  # fmt: skip

    record_many(requests, at=NOON)

    assert (bonuses(newcomer), bonuses(member)) == ((0, D(150), 0), (0, D(300), 0))


def test_a_quote_for_a_newcomer_promises_the_purchase_alone(newcomer, shop):
    quoted = make_quote(purchase(newcomer, shop, purchased_at=None), hold=False, at=NOON)

    assert quoted.row.bonus_accrued == 0
    assert outcome_for(newcomer) == ("joined", "")
    assert not BonusLot.objects.exists()


def test_an_inviter_who_left_brings_nothing_to_either(member, newcomer, shop):
    Member.objects.filter(pk=member.pk).update(is_active=False, anonymised_at=NOON)

    bought = buy(newcomer, shop)

    assert outcome_for(newcomer) == ("refused", "inviter_left")
    assert not BonusLot.objects.exists()
    assert "referral" not in {rule["rule"] for rule in bought.explanation["rules"]}


def test_ten_are_rewarded_in_a_month_and_the_next_month_anew(member, shop):
    last = datetime(2026, 6, 30, 23, 59, tzinfo=timezone.get_default_timezone())
    newcomers = [invited_by(member) for _ in range(12)]

    for number, newcomer in enumerate(newcomers[:11]):
        buy(newcomer, shop, str(number), at=last)
    buy(newcomers[11], shop, "11", at=last + timedelta(minutes=1))

    assert [outcome_for(newcomer)[0] for newcomer in newcomers] == ["rewarded"] * 10 + ["refused", "rewarded"]
    assert outcome_for(newcomers[10]) == ("refused", "monthly_limit")
    assert bonuses(newcomers[10]) == (0, 0, 0)
    assert bonuses(member)[1] == D("3300.00")
    assert rewarded(member) == 11


def test_the_limit_holds_within_one_call(member, shop, settings):
    settings.REFERRAL_MONTHLY_LIMIT = 2
    newcomers = [invited_by(member) for _ in range(3)]

    record_many([purchase(newcomer, shop, str(n)) for n, newcomer in enumerate(newcomers)], at=NOON)

    assert [outcome_for(newcomer)[0] for newcomer in newcomers] == ["rewarded", "rewarded", "refused"]
    assert bonuses(member)[1] == D("600.00")


# --- Refunds -----------------------------------------------------------------------------------------


def test_a_refund_within_the_fortnight_undoes_both(member, newcomer, shop):
    buy(newcomer, shop)

    back = give_back(shop, at=NOON + FORTNIGHT - timedelta(seconds=1))

    assert (bonuses(newcomer), bonuses(member)) == ((0, 0, 0), (0, 0, 0))
    assert outcome_for(newcomer) == ("voided", "refunded")
    assert rewarded(member) == 0
    [gift] = [rule for rule in back.explanation["rules"] if rule["rule"] == "referral"]
    assert gift["effect"] == "-150.00"
    assert entries_of(member) == [("accrual", D(300)), ("reversal", D(-300))]


def test_a_refund_after_the_fortnight_leaves_them(member, newcomer, shop):
    buy(newcomer, shop)

    give_back(shop, at=NOON + FORTNIGHT)

    assert (sum(bonuses(newcomer)), sum(bonuses(member))) == (D(150), D(300))
    assert outcome_for(newcomer)[0] == "rewarded"


@pytest.mark.parametrize(("amount", "status"), [("500.00", "rewarded"), ("500.01", "voided")])
def test_it_is_undone_once_less_than_the_least_purchase_is_left(newcomer, shop, amount, status):
    buy(newcomer, shop, amount="1000.00")

    give_back(shop, amount="100.00", at=NOON + timedelta(days=1))
    before = outcome_for(newcomer)[0]
    give_back(shop, amount=D(amount) - 100, at=NOON + timedelta(days=2))

    assert (before, outcome_for(newcomer)[0]) == ("rewarded", status)


def test_an_undone_one_still_counts_against_the_month_and_is_not_paid_again(member, newcomer, shop, settings):
    settings.REFERRAL_MONTHLY_LIMIT = 1
    buy(newcomer, shop)
    give_back(shop, at=NOON + timedelta(hours=1))
    other = invited_by(member)

    buy(newcomer, shop, "2", at=NOON + timedelta(hours=2))
    buy(other, shop, "3", at=NOON + timedelta(hours=2))

    assert outcome_for(newcomer)[0] == "voided"
    assert outcome_for(other) == ("refused", "monthly_limit")
    assert bonuses(member) == (0, 0, 0)


def test_a_reward_that_repaid_debt_is_taken_back_as_debt(shop, business):
    inviter = MemberFactory(status_tier=StatusTier.objects.get(level=2))  # overdraft 300
    buy(inviter, business, "big", "2000.00")  # 100.00
    record_purchase(purchase(inviter, shop, "spent", "1000.00", redeem=D("100.00")), at=NOON)
    give_back(business, "big", "2000.00", at=NOON + timedelta(hours=1))
    newcomer = invited_by(inviter)
    in_debt = bonuses(inviter)

    buy(newcomer, shop, at=NOON + timedelta(days=1))
    repaid = bonuses(inviter)
    give_back(shop, at=NOON + timedelta(days=2))

    assert (in_debt, repaid, bonuses(inviter)) == ((0, 0, D(100)), (0, D(200), 0), (0, 0, D(100)))
    assert BonusEntry.objects.filter(member=inviter).last().kind == "debt"


# --- Locks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["member", "newcomer"])
@pytest.mark.usefixtures("spelled_out")
def test_both_are_locked_in_the_order_of_their_keys(member, newcomer, shop, first):
    inviter = member if first == "member" else MemberFactory()
    if first == "newcomer":
        newcomer = invited_by(inviter)

    with CaptureQueriesContext(connection) as queries:
        buy(newcomer, shop)

    locking = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert inviter.pk.hex in locking[-1]
    assert newcomer.pk.hex in locking[-1]
    assert all("ORDER BY id FOR NO KEY UPDATE" in sql for sql in locking)


def test_a_refund_after_the_waiting_time_takes_spent_bonuses_from_the_reward(member, newcomer):
    shop, later = BusinessFactory(requires_presence_code=False), NOON + FORTNIGHT
    buy(newcomer, shop, amount="1000.00")  # 30.00, and 150.00 for the invitation
    spending = purchase(newcomer, shop, "2", "150.00", redeem=D("30.00"), purchased_at=later)
    record_purchase(spending, at=later)

    refunded = give_back(shop, amount="1000.00", at=later)

    assert refunded.explanation["refund"]["taken_back"] == "30.00"
    assert BonusLot.objects.get(member=newcomer, kind="referral").remaining == D("120.00")
