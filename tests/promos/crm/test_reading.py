"""A CRM's message read by its mapping; no database."""

import json
from datetime import UTC, datetime
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest

from promos.crm.errors import MappingRefused, Unreadable
from promos.crm.mapping import read_mapping
from promos.crm.paths import read_path
from promos.crm.reading import Fault, Skipped, Told, parse, read_events
from tests.promos.crm.messages import MAPPING, sale

MOSCOW = ZoneInfo("Europe/Moscow")
AT = datetime(2026, 11, 20, 11, 5, tzinfo=UTC)


def read(message, mapping=MAPPING, **changed):
    body = json.dumps(message, ensure_ascii=False).encode()
    return read_events(parse(body), read_mapping(mapping | changed, zone=MOSCOW))


def one(message, **changed):
    [event] = read(message, **changed)
    return event


def test_a_sale_is_told_whole():
    told = one(
        sale(sum=1249.5, client={"phone": "8 (926) 000-00-10", "card": 77}, group="Чай"), category="group"
    )

    assert told == Told("purchase", "c-1", None, "+79260000010", "77", D("1249.50"), AT, "Чай")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": [{"c": 1}, {"c": 2, "d": "x"}]}), ("a.b[1].c", 2), ("a.b[c=2].d", "x"), ("$.top", "t"),
        ("a.b[9].c", None), ("a.b.c", None), ("a[0]", None), ("nothing.at.all", None), ("a.b[c=3].d", None),
    ],
)  # fmt: skip
def test_paths_lead_into_objects_and_lists(path, found):
    event = {"a": {"b": [{"c": 1}, {"c": 2, "d": "x"}]}}

    assert read_path(path, field="x").find({"top": "t"}, event) == found


@pytest.mark.parametrize(
    "path", ["", "a..b", "a.", "a[", "a[b]", "[-1]", "a[0", 5, None, "a" * 201, "a=b", "a]b"]
)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(MappingRefused) as refused:
        read_path(path, field="amount")

    assert refused.value.field == "amount"


@pytest.mark.parametrize(
    ("given", "amount", "unit"),
    [
        (1249.5, D("1249.50"), "roubles"), ("1 249,50", D("1249.50"), "roubles"),
        ("1\u00a0249.5", D("1249.50"), "roubles"), (124950, D("1249.50"), "kopecks"),
        ("124950", D("1249.50"), "kopecks"), (7, D("7.00"), "roubles"), ("10.500", D("10.50"), "roubles"),
        (1.005, D("1.005"), "roubles"),
    ],
)  # fmt: skip
def test_amounts_in_roubles_and_kopecks(given, amount, unit):
    assert one(sale(sum=given), amount={"path": "sum", "unit": unit}).amount == amount


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ("12 р.", "roubles"), ("", "roubles"), (None, "roubles"), (True, "roubles"), ([1], "roubles"),
        ("1e3", "roubles"), ("٣", "roubles"), (99.5, "kopecks"), ("9" * 30, "roubles"), ("1,2,3", "roubles"),
    ],
)  # fmt: skip
def test_what_is_no_amount_is_a_fault_of_that_event(given, unit):
    event = one(sale(sum=given), amount={"path": "sum", "unit": unit})

    assert (type(event), event.field, event.external_id) == (Fault, "amount", "c-1")


@pytest.mark.parametrize(
    ("given", "form", "zone"),
    [
        ("2026-11-20T14:05:00+03:00", "iso", None), ("2026-11-20T14:05:00", "iso", None),
        ("2026-11-20 16:05:00", "iso", "Asia/Yekaterinburg"), ("2026-11-20T11:05:00Z", "iso", None),
        (int(AT.timestamp()), "unix", None), (str(int(AT.timestamp())), "unix", None),
        ("20.11.2026 14:05", "%d.%m.%Y %H:%M", None), ("20.11.2026 17:05", "%d.%m.%Y %H:%M", "Asia/Omsk"),
    ],
)  # fmt: skip
def test_times_are_read_in_their_form_and_zone(given, form, zone):
    field = {"path": "closed_at", "format": form} | ({"zone": zone} if zone else {})

    assert one(sale(closed_at=given), purchased_at=field).purchased_at == AT


