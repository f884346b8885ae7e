"""Every way of writing leaves its row in `audit_logs`, and nothing takes it away."""

import re
from decimal import Decimal as D

import pytest
from django.apps import apps
from django.db import connection
from django.db.transaction import atomic, set_rollback
from django.db.utils import ProgrammingError

from events.models import Event, EventRegistration
from loyalty.models import (
    ApiKey,
    AuditLog,
    Business,
    Member,
    ReferralCode,
    Session,
    Transaction,
)
from loyalty.services.api_keys import create_api_key
from promos.models import Coupon
from svoykrug.db.bulk import COPY_FROM_ROWS, insert_rows
from svoykrug.db.models import uuid7
from tests.factories import (
    NOON,
    BusinessFactory,
    CouponFactory,
    MemberFactory,
    give_bonuses,
)
from tests.test_catalogue import CORE

pytestmark = pytest.mark.django_db

MONEY = {
    "bonus_lots", "bonus_entries", "staff_memberships", "api_keys", "parked_refunds", "chain_assignments",
}  # fmt: skip
# Tables without triggers of the audit, and why.
EXEMPT = {
    "audit_logs": "it is the record itself",
    "crm_messages": "words of others as they came; says itself what was made of it and when",
    "forecast_runs": "computed anew from the facts every night",
    "idempotency_keys": "answers of one day, kept for repeats",
    "import_jobs": "says itself who loaded which file and with what result",
    "import_rejections": "written once with its import, never changed",
    "member_segments": "a copy of the latest snapshot, filled anew every night",
    "reconciliations": "what a comparison found, written once and kept a month",
    "rfm_runs": "computed anew from the facts at any time",
    "seen_contacts": "digests, only ever added, that tell nothing of anybody",
    "webhook_deliveries": "says itself when it was tried and what was answered",
    "webhook_events": "written once with what it tells of, never changed",
    "sync_windows": "bookkeeping of a pipeline that can be dropped and refilled",
}


def rows_of(table, row_id=None):
    """Return (action, changes) of a table or of one of its rows, oldest first."""
    found = AuditLog.objects.filter(table_name=table).order_by("id")
    if row_id:
        found = found.filter(row_id=row_id)
    return list(found.values_list("action", "changes"))


def run(statement, values=()):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


# --- Which tables -----------------------------------------------------------------------------------


def test_every_table_of_ours_is_audited_or_exempt_for_a_reason():
    ours = {
        model._meta.db_table
        for model in apps.get_models()
        if model._meta.app_label in {"loyalty", "promos", "events", "analytics"}
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'pgtrigger_audit_insert_%'"
        )
        audited = {table for (table,) in cursor.fetchall()}

    assert audited == ours - EXEMPT.keys()
    assert audited >= (CORE.keys() | MONEY) - {"audit_logs"}


