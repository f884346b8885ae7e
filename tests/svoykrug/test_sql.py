"""Statements by hand: several reads in one message, and a write that ends its transaction."""

import json
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, connection
from django.db.transaction import atomic, on_commit, set_rollback

from loyalty.models import AuditLog, Member, ParkedRefund
from svoykrug.db.actor import Actor, ActorKind, acting_as
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Ahead, Write, as_array, as_jsonb, in_columns, read, table_of
from tests.factories import NOON, BusinessFactory, MemberFactory

COLUMNS = {
    "id": "uuid", "created_at": "timestamptz", "business_id": "uuid", "user_id": "uuid",
    "external_id": "text", "refund_of": "text", "amount": "numeric", "purchased_at": "timestamptz",
    "category": "text", "request_hash": "text", "source": "text",
}  # fmt: skip


def write(business_id, member_id):
    """Return a write of one row."""
    result = Write()
    row = {
        "id": uuid7(), "created_at": NOON, "business_id": business_id, "user_id": member_id,
        "external_id": "R", "refund_of": "1", "amount": "10.00", "purchased_at": NOON, "category": "чай 5%",
        "request_hash": "", "source": "api",
    }  # fmt: skip
    result.insert("parked_refunds", COLUMNS, [row])
    return result


def status():
    return connection.connection.info.transaction_status.name


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
class TestTransaction:
    def test_reads_begin_it_and_the_last_write_ends_it(self):
        business, member, seen = BusinessFactory(), MemberFactory(), []

        with atomic():
            on_commit(lambda: seen.append("committed"))
            levels, names = read(
                ("SELECT level FROM status_tiers ORDER BY level", []),
                ("SELECT name FROM businesses WHERE id = ANY(%s::uuid[])", [[business.pk]]),
            )
            assert status() == "INTRANS"
            write(business.pk, member.pk).execute(last=True)
            assert status() == "IDLE"
            assert seen == []

        assert seen == ["committed"]
        assert levels == [(1,), (2,), (3,), (4,)]
        assert names == [(business.name,)]
        assert ParkedRefund.objects.get().category == "чай 5%"

    def test_within_another_it_commits_nothing(self):
        business, member = BusinessFactory(), MemberFactory()

        with atomic():
            with atomic():
                write(business.pk, member.pk).execute(last=True)
            assert status() == "INTRANS"
            set_rollback(True)

        assert not ParkedRefund.objects.exists()

    def test_what_the_commit_refuses_is_raised_and_leaves_nothing(self):
        business = BusinessFactory()

        with pytest.raises(IntegrityError, match="parked_refunds_user_id"), atomic():
            write(business.pk, uuid7()).execute(last=True)

        assert status() == "IDLE"
        assert not ParkedRefund.objects.exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
class TestAhead:
    def test_what_was_sent_is_there_for_the_next_statement_and_bears_the_actors_name(self):
        business, member = BusinessFactory(), MemberFactory()

        with acting_as(Actor(ActorKind.COMMAND, request_id="nightly")), atomic():
            with Ahead() as ahead:
                read(("SELECT 1", []))
                ahead.send(write(business.pk, member.pk))
                assert ParkedRefund.objects.count() == 1
            connection.cursor().execute("DELETE FROM parked_refunds")

        names = AuditLog.objects.filter(table_name="parked_refunds").order_by("id")
        assert [(log.action, log.actor_kind, log.request_id) for log in names] == [
            ("insert", "command", "nightly"),
            ("delete", "command", "nightly"),
        ]

    def test_the_first_error_is_raised_and_not_what_followed_from_it(self):
        business, member = BusinessFactory(), MemberFactory()

        def send_twice_and_ask():
            with atomic(), Ahead() as ahead:
                ahead.send(write(business.pk, member.pk))
                ahead.send(write(business.pk, member.pk))
                Member.objects.count()

        with pytest.raises(IntegrityError, match="idx_parked_refunds_external"):
            send_twice_and_ask()

        assert status() == "IDLE"
        assert not ParkedRefund.objects.exists()

    def test_a_reference_to_nothing_is_met_before_the_commit(self):
        member = MemberFactory()

        with atomic():
            with pytest.raises(IntegrityError, match="business_id"), Ahead() as ahead:
                ahead.send(write(uuid7(), member.pk))
            assert status() == "INERROR"
            set_rollback(True)


@pytest.mark.django_db
def test_a_list_of_texts_arrives_as_it_is():
    texts = ["чай", "", "NULL", 'say "hi"', "back\\slash\\", "a,b", "{c}", "line\nline", " spaced ", "'%s"]

    [[(arrived,)]] = read(("SELECT %s::text[]", [texts]))

    assert arrived == texts


@pytest.mark.django_db
def test_a_list_of_keys_arrives_as_it_is():
    keys = [uuid7(), uuid7(), UUID(int=0)]

    [[(arrived,)]] = read(("SELECT %s::uuid[]", [keys]))

    assert arrived == keys


@pytest.mark.django_db
def test_rows_become_a_table_with_nothing_where_nothing_was_given():
    columns = {"amount": "numeric", "data": "jsonb", "note": "text", "keys": "uuid[]"}
    key = uuid7()
    rows = [
        {
            "note": 'null "x"',
            "amount": Decimal("3.10"),
            "data": {"b": None},
            "keys": as_array([key]),
            "more": 1,
        },
        {"note": None, "amount": None, "data": None, "keys": as_array([])},
    ]

    [found] = read(
        (f"SELECT amount, data::text, note, keys FROM {table_of(columns)}", [in_columns(columns, rows)])
    )

    assert found == [(Decimal("3.10"), '{"b": null}', 'null "x"', [key]), (None, None, None, [])]


@pytest.mark.django_db
def test_json_has_its_keys_in_the_order_in_which_the_database_gives_them_back():
    value = {"я": 1, "b": {"ccc": [{"zz": 1, "y": 2}], "a": None}, "aa": "x", "a": 1.5}

    [[(text,)]] = read(("SELECT %s::jsonb::text", [json.dumps(value)]))

    assert json.dumps(as_jsonb(value), ensure_ascii=False) == text