def test_milliseconds_are_not_seconds():
    field = {"path": "closed_at", "format": "unix_ms"}

    assert one(sale(closed_at=int(AT.timestamp()) * 1000), purchased_at=field).purchased_at == AT


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ("20.11.2026", "iso"), ("", "iso"), (None, "iso"), ("yesterday", "unix"), (10**15, "unix"),
        ("9999-12-31T23:59:59-14:00", "iso"), ("0001-01-01T00:00:00+14:00", "iso"), (True, "unix"),
        ("2026-03-29T02:30:00", "berlin"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_a_fault(given, form):
    zone = {"zone": "Europe/Berlin"} if form == "berlin" else {}
    field = {"path": "closed_at", "format": "iso" if form == "berlin" else form} | zone

    assert one(sale(closed_at=given), purchased_at=field).field == "purchased_at"


def test_a_return_written_below_zero_is_a_refund():
    told = one(sale("r-1", type="return", sale_id="c-1", sum="-300.00"))

    assert (told.kind, told.external_id, told.refund_of, told.amount) == ("refund", "r-1", "c-1", D("300.00"))


def test_a_cancelled_order_keeps_its_number_and_the_refund_gets_another():
    told = one(sale(type="storno", sum=None))

    assert (told.kind, told.external_id, told.refund_of, told.amount) == ("cancel", "c-1:cancel", "c-1", None)


def test_a_list_of_events_each_stands_alone():
    message = {"shop": "7", "orders": [sale("c-1"), sale("c-2", sum="?"), sale("c-3", type="note")]}

    told, faulty, unknown = read(
        message, events="orders", category="$.shop", external_id={"path": "id", "prefix": "shop7-"}
    )

    assert (told.external_id, told.category) == ("shop7-c-1", "7")
    assert (faulty.field, faulty.external_id) == ("amount", "shop7-c-2")
    assert (type(unknown), unknown.field) == (Fault, "kind")
    assert "note" in unknown.detail


def test_what_the_conditions_leave_out_is_skipped():
    when = [{"path": "type", "in": ["sale"]}, {"path": "paid", "in": ["true"]}]

    assert type(one(sale(paid=True), when=when)) is Told
    assert type(one(sale(paid=False), when=when)) is Skipped
    assert type(one(sale(type="note"), when=when)) is Skipped
    kinds = {"path": "type", "values": {"sale": "purchase", "note": "skip"}}
    assert type(one(sale(type="note"), kind=kinds)) is Skipped


def test_a_sale_without_a_customer_is_skipped_and_a_phone_that_is_none_leaves_the_card():
    assert type(one(sale(client=None))) is Skipped
    told = one(sale(client={"phone": "no", "card": "77"}))
    assert (told.phone, told.card) == (None, "77")
    assert one(sale(client={"phone": 79260000010})).phone == "+79260000010"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"a=1&b=2"])
def test_what_is_no_json_is_unreadable(body):
    with pytest.raises(Unreadable):
        parse(body)


def test_a_missing_list_of_events_is_unreadable():
    with pytest.raises(Unreadable, match="orders"):
        read(sale(), events="orders")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": None}, "amount"),
        ({"amount": {"path": "sum", "unit": "pounds"}}, "amount"),
        ({"member": {}}, "member"),
        ({"member": {"email": "x"}}, "member"),
        ({"when": {}}, "when"),
        ({"when": [{"path": "a", "in": []}]}, "when[0]"),
        ({"when": [{"in": ["x"]}]}, "when[0].path"),
        ({"kind": "type"}, "kind"),
        ({"kind": {"path": "type", "values": {"a": "buy"}}}, "kind"),
        ({"kind": {"value": "sale"}}, "kind"),
        ({"purchased_at": {"path": "t", "format": "%H:%M"}}, "purchased_at"),
        ({"purchased_at": {"path": "t", "zone": "Mars/Base"}}, "purchased_at"),
        ({"purchased_at": {"path": "t", "zone": 5}}, "purchased_at"),
        ({"external_id": {}}, "external_id"),
        ({"external_id": {"path": "a", "value": "b"}}, "external_id"),
        ({"external_id": {"path": "a", "prefix": 5}}, "external_id"),
        ({"category": {"path": "a", "values": []}}, "category"),
        ({"events": ""}, "events"),
        ({"lines": "x"}, "mapping"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_at_its_part(changed, field):
    with pytest.raises(MappingRefused) as refused:
        read_mapping(MAPPING | changed, zone=MOSCOW)

    assert refused.value.field == field


@pytest.mark.parametrize("name", ["external_id", "member", "amount", "purchased_at"])
def test_what_every_mapping_needs(name):
    with pytest.raises(MappingRefused) as refused:
        read_mapping({key: value for key, value in MAPPING.items() if key != name}, zone=MOSCOW)

    assert refused.value.field == name


@pytest.mark.parametrize("mapping", [None, [], "x", 5, {}])
def test_a_mapping_is_an_object(mapping):
    with pytest.raises(MappingRefused):
        read_mapping(mapping, zone=MOSCOW)
