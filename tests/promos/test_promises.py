"""A purchase that names a quote keeps its promise, or uses nothing of it up."""

from datetime import timedelta
from decimal import Decimal as D
from uuid import uuid4

import pytest

from loyalty.errors import InsufficientBonus, InvalidPurchase, PresenceCodeInvalid
from loyalty.models import BonusLot, Referral, Transaction
from loyalty.services.presence import issue_code
from loyalty.services.verification import verify_ledger
from promos.models import Quote
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.purchases import Status
from promos.services.quotes import make_quote
from tests.factories import NOON, BusinessFactory, MemberFactory, invite
from tests.promos.requests import purchase, refund

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]


def spend(member, business, external_id, redeem, **fields):
    return purchase(member, business, external_id, redeem=D(redeem), till=uuid4(), **fields)


def test_a_wrong_code_leaves_the_quote_for_another_try(member, business):
    record_purchase(purchase(member, business), at=NOON)  # 30.00
    quote = make_quote(spend(member, business, None, "30.00"), hold=True, at=NOON).quote
    request = spend(member, business, "2", "30.00", quote_id=quote.pk, presence_code="000000")

    [refused] = record_many([request], at=NOON)

    assert isinstance(refused.error, PresenceCodeInvalid)
    assert Quote.objects.get().transaction is None
    code = issue_code(member.pk, at=NOON).code
    right = spend(member, business, "2", "30.00", quote_id=quote.pk, presence_code=code)
    transaction, created = record_purchase(right, at=NOON)
    assert created
    assert Quote.objects.get().transaction == transaction


def test_a_newcomer_may_ask_for_a_quote(member, business):
    inviter = MemberFactory()
    invite(inviter, member)

    quoted = make_quote(purchase(member, business, None), hold=False, at=NOON)

    assert quoted.row.bonus_accrued == D("30.00")
    assert Referral.objects.get().status == Referral.Status.JOINED


def test_bonuses_set_aside_are_free_once_their_purchase_is_recorded():
    member, business = MemberFactory(), BusinessFactory(requires_presence_code=False, pending_days=1)
    record_purchase(purchase(member, BusinessFactory()), at=NOON)  # 30.00
    quote = make_quote(spend(member, business, None, "10.00"), hold=True, at=NOON).quote

    outcomes = record_many(
        [
            spend(member, business, "2", "10.00", quote_id=quote.pk),
            spend(member, business, "3", "20.00"),
        ],
        at=NOON + timedelta(minutes=1),
    )

    assert [outcome.status for outcome in outcomes] == [Status.CREATED, Status.CREATED]


def test_a_refund_may_take_what_is_set_aside(member):
    shop = BusinessFactory(requires_presence_code=False)
    record_purchase(purchase(member, shop), at=NOON)  # 30.00
    quote = make_quote(spend(member, shop, None, "30.00"), hold=True, at=NOON).quote
    later = NOON + timedelta(minutes=1)

    record_refund(refund(shop, "R", "1001", "1000.00", purchased_at=later), at=later)

    assert not [finding for finding in verify_ledger(at=later) if finding.wrong]
    promised = spend(member, shop, "2", "30.00", quote_id=quote.pk, purchased_at=later)
    with pytest.raises(InsufficientBonus):
        record_purchase(promised, at=later)


def test_many_newcomers_of_many_inviters_in_one_batch(business):
    newcomers = [MemberFactory() for _ in range(6)]
    for newcomer in newcomers:
        invite(MemberFactory(), newcomer)

    record_many([purchase(n, business, str(i)) for i, n in enumerate(newcomers)], at=NOON)

    assert set(Referral.objects.values_list("status", flat=True)) == {"rewarded"}
    assert BonusLot.objects.filter(kind="referral").count() == 12


def test_lines_must_add_up_to_the_amount_of_the_quote(member, business):
    quote = make_quote(purchase(member, business, None), hold=False, at=NOON).quote
    lines = [{"amount": "999.00"}]

    with pytest.raises(InvalidPurchase) as refusal:
        record_purchase(purchase(member, business, lines=lines, quote_id=quote.pk), at=NOON)

    assert refusal.value.field == "lines"
    assert not Transaction.objects.exists()