def test_every_audited_table_records_updates_and_deletes_or_refuses_them():
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT tgrelid::regclass::text, array_agg(regexp_replace(tgname, '^pgtrigger_(.+)_.{5}$', '\\1'))
            FROM pg_trigger WHERE tgenabled = 'O' AND tgname LIKE 'pgtrigger_%' GROUP BY 1
            """
        )
        triggers = {table: set(names) for table, names in cursor.fetchall()}
    for table, names in triggers.items():
        if "audit_insert" in names:
            assert "no_truncate" in names, table
            assert names >= {"audit_update", "audit_delete"} or "append_only" in names, table


# --- Ways of writing --------------------------------------------------------------------------------


def test_save_records_an_insert_and_then_what_changed():
    code = ReferralCode(member=MemberFactory(), code="A1", invited_count=0)
    code.save()
    code.invited_count = 3
    code.save()

    assert rows_of("referral_codes", code.pk) == [
        (
            "insert",
            {
                "user_id": [None, str(code.member_id)],
                "invited_count": [None, 0],
                "rewarded_count": [None, 0],
                "monthly_limit": [None, 10],
                "is_active": [None, True],
            },
        ),
        ("update", {"invited_count": [0, 3]}),
    ]


def test_sums_keep_their_kopecks():
    business = BusinessFactory(credit_limit_rub=D("10.10"))
    Business.objects.filter(pk=business.pk).update(credit_limit_rub=D("3.00"))

    (_insert, (_update, changes)) = rows_of("businesses", business.pk)
    assert repr(changes["credit_limit_rub"]) == "[Decimal('10.10'), Decimal('3.00')]"


def test_bulk_create_records_each_row():
    ReferralCode.objects.bulk_create(ReferralCode(member=MemberFactory(), code=code) for code in "AB")

    assert [action for action, _changes in rows_of("referral_codes")] == ["insert", "insert"]


def test_query_update_records_each_row_that_changed():
    first, second = BusinessFactory(pending_days=1), BusinessFactory(pending_days=2)
    Business.objects.update(pending_days=2)

    assert rows_of("businesses", first.pk)[1:] == [("update", {"pending_days": [1, 2]})]
    assert rows_of("businesses", second.pk)[1:] == []


def test_an_update_of_thousands_is_recorded_as_well_as_the_one_row_before_it():
    """The session plans the trigger for one row and keeps the plan; joined each with each it would hang."""
    member = MemberFactory()
    ReferralCode.objects.bulk_create(ReferralCode(member=member, code=str(n)) for n in range(20_000))
    ReferralCode.objects.filter(code="7").update(invited_count=1)
    ReferralCode.objects.update(invited_count=2)

    updates = AuditLog.objects.filter(table_name="referral_codes", action="update")
    assert updates.filter(changes={"invited_count": [0, 1]}).count() == 1
    assert updates.filter(changes={"invited_count": [1, 2]}).count() == 1
    assert updates.filter(changes={"invited_count": [0, 2]}).count() == 19_999


def test_a_row_that_changes_its_id_is_recorded_under_both():
    code = ReferralCode.objects.create(member=MemberFactory(), code="A1", invited_count=2)
    new = uuid7()
    run("UPDATE referral_codes SET id = %s WHERE id = %s", [new, code.pk])

    (_insert, (action, gone)), ((_action, come),) = (
        rows_of("referral_codes", code.pk),
        rows_of("referral_codes", new),
    )
    assert (action, gone["id"], gone["invited_count"]) == ("update", [str(code.pk), None], [2, None])
    assert (come["id"], come["invited_count"]) == ([None, str(new)], [None, 2])


def test_bulk_update_is_recorded():
    business = BusinessFactory(pending_days=1)
    business.pending_days = 5
    Business.objects.bulk_update([business], ["pending_days"])

    assert rows_of("businesses", business.pk)[1:] == [("update", {"pending_days": [1, 5]})]


def test_raw_sql_is_recorded():
    member, business = MemberFactory(), BusinessFactory()
    row = uuid7()
    run(
        "INSERT INTO staff_memberships (id, created_at, user_id, business_id, role)"
        " VALUES (%s, now(), %s, %s, 'owner')",
        [row, member.pk, business.pk],
    )
    run("UPDATE staff_memberships SET role = 'cashier' WHERE id = %s", [row])
    run("DELETE FROM staff_memberships WHERE id = %s", [row])

    where = {"user_id": str(member.pk), "business_id": str(business.pk)}
    assert rows_of("staff_memberships", row) == [
        ("insert", {name: [None, value] for name, value in where.items()} | {"role": [None, "owner"]}),
        ("update", {"role": ["owner", "cashier"]}),
        ("delete", {name: [value, None] for name, value in where.items()} | {"role": ["cashier", None]}),
    ]


def test_copy_is_recorded():
    member = MemberFactory()
    ids = [uuid7() for _row in range(COPY_FROM_ROWS)]
    insert_rows(
        "referral_codes",
        ["id", "created_at", "updated_at", "user_id", "code", "invited_count", "rewarded_count",
         "monthly_limit", "is_active"],
        [[row, NOON, NOON, member.pk, f"C{number}", 0, 0, 10, True] for number, row in enumerate(ids)],
    )  # fmt: skip

    recorded = AuditLog.objects.filter(table_name="referral_codes", action="insert")
    assert set(recorded.values_list("row_id", flat=True)) == set(ids)


def test_rows_of_append_only_tables_are_recorded_without_values():
    purchase = Transaction.objects.create(
        member=MemberFactory(), business=BusinessFactory(), amount=D("500.00"), source="api", created_at=NOON
    )

    assert rows_of("transactions", purchase.pk) == [("insert", {})]


def test_a_new_lot_is_recorded_without_values(member, business):
    lot = give_bonuses(member, business, "15.00")

    assert rows_of("bonus_lots", lot.pk) == [("insert", {})]
    assert [action for action, _changes in rows_of("bonuses")] == ["insert"]


def test_children_that_the_database_deletes_are_recorded():
    member = MemberFactory()
    code = ReferralCode.objects.create(member=member, code="A1", invited_count=2)
    run("DELETE FROM users WHERE id = %s", [member.pk])

    (_insert, (action, changes)) = rows_of("referral_codes", code.pk)
    assert action == "delete"
    assert changes["invited_count"] == [2, None]
    assert [action for action, _changes in rows_of("users", member.pk)] == ["insert", "delete"]


def test_references_that_the_database_empties_are_recorded():
    inviter = MemberFactory()
    invited = MemberFactory(referred_by=inviter)
    run("DELETE FROM users WHERE id = %s", [inviter.pk])

    assert rows_of("users", invited.pk)[1:] == [("update", {"referred_by": [str(inviter.pk), None]})]


def test_what_machines_write_at_every_turn_is_not_recorded():
    key, _secret = create_api_key(business=BusinessFactory())
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=NOON, updated_at=NOON)

    assert [action for action, _changes in rows_of("api_keys", key.pk)] == ["insert"]


def test_a_new_row_version_of_a_registration_is_recorded_by_its_status_only(member):
    event = Event.objects.create(organiser=member, title="Walk", date=NOON)
    place = EventRegistration.objects.create(member=member, event=event, status="waiting")
    place.status = "offered"
    place.save()

    changes = {"status": ["waiting", "offered"]}
    assert rows_of("event_registrations", place.pk)[1:] == [("update", changes)]


def test_changes_of_one_transaction_stay_in_order(business):
    for days in range(1, 30):
        Business.objects.filter(pk=business.pk).update(pending_days=days)

    rows = AuditLog.objects.filter(row_id=business.pk, action="update").order_by("-created_at", "-id")
    assert [row.changes["pending_days"][1] for row in rows] == list(range(29, 0, -1))
    assert {row.id.version for row in rows} == {7}


def test_what_was_rolled_back_was_never_recorded():
    before = AuditLog.objects.count()
    with atomic():
        BusinessFactory()
        set_rollback(True)

    assert AuditLog.objects.count() == before


# --- Nothing that must not be kept ------------------------------------------------------------------


def test_secrets_and_personal_data_never_reach_the_record():
    canary = "kanareika"
    member = MemberFactory(
        phone="+79990001122", first_name=canary, last_name=canary, email=f"{canary}@example.org", city=canary,
        birth_date="1980-02-03", card_number=canary, referral_code=canary,
    )  # fmt: skip
    member.set_password(canary)
    member.save()
    key, secret = create_api_key(business=BusinessFactory(phone="+79990001122"))
    session = Session.objects.create(
        member=member, family=uuid7(), token_hash=canary, user_agent=canary, ip="203.0.113.7", expires_at=NOON
    )
    coupon = CouponFactory(member=member, code="KANAREIKA2")
    ReferralCode.objects.create(member=member, code=canary)
    hidden = [
        canary,
        "9990001122",
        "1980",
        member.password,
        secret,
        key.key_hash,
        "203.0.113.7",
        coupon.code,
    ]

    for model, fields in [
        (Member, {"phone": None, "first_name": "", "last_name": "", "email": "", "city": "",
                  "birth_date": None, "card_number": None, "referral_code": "x", "password": "!"}),
        (Session, {"token_hash": "x", "user_agent": "", "ip": None}),
        (Coupon, {"code": "ABCDEFGHJK"}),
        (ApiKey, {"key_hash": "x"}),
        (ReferralCode, {"code": "x"}),
    ]:  # fmt: skip
        model.objects.update(**fields)
    Session.objects.all().delete()

    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(audit_logs::text, E'\n') FROM audit_logs")
        (dump,) = cursor.fetchone()
    assert [word for word in hidden if word.lower() in dump.lower()] == []
    masked = ["•••", "•••"]
    changes = {"token_hash": masked, "user_agent": masked, "ip": masked}
    assert rows_of("sessions", session.pk)[1] == ("update", changes)
    assert rows_of("users", member.pk)[-1][1]["phone"] == ["•••", "•••"]


def test_columns_in_clear_are_named_one_by_one():
    """A column that somebody adds is masked until it is named, so a secret cannot slip in."""
    secretive = re.compile("hash|secret|password|token|phone|email|first_name|last_name|birth|payload")
    clear = {
        f"{model._meta.db_table}.{column}"
        for model in apps.get_models()
        for trigger in getattr(model._meta, "triggers", [])
        for column in getattr(trigger, "clear", ())
    }
    assert len(clear) > 100
    assert {name for name in clear if secretive.search(name.split(".")[1])} == set()


# --- Nothing takes it away --------------------------------------------------------------------------


@pytest.mark.parametrize("statement", [
    "UPDATE audit_logs SET request_id = 'x'", "DELETE FROM audit_logs", "TRUNCATE audit_logs",
])  # fmt: skip
def test_the_record_refuses_every_change(statement, member):
    with pytest.raises(ProgrammingError, match=r"Cannot .+ rows from audit_logs"), atomic():
        run(statement)


def test_the_librarys_switch_turns_no_trigger_off(member):
    names = ",".join(trigger.get_pgid(AuditLog) for trigger in AuditLog._meta.triggers)
    run(f"SET LOCAL pgtrigger.ignore = '{{{names}}}'")
    with pytest.raises(ProgrammingError, match="Cannot update or delete"):
        run("DELETE FROM audit_logs")


@pytest.mark.parametrize("table", sorted((CORE.keys() | MONEY) - {"audit_logs"}))
def test_a_table_cannot_be_emptied_past_its_record(table):
    with pytest.raises(ProgrammingError, match=r"Cannot truncate rows from \w+"):
        run(f"TRUNCATE {table} CASCADE")
