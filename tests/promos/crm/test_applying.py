"""Messages become purchases and refunds: each once, whatever comes twice, too early or cannot be read."""

import time
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import OperationalError
from django.utils import timezone

from loyalty.models import CrmIntegration, CrmMessage, ParkedRefund, Transaction
from promos.crm import applying
from promos.crm.applying import apply_due, apply_message, forget_old_messages, replay
from promos.crm.integrations import store
from tests.factories import BusinessFactory, MemberFactory
from tests.promos.crm.messages import MAPPING, connect, encoded, sale

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound_ledger")]


@pytest.fixture
def member(db):
    return MemberFactory(phone="+79260000010", card_number="77")


@pytest.fixture
def crm(member, business):
    return connect(business)[0]


def keep(crm, message, *, at=None):
    at = at or timezone.now()
    digest = f"{CrmMessage.objects.count():064}"
    store(crm, {digest: encoded(message)}, at=at)
    return CrmMessage.objects.get(digest=digest)


def apply(crm, message, *, at=None):
    at = at or timezone.now()
    kept = keep(crm, message, at=at)
    apply_message(kept.pk, at=at)
    kept.refresh_from_db()
    return kept


def sums():
    return list(Transaction.objects.order_by("id").values_list("external_id", "kind", "amount"))


def statuses(message):
    return [(result["external_id"], result["status"], result["code"]) for result in message.results]


def test_a_refund_follows_its_sale(crm):
    apply(crm, sale())
    refund = apply(crm, sale("r-1", type="return", sale_id="c-1", sum=400, client=None))

    assert sums() == [("c-1", "purchase", D("1000.00")), ("r-1", "refund", D("-400.00"))]
    assert (refund.status, refund.next_attempt_at) == ("applied", None)


def test_the_same_sale_told_twice_is_a_duplicate(crm):
    first, second = apply(crm, sale()), apply(crm, sale())

    assert [first.status, second.status] == ["applied", "duplicate"]
    assert second.results[0]["transaction"] == first.results[0]["transaction"]
    assert len(sums()) == 1


def test_the_same_receipt_with_another_sum_needs_somebody(crm):
    apply(crm, sale())
    other = apply(crm, sale(sum=999))

    assert (other.status, statuses(other)) == ("failed", [("c-1", "rejected", "external_id_reused")])
    assert "c-1" in other.error
    assert "amount" in other.error
    crm.refresh_from_db()
    assert crm.last_error == other.error
    assert len(sums()) == 1
    apply(crm, sale("c-2"))
    crm.refresh_from_db()
    assert crm.last_error == ""


def test_a_refund_before_its_sale_waits_and_is_applied_with_it(crm):
    at = timezone.now()
    refund = apply(crm, sale("r-1", type="return", sale_id="c-1", sum=400), at=at)
    assert (refund.status, sums(), ParkedRefund.objects.count()) == ("parked", [], 1)
    later = at + timedelta(hours=1)
    assert apply_message(refund.pk, at=later) == "parked"

    apply(crm, sale(), at=later)
    assert apply_message(refund.pk, at=later + timedelta(hours=1)) == "applied"

    refund.refresh_from_db()
    assert refund.results[0]["transaction"] == str(Transaction.objects.get(kind="refund").pk)
    assert (refund.next_attempt_at, ParkedRefund.objects.count()) == (None, 0)


def test_a_refund_whose_sale_never_comes_is_told_in_the_end(crm):
    at = timezone.now()
    refund = apply(crm, sale("r-1", type="return", sale_id="c-1", sum=400), at=at)

    assert apply_message(refund.pk, at=at + timedelta(days=31)) == "failed"
    refund.refresh_from_db()
    assert (refund.next_attempt_at, "30" in refund.error) == (None, True)


def test_a_cancelled_order_gives_back_what_is_left(crm):
    apply(crm, sale())
    apply(crm, sale("r-1", type="return", sale_id="c-1", sum=400))
    cancelled = apply(crm, sale(type="storno", sum=None))
    again = apply(crm, sale(type="storno", sum=None, closed_at="2026-11-21T10:00:00+03:00"))

    assert sums()[2] == ("c-1:cancel", "refund", D("-600.00"))
    assert [cancelled.status, again.status] == ["applied", "duplicate"]


def test_a_cancelled_order_of_which_nothing_is_left_is_skipped(crm):
    apply(crm, sale())
    apply(crm, sale("r-1", type="return", sale_id="c-1"))

    assert statuses(apply(crm, sale(type="storno"))) == [("c-1:cancel", "skipped", "nothing_left")]


def test_a_cancellation_before_its_order_waits_by_its_sum_or_needs_somebody(crm):
    assert apply(crm, sale(type="storno")).status == "parked"
    unknown = apply(crm, sale("c-9", type="storno", sum=None))
    assert statuses(unknown) == [("c-9:cancel", "rejected", "purchase_unknown")]


def test_an_order_and_its_cancellation_in_one_message(member, business):
    crm = connect(business, mapping=MAPPING | {"events": "all"})[0]

    message = apply(crm, {"all": [sale(), sale(type="storno", sum=None)]})

    assert (message.status, message.reference) == ("applied", "c-1, c-1:cancel")
    assert sums() == [("c-1", "purchase", D("1000.00")), ("c-1:cancel", "refund", D("-1000.00"))]


