"""Bonuses at several tills at once are spent, set aside or lapse once; without the lock it goes wrong."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal as D
from time import monotonic

import pytest
from django.db import DatabaseError, connection

from loyalty import locks
from loyalty.errors import InsufficientBonus
from loyalty.models import BonusHold, BonusLot, Transaction
from loyalty.services.api_keys import create_api_key
from loyalty.services.expiry import expire_bonuses
from promos.errors import QuoteChanged
from promos.models import Quote
from promos.services import checkout
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from promos.services.quotes import cancel_quote, make_quote
from tests.api import Caller
from tests.factories import NOON, BusinessFactory, MemberFactory, give_bonuses
from tests.model.stored import balances
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
TILLS = 50
BALANCE = D("100.00")
# Threads need not meet the first time.
TWIN_ROUNDS = 20


def patient(call):
    """Wait for locks as long as it takes: many tills on a slow machine are not the race."""

    def run():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '60s'")
        return call()

    return run


def unlock(monkeypatch):
    """Read the same members and lock none of them."""
    monkeypatch.setattr(locks, "LOCK_MEMBERS", locks.LOCK_MEMBERS.replace("FOR NO KEY UPDATE", ""))


@pytest.fixture
def shop():
    """A business that gives no bonuses and trusts its tills."""
    return BusinessFactory(can_accrue=False, requires_presence_code=False)


def rich_member(shop, *, expires_at=None):
    member = MemberFactory()
    give_bonuses(member, shop, BALANCE, at=NOON - timedelta(days=1), expires_at=expires_at)
    return member


def spending(member, shop, external_id, **fields):
    return PurchaseRequest(
        business=shop, external_id=external_id, member_id=member.pk, amount=D("500.00"), redeem=BALANCE,
        **fields,
    )  # fmt: skip


def spend_everywhere(at_once, shop, name):
    """Spend a member's whole balance at fifty tills; return what came of it."""
    member = rich_member(shop)
    requests = [spending(member, shop, f"{name}-{till}") for till in range(TILLS)]
    results = at_once(*[patient(lambda r=r: record_purchase(r, at=NOON)) for r in requests])
    balances([member.pk])
    return Counter(type(result) for result in results)


def test_of_fifty_redemptions_of_the_whole_balance_one_wins(at_once, shop, proved):
    rounds = at_length(briefly=3, full=100)
    for number in range(rounds):
        assert spend_everywhere(at_once, shop, number) == {tuple: 1, InsufficientBonus: TILLS - 1}
    assert not BonusLot.objects.exclude(remaining=0).exists()
    proved(f"{rounds} rounds")


def test_without_the_lock_redemptions_collide_and_the_database_refuses_them(at_once, shop, monkeypatch):
    unlock(monkeypatch)

    def collide(number):
        results = spend_everywhere(at_once, shop, f"twin-{number}")
        return any(issubclass(kind, DatabaseError) for kind in results)

    assert any(collide(number) for number in range(TWIN_ROUNDS))


def post_everywhere(at_once):
    member, (_, key) = MemberFactory(), create_api_key(business=BusinessFactory())
    body = {"external_id": "1", "member": {"phone": member.phone}, "amount": "1000.00"}
    post = patient(lambda: Caller(f"Api-Key {key}").post("transactions", body))
    answers = at_once(*[post] * TILLS)
    return Counter(answer.status_code for answer in answers), {answer.content for answer in answers}


def test_fifty_posts_of_one_receipt_are_one_row_and_answer_alike(at_once):
    statuses, bodies = post_everywhere(at_once)

    assert statuses == {201: 1, 200: TILLS - 1}
    assert len(bodies) == 1
    assert Transaction.objects.count() == 1


def test_without_the_lock_and_another_try_repeats_of_one_receipt_fail(at_once, shop, monkeypatch):
    unlock(monkeypatch)
    monkeypatch.setattr(checkout, "TRIES", 1)

    def collide(number):
        request = spending(rich_member(shop), shop, str(number))
        results = at_once(*[lambda: record_purchase(request, at=NOON)] * TILLS)
        assert Transaction.objects.filter(external_id=number).count() == 1
        return any(isinstance(result, DatabaseError) for result in results)

    assert any(collide(number) for number in range(TWIN_ROUNDS))


