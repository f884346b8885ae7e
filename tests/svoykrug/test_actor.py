"""Who a write is recorded under, on each way to the database."""

import sys
from threading import Thread

import psycopg
import pytest
from celery import shared_task
from django.db import connection, connections
from django.db.transaction import atomic, on_commit, set_autocommit, set_rollback
from django.db.utils import IntegrityError, OperationalError
from django.urls import reverse
from django.utils.timezone import now
from psycopg.pq import Trace

import manage
from loyalty.api.authentication import MemberTokenAuthentication
from loyalty.models import AuditLog, Business, ReferralCode
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from svoykrug.db.actor import Actor, ActorKind, acting_as, become, current_actor
from svoykrug.db.bulk import COPY_FROM_ROWS, insert_rows
from svoykrug.db.models import uuid7
from tests.api import JOINING, Caller
from tests.factories import NOON, MemberFactory, StaffFactory

committed = pytest.mark.django_db(transaction=True, serialized_rollback=True)
SYSTEM = ("system", None, "")


def recorded(table, **row):
    """Return (kind, id, request id) of the latest write to a table."""
    latest = AuditLog.objects.filter(table_name=table, **row).latest("created_at")
    return latest.actor_kind, latest.actor_id, latest.request_id


def staff(request_id="r-1"):
    return Actor(ActorKind.STAFF, uuid7(), request_id)


def names(actor):
    return actor.kind.value, actor.id, actor.request_id


# --- Surfaces ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_till_writes_as_its_key_under_the_id_of_the_request(business, member):
    key, secret = create_api_key(business=business)
    body = {"external_id": "1", "member": {"phone": member.phone}, "amount": "100.00"}
    answer = Caller(f"Api-Key {secret}").post("transactions", body)

    assert answer.status_code == 201
    assert recorded("transactions") == ("api_key", key.pk, answer["X-Request-Id"])


@pytest.mark.django_db
def test_a_token_of_a_member_makes_the_visitor_that_member(rf, member):
    access = open_session(member, at=now()).access
    with acting_as(Actor(ActorKind.VISITOR, request_id="r-1")):
        MemberTokenAuthentication().authenticate(rf.get("/", headers={"Authorization": f"Bearer {access}"}))
        ReferralCode.objects.create(member=member, code="A1")

    assert recorded("referral_codes") == ("member", member.pk, "r-1")


@pytest.mark.django_db
@pytest.mark.parametrize(("backend", "kind"), [
    ("django.contrib.auth.backends.ModelBackend", "staff"), ("loyalty.backends.PhoneCodeBackend", "member"),
])  # fmt: skip
def test_a_person_of_staff_who_came_by_a_phone_code_acts_as_a_member(client, monkeypatch, backend, kind):
    member = StaffFactory().member
    client.force_login(member, backend=backend)
    seen = []
    monkeypatch.setattr("svoykrug.middleware.become", lambda *who: seen.append(who))

    client.get("/")

    assert seen[0] == (kind, member.pk)


@pytest.mark.django_db
def test_who_signs_up_is_a_visitor(client, sent_code):
    body = {"phone": "+79001234567"}
    Caller().post("auth/otp", body)
    answer = Caller().post("auth/token", body | {"code": sent_code("+79001234567"), **JOINING})

    assert answer.status_code == 200
    assert recorded("users") == ("visitor", None, answer["X-Request-Id"])


@pytest.mark.django_db
def test_staff_write_in_the_admin_as_staff(client):
    programme = StaffFactory(business=Business.objects.get(is_programme=True)).member
    client.force_login(programme)
    member = MemberFactory()
    page = client.get(reverse("admin:loyalty_member_change", args=[member.pk]))
    given = page.context["adminform"].form.initial
    form = {name: value for name, value in given.items() if value is not None}
    for inline in page.context["inline_admin_formsets"]:
        form |= {f"{inline.formset.prefix}-{count}_FORMS": 0 for count in ("TOTAL", "INITIAL")}

    answer = client.post(page.request["PATH_INFO"], form | {"city": "Tver"})

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert recorded("users", row_id=member.pk) == ("staff", programme.pk, answer["X-Request-Id"])


@shared_task(name="tests.write_a_code")
def write_a_code(member_id, and_another=None):
    if and_another:
        write_a_code.apply(args=[and_another], task_id="inner")
    ReferralCode.objects.create(member_id=member_id, code=str(member_id)[-16:])


@pytest.mark.django_db
def test_a_task_writes_under_its_own_id(member):
    other = MemberFactory()
    with acting_as(actor := staff()):
        write_a_code.apply(args=[member.pk, other.pk], task_id="outer").get()

        assert current_actor() == actor
    rows = AuditLog.objects.filter(table_name="referral_codes").order_by("created_at")
    assert [(row.actor_kind, row.actor_id, row.request_id) for row in rows] == [
        ("task", None, "inner"),
        ("task", None, "outer"),
    ]


@pytest.mark.django_db
def test_a_task_that_fails_is_forgotten():
    with acting_as(actor := staff()):
        assert write_a_code.apply(args=["no id"]).failed()

        assert current_actor() == actor


@committed
def test_a_command_writes_under_the_name_of_its_run(monkeypatch, business):
    monkeypatch.setattr(sys, "argv", ["manage.py", "create_api_key", "--business", business.code])
    manage.main()

    kind, actor_id, run = recorded("api_keys")
    assert (kind, actor_id) == ("command", None)
    assert run.startswith("create_api_key-")
    assert current_actor() is None


@committed
def test_a_bare_connection_writes_as_the_system(member):
    parameters = connection.get_connection_params()
    parameters = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port")}
    with acting_as(staff()), psycopg.connect(**parameters) as bare:
        bare.execute("UPDATE users SET city = 'Tver' WHERE id = %s", [member.pk])

    assert recorded("users") == SYSTEM


