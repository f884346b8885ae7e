"""Vendors that are asked: every item once, whoever dies in between; never into our own network."""

import json
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from loyalty.models import CrmIntegration, CrmMessage, Transaction
from promos.crm import polling
from promos.crm.applying import apply_message
from promos.crm.errors import MappingRefused
from promos.crm.polling import due_integrations, poll
from promos.crm.questions import read_question
from svoykrug.encryption import encrypt
from tests.crashes.worker import end_of, start
from tests.factories import MemberFactory
from tests.promos.crm.messages import connect, sale
from tests.receivers import receiver, reply

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
POLLING = {
    "path": "api/deals", "items": "data.deals",
    "query": {"since": "{mark}", "page": "{page}", "limit": "{size}"},
    "headers": {"Authorization": "Bearer {token}"}, "size": 3, "mark": "changed", "start": "100",
    "every_minutes": 5,
}  # fmt: skip


class Vendor:
    """A list of deals, ordered by when they changed, in pages."""

    def __init__(self):
        self.deals, self.asked, self.status = [], [], 200

    def add(self, *numbers):
        self.deals += [sale(f"d-{number}", sum=10 + number / 4, changed=100 + number) for number in numbers]

    def __call__(self, handler):
        query = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        self.asked.append((query, handler.headers["Authorization"]))
        if self.status != 200:
            return reply(handler, self.status, b"no")
        page, size = int(query["page"]), int(query["limit"])
        fresh = [deal for deal in self.deals if deal["changed"] >= int(query["since"])]
        found = fresh[(page - 1) * size : page * size]
        return reply(handler, 200, json.dumps({"data": {"deals": found}}).encode())


@pytest.fixture
def vendor(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    vendor = Vendor()
    with receiver(vendor) as vendor.url:
        yield vendor


@pytest.fixture
def crm(business, vendor):
    return connect(
        business, base_url=vendor.url, polling=POLLING, token=encrypt("t0ken"), next_poll_at=timezone.now()
    )[0]


def references():
    return sorted(json.loads(bytes(body))["id"] for body in CrmMessage.objects.values_list("body", flat=True))


def test_all_pages_are_read_and_only_what_changed_is_asked_for_again(crm, vendor):
    vendor.add(1, 2, 3, 4, 5)
    at = timezone.now()

    assert poll(crm.pk, at=at) == 5

    assert references() == ["d-1", "d-2", "d-3", "d-4", "d-5"]
    assert [query["page"] for query, _ in vendor.asked] == ["1", "2"]
    assert {token for _, token in vendor.asked} == {"Bearer t0ken"}
    crm.refresh_from_db()
    assert crm.cursor == {"mark": "105", "page": 1, "seen": ""}
    assert (crm.last_seen_at, crm.last_error, crm.next_poll_at) == (at, "", at + timedelta(minutes=5))
    vendor.add(6)
    poll(crm.pk, at=at)
    assert vendor.asked[-1][0]["since"] == "105"
    # The one at the mark comes again and is known.
    assert len(references()) == 6


def test_items_become_purchases(crm, vendor):
    MemberFactory(phone="+79260000010")
    vendor.add(1, 2)
    poll(crm.pk, at=timezone.now())

    for message_id in CrmMessage.objects.values_list("pk", flat=True):
        assert apply_message(message_id, at=timezone.now()) == "applied"
    assert sorted(map(str, Transaction.objects.values_list("amount", flat=True))) == ["10.25", "10.50"]


@pytest.mark.parametrize(("point", "stored"), [("crm-poll-before-store", 0), ("crm-poll-after-store", 3)])
def test_who_is_killed_on_the_way_loses_and_doubles_nothing(crm, vendor, point, stored):
    vendor.add(1, 2, 3, 4, 5)

    assert end_of(start(lambda: poll(crm.pk, at=timezone.now()), failpoint=point)) != 0
    assert CrmMessage.objects.count() == stored
    deadline = 50
    while poll(crm.pk, at=timezone.now()) is None:  # PostgreSQL notices the dead process in a moment.
        deadline -= 1
        assert deadline
        time.sleep(0.1)
    assert references() == ["d-1", "d-2", "d-3", "d-4", "d-5"]
    # What was stored is not asked for again.
    pages = [query["page"] for query, _ in vendor.asked]
    assert pages == (["1", "1", "2"] if not stored else ["1", "2"])


def test_one_at_a_time_asks(crm, vendor):
    inner = []
    vendor.add(1)

    def meanwhile(handler, ask=vendor.__call__):
        ask(handler)

    with polling._alone(crm.pk) as got:
        pid = start(lambda: inner.append(poll(crm.pk, at=timezone.now())))
        assert end_of(pid) == 0
        assert (got, CrmMessage.objects.count(), vendor.asked) == (True, 0, [])
    assert poll(crm.pk, at=timezone.now()) == 1


def test_a_vendor_in_trouble_is_asked_later_and_later(crm, vendor):
    at = timezone.now()
    vendor.status = 500
    pauses = []
    for _ in range(9):
        assert poll(crm.pk, at=at) == 0
        crm.refresh_from_db()
        pauses.append((crm.next_poll_at - at) // timedelta(minutes=1))

    assert pauses == [10, 20, 40, 80, 160, 320, 360, 360, 360]
    assert "500" in crm.last_error
    assert (due_integrations(at=at), due_integrations(at=at + timedelta(hours=6))) == ([], [crm.pk])
    vendor.status = 200
    poll(crm.pk, at=at)
    crm.refresh_from_db()
    assert (crm.failures, crm.last_error) == (0, "")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9", "https://127.0.0.1", "https://169.254.169.254/", "http://localhost"]
)
def test_nothing_is_asked_within_our_own_network(crm, vendor, settings, address):
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    CrmIntegration.objects.update(base_url=address)

    assert poll(crm.pk, at=timezone.now()) == 0

    crm.refresh_from_db()
    assert (crm.failures, vendor.asked, bool(crm.last_error)) == (1, [], True)


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b'{"data": {}}', b'{"data": {"deals": [{"id": 1}]}}', b"x" * 9_000_000],
    ids=["empty", "page", "list", "no deals", "no mark", "huge"],
)  # fmt: skip
def test_an_answer_that_is_not_understood_moves_nothing(crm, vendor, answer):
    with receiver(lambda handler: reply(handler, 200, answer)) as url:
        CrmIntegration.objects.update(base_url=url)
        assert poll(crm.pk, at=timezone.now()) == 0

    crm.refresh_from_db()
    assert (crm.cursor, crm.failures, CrmMessage.objects.count()) == ({}, 1, 0)
    assert crm.last_error