def expire_and_spend(at_once, shop, name):
    """Let bonuses of six members lapse while each spends them; return the errors of the database."""
    lapse_at = NOON + timedelta(days=1)
    members = [rich_member(shop, expires_at=lapse_at) for _ in range(6)]
    requests = [spending(m, shop, f"{name}-{i}", purchased_at=NOON) for i, m in enumerate(members)]
    pks = [member.pk for member in members]
    results = at_once(
        patient(lambda: expire_bonuses(at=lapse_at)),
        # The job looks for its members first, so the tills begin with a look, too.
        *[patient(lambda r=r: balances(pks) and record_purchase(r, at=NOON)) for r in requests],
    )
    balances(pks)
    spent = Transaction.objects.filter(member__in=pks).count()
    assert spent == len([result for result in results if isinstance(result, tuple)])
    return [result for result in results if isinstance(result, DatabaseError)], spent


def test_expiry_against_redemption_overspends_no_lot(at_once, shop, proved):
    seconds = at_length(briefly=3, full=30)
    until, rounds, spent = monotonic() + seconds, 0, 0
    while monotonic() < until:
        errors, won = expire_and_spend(at_once, shop, rounds)
        assert errors == []
        assert not BonusLot.objects.exclude(remaining=0).exists()
        rounds, spent = rounds + 1, spent + won
    proved(f"{seconds} s, {rounds} rounds, {6 * rounds} lots, {spent} spent before they lapsed")


def test_without_the_lock_expiry_and_redemption_collide(at_once, shop, monkeypatch):
    unlock(monkeypatch)
    assert any(expire_and_spend(at_once, shop, number)[0] for number in range(TWIN_ROUNDS))


def quote_twice(at_once, shop):
    member = rich_member(shop)
    quote = patient(lambda: make_quote(spending(member, shop, None), hold=True, at=NOON))
    at_once(quote, quote)
    return BonusHold.objects.filter(member=member).count()


def test_two_holds_of_the_whole_balance_at_once_are_one(at_once, shop):
    assert [quote_twice(at_once, shop) for _ in range(5)] == [1] * 5


def test_without_the_lock_the_same_bonuses_are_held_twice(at_once, shop, monkeypatch):
    unlock(monkeypatch)
    assert 2 in [quote_twice(at_once, shop) for _ in range(TWIN_ROUNDS)]


def commit_and_cancel(at_once, shop, number):
    """Use a quote and cancel it at once; return whether both came about, and what each came to."""
    member = rich_member(shop)
    quote = make_quote(spending(member, shop, None), hold=True, at=NOON).quote
    request = spending(member, shop, str(number), quote_id=quote.pk)
    bought, cancelled = at_once(
        patient(lambda: record_purchase(request, at=NOON)),
        patient(lambda: cancel_quote(quote.pk, business=shop, at=NOON)),
    )
    quote.refresh_from_db()
    return quote.transaction_id is not None and quote.cancelled_at is not None, bought, cancelled


def test_a_quote_is_used_or_cancelled_not_both(at_once, shop):
    for number in range(10):
        both, bought, cancelled = commit_and_cancel(at_once, shop, number)
        assert not both
        assert isinstance(bought, QuoteChanged | tuple)
        assert cancelled is None
        assert not BonusHold.objects.live(NOON).exists()
    assert Quote.objects.filter(transaction=None, cancelled_at=None).count() == 0


def test_without_the_lock_a_cancelled_quote_is_used_or_both_collide(at_once, shop, monkeypatch):
    unlock(monkeypatch)

    def goes_wrong(number):
        both, *results = commit_and_cancel(at_once, shop, number)
        return both or any(isinstance(result, DatabaseError) for result in results)

    assert any(goes_wrong(number) for number in range(5 * TWIN_ROUNDS))