def test_of_several_events_each_stands_alone(member, business):
    crm = connect(business, mapping=MAPPING | {"events": "all"})[0]
    message = {"all": [
        sale("c-1"), sale("c-2", sum="?"), sale("c-3", client={"phone": "+79160000000"}), sale("c-4", sum=0),
        sale("c-5", client={"phone": "+79160000000", "card": "77"}), sale("c-6", client={}),
    ]}  # fmt: skip

    kept = apply(crm, message)

    assert statuses(kept) == [
        ("c-1", "created", ""), ("c-2", "rejected", "unreadable"), ("c-3", "skipped", "member_not_found"),
        ("c-4", "rejected", "invalid"), ("c-5", "created", ""), ("c-6", "skipped", "skipped"),
    ]  # fmt: skip
    assert kept.status == "failed"
    assert "c-2" in kept.error
    assert "c-1" not in kept.error


def test_a_strangers_purchase_and_its_refund_are_skipped(crm):
    stranger = {"phone": "+79160000000"}

    bought = apply(crm, sale(client=stranger))
    returned = apply(crm, sale("r-1", type="return", sale_id="c-1", client=stranger))

    assert [bought.status, returned.status] == ["skipped", "skipped"]
    assert (sums(), ParkedRefund.objects.count()) == ([], 0)
    MemberFactory(phone="+79160000000")
    replay(CrmMessage.objects.filter(pk=bought.pk), at=timezone.now())
    assert apply_message(bought.pk, at=timezone.now()) == "applied"


def test_a_message_that_cannot_be_read_is_kept_and_applied_once_the_mapping_is_mended(crm):
    CrmIntegration.objects.update(mapping=MAPPING | {"amount": "total"})
    kept = apply(crm, sale())
    assert (kept.status, kept.next_attempt_at, sums()) == ("failed", None, [])
    assert "total" in kept.error
    assert apply_message(kept.pk, at=timezone.now()) is None

    CrmIntegration.objects.update(mapping=MAPPING)
    assert replay(CrmMessage.objects.filter(status="failed"), at=timezone.now()) == [kept.pk]
    assert apply_message(kept.pk, at=timezone.now()) == "applied"

    kept.refresh_from_db()
    assert (kept.error, kept.reference, len(sums())) == ("", "c-1", 1)


@pytest.mark.parametrize("body", [b"", b"{", b"a=1&b=2", b"\xff", b"[]", b"null", b"7", b'{"id": "\\ud800"}'])
def test_no_message_breaks_the_worker(crm, body):
    kept = apply(crm, body)

    assert (kept.status, sums()) == ("failed", [])
    assert kept.error


@pytest.mark.parametrize("receipt", ["a\x00b", "\ud800", "x" * 201, "💸", "'; --"])
def test_no_receipt_breaks_the_worker(crm, receipt):
    kept = apply(crm, sale(receipt))

    assert kept.status == ("applied" if receipt in ("💸", "'; --") else "failed")


def test_an_applied_message_applied_again_stays_applied(crm):
    kept = apply(crm, sale())
    replay(CrmMessage.objects.all(), at=timezone.now())

    assert apply_message(kept.pk, at=timezone.now()) == "applied"
    assert len(sums()) == 1


def test_only_the_integrations_own_business_is_concerned(crm, member):
    other = connect(BusinessFactory())[0]
    apply(crm, sale())
    returned = apply(other, sale("r-1", type="return", sale_id="c-1", client=None))

    assert returned.status == "failed"
    apply(other, sale())
    assert Transaction.objects.filter(external_id="c-1").count() == 2


def test_a_busy_database_puts_the_message_off(crm, monkeypatch):
    at = timezone.now()
    kept = keep(crm, sale(), at=at)

    def busy(*_arguments, **_more):
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(applying, "record_many", busy)
        assert apply_due(until=time.monotonic() + 5) == 0

    kept.refresh_from_db()
    assert (kept.status, kept.attempts, kept.next_attempt_at > at) == ("received", 1, True)
    assert apply_message(kept.pk, at=kept.next_attempt_at) == "applied"


def test_a_message_that_kills_every_worker_is_given_up(crm):
    at = timezone.now()
    kept = keep(crm, sale(), at=at)
    tries = len(applying.PAUSES)
    CrmMessage.objects.update(attempts=tries)

    assert apply_message(kept.pk, at=at) == "failed"
    kept.refresh_from_db()
    assert (kept.next_attempt_at, str(tries) in kept.error, sums()) == (None, True, [])


def test_the_schedule_takes_up_what_is_left_oldest_first(crm):
    at = timezone.now()
    for number in range(3):
        keep(crm, sale(f"c-{number}"), at=at - timedelta(minutes=3 - number))

    assert apply_due(until=time.monotonic() + 20) == 3
    assert [name for name, *_ in sums()] == ["c-0", "c-1", "c-2"]
    assert apply_due(until=time.monotonic() + 20) == 0


def test_queries_do_not_grow_with_the_events_of_a_message(member, business, django_assert_max_num_queries):
    crm = connect(business, mapping=MAPPING | {"events": "all"})[0]

    def queries(number, count):
        kept = keep(crm, {"all": [sale(f"q{number}-{each}", sum=100) for each in range(count)]})
        with django_assert_max_num_queries(16) as asked:
            assert apply_message(kept.pk, at=timezone.now()) == "applied"
        return len(asked)

    queries(0, 1)
    assert queries(1, 2) == queries(2, 30)


def test_old_messages_are_forgotten(crm):
    at = timezone.now()
    done, failed = apply(crm, sale()), apply(crm, b"{")
    for age, left in ((29, 2), (31, 1), (91, 0)):
        CrmMessage.objects.update(created_at=at - timedelta(days=age))
        forget_old_messages(at=at)
        assert CrmMessage.objects.count() == left, age
    assert done.status == "applied"
    assert failed.status == "failed"