def test_an_empty_answer_without_content_is_the_end(crm):
    with receiver(lambda handler: reply(handler, 204)) as url:
        CrmIntegration.objects.update(base_url=url)
        assert poll(crm.pk, at=timezone.now()) == 0

    crm.refresh_from_db()
    assert (crm.failures, crm.cursor["mark"]) == (0, "100")


def test_a_whole_page_of_one_mark_is_told_where_there_are_no_pages(crm, vendor):
    vendor.add(1, 1, 1, 1)
    query = {"since": "{mark}", "page": "1", "limit": "3"}
    CrmIntegration.objects.update(polling=POLLING | {"query": query})

    assert poll(crm.pk, at=timezone.now()) == 0
    crm.refresh_from_db()
    assert (crm.failures, "{page}" in crm.last_error) == (1, True)
    assert crm.cursor["mark"] == "101"


def test_switched_off_ones_are_not_asked(crm, vendor):
    CrmIntegration.objects.update(is_active=False)

    assert due_integrations(at=timezone.now()) == []
    assert poll(crm.pk, at=timezone.now()) is None
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"path": None}, "polling.path"), ({"items": ""}, "polling.items"), ({"size": 0}, "polling.size"),
        ({"size": True}, "polling.size"), ({"every_minutes": 0.5}, "polling.every_minutes"),
        ({"query": []}, "polling.query"), ({"headers": {"Host": "x"}}, "polling.headers"),
        ({"headers": {"A": "x\r\nB: y"}}, "polling.headers"), ({"start": 5}, "polling.start"),
        ({"token": "x"}, "polling"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_work_is_refused_at_its_part(changed, field):
    with pytest.raises(MappingRefused) as refused:
        read_question(POLLING | changed)

    assert refused.value.field == field