@pytest.mark.django_db
def test_a_request_that_fails_is_forgotten(monkeypatch):
    monkeypatch.setattr("loyalty.api.views.MeView.get", lambda *_: 1 / 0)
    Caller().get("me")

    assert current_actor() is None


def test_nobody_can_be_become_outside_a_request():
    become(ActorKind.STAFF, uuid7())

    assert current_actor() is None


# --- Transactions -----------------------------------------------------------------------------------


def change(code, invited):
    ReferralCode.objects.filter(pk=code.pk).update(invited_count=invited)
    return recorded("referral_codes")


@pytest.fixture
def code(member):
    return ReferralCode.objects.create(member=member, code="A1")


@pytest.mark.django_db
def test_an_actor_who_changes_within_a_transaction_counts_from_then_on(code):
    first, second = staff("r-1"), staff("r-2")
    with acting_as(first):
        assert change(code, 1) == names(first)
        with acting_as(second):
            assert change(code, 2) == names(second)
        assert change(code, 3) == names(first)
    assert change(code, 4) == SYSTEM


@pytest.mark.django_db
@pytest.mark.parametrize("fails", [False, True])
def test_a_savepoint_rolled_back_takes_no_actor_with_it(code, fails):
    first, second = staff("r-1"), staff("r-2")
    with acting_as(first):
        change(code, 1)
        with acting_as(second):
            try:
                with atomic():
                    assert change(code, 2) == names(second)
                    if fails:
                        change(code, -1)  # the table refuses it
                    set_rollback(True)
            except IntegrityError:
                pass
            assert change(code, 3) == names(second)
        assert change(code, 4) == names(first)


@pytest.mark.django_db
def test_quotes_in_a_request_id_stay_text(code):
    actor = staff("'; DROP TABLE users; --\\")
    with acting_as(actor):
        assert change(code, 1) == names(actor)


@committed
def test_writes_without_a_transaction_name_their_actor(code):
    with acting_as(actor := staff()):
        assert change(code, 1) == names(actor)
        with connection.cursor() as cursor:
            cursor.execute("  update referral_codes set invited_count = 2")
            assert recorded("referral_codes") == names(actor)
            cursor.executemany("UPDATE referral_codes SET invited_count = %s", [(3,), (4,)])
            assert recorded("referral_codes") == names(actor)
        assert connection.get_autocommit()
        assert not connection.in_atomic_block
    assert change(code, 5) == SYSTEM


@committed
def test_copy_without_a_transaction_names_its_actor(member):
    columns = ["id", "created_at", "updated_at", "user_id", "code", "invited_count", "rewarded_count",
               "monthly_limit", "is_active"]  # fmt: skip
    rows = [[uuid7(), NOON, NOON, member.pk, f"C{n}", 0, 0, 10, True] for n in range(COPY_FROM_ROWS)]
    with acting_as(actor := staff()):
        insert_rows("referral_codes", columns, rows)

    assert recorded("referral_codes") == names(actor)


@committed
def test_a_refused_write_without_a_transaction_leaves_the_connection_well(code):
    with acting_as(actor := staff()):
        with pytest.raises(IntegrityError):
            change(code, -1)
        assert change(code, 1) == names(actor)


@committed
def test_each_transaction_names_its_own_actor(code):
    first, second = staff("r-1"), staff("r-2")
    for actor in (first, second):
        with acting_as(actor), atomic():
            assert change(code, 1 if actor is first else 2) == names(actor)
    with atomic():
        assert change(code, 3) == SYSTEM


@committed
def test_a_transaction_begun_by_hand_names_the_actor_too(code):
    with acting_as(actor := staff()):
        set_autocommit(False)
        try:
            assert change(code, 1) == names(actor)
            connection.commit()
            assert change(code, 2) == names(actor)
            connection.rollback()
        finally:
            set_autocommit(True)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            assert change(code, 3) == names(actor)
            cursor.execute("COMMIT")
    assert change(code, 4) == SYSTEM


@committed
def test_what_runs_after_the_commit_names_the_actor(code):
    with acting_as(actor := staff()):
        with atomic(durable=True):
            on_commit(lambda: change(code, 2))
            change(code, 1)
        assert recorded("referral_codes") == names(actor)


@committed
def test_a_connection_that_broke_comes_back_with_the_actor(code):
    with acting_as(actor := staff()):
        with pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.close()
        assert change(code, 1) == names(actor)


@committed
def test_rows_are_read_in_chunks_within_a_transaction(code):
    with acting_as(staff()), atomic():
        assert [row.pk for row in ReferralCode.objects.iterator(chunk_size=1)] == [code.pk]


@committed
def test_the_actor_travels_in_the_message_that_begins_the_transaction(code, tmp_path):
    """The path of a purchase pays no round trip for it."""
    with acting_as(staff()), (tmp_path / "trace").open("w") as trace, atomic():
        connection.ensure_connection()
        connection.connection.pgconn.trace(trace.fileno())
        connection.connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        change(code, 1)
        with atomic():
            change(code, 2)
        connection.connection.pgconn.untrace()

    sent = [line.split("\t")[-1].strip() for line in (tmp_path / "trace").open() if line.startswith("F\t")]
    assert sent[0].startswith('"BEGIN; SET LOCAL')
    assert [line for line in sent[1:] if "SET LOCAL" in line] == []


@committed
def test_threads_have_actors_of_their_own(code):
    seen = []

    def other():
        seen.append(current_actor())
        connections.close_all()

    with acting_as(staff()):
        thread = Thread(target=other)
        thread.start()
        thread.join()

    assert seen == [None]
