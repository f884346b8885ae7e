"""Whatever SQL is tried on the money, the database refuses it and nothing has changed.

Written as the role that owns the tables, so rights are not what refuses. An attempt is a
statement and the words by which it is refused, lest a mistake in it pass for a refusal.
"""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, connection
from django.db.transaction import atomic
from psycopg.errors import CheckViolation

from loyalty.models import BonusHold, Transaction
from tests.factories import NOON, BusinessFactory, MemberFactory
from tests.loyalty.book import Book, D, Kind

pytestmark = pytest.mark.django_db

MONEY = ("transactions", "bonus_lots", "bonus_entries", "bonuses", "bonus_holds", "users", "businesses")
REFUSALS = {"23514", "23505", "23503", "23001", "P0001"}


def entry(
    *,
    member: str = "%(member)s",
    kind: str = "restoration",
    amount: str = "10",
    position: str = "entries + 1",
    total: str = "balance + 10",
    debt: str = "debt",
    honoured_by: str = "%(business)s",
) -> str:
    """Return SQL of one more entry on the member's first lot; by default one that continues the chain."""
    return f"""
        INSERT INTO bonus_entries (id, created_at, recorded_at, lot_id, user_id, kind, amount, position,
            total_after, debt_after, honoured_by)
        SELECT gen_random_uuid(), now(), now(), %(lot)s, user_id, '{kind}', {amount}, {position}, {total},
            {debt}, {honoured_by} FROM bonuses WHERE user_id = {member}
    """


def credited(member: str = "%(member)s", entries: str = "entries + 1", amount: str = "10") -> str:
    return f"UPDATE bonuses SET balance = balance + {amount}, entries = {entries} WHERE user_id = {member}"


def lot(change: str, which: str = "lot") -> str:
    return f"UPDATE bonus_lots SET {change} WHERE id = %({which})s"


def balance(change: str) -> str:
    return f"UPDATE bonuses SET {change} WHERE user_id = %(member)s"


def together(last: str, *others: str) -> str:
    """Return the statements as one."""
    parts = ", ".join(f"w{number} AS ({other})" for number, other in enumerate(others))
    return f"WITH {parts} {last}"


NEW_LOT = """
    INSERT INTO bonus_lots (id, created_at, user_id, issuer_id, kind, accrued, remaining, available_from,
        expires_at)
    VALUES (gen_random_uuid(), now(), %(member)s, %(business)s, 'purchase', 100, {}, now(),
        now() + interval '1 year')
"""
NEW_BALANCE = """
    INSERT INTO bonuses (id, created_at, updated_at, user_id, balance, pending, debt, entries, turnover_bound)
    VALUES (gen_random_uuid(), now(), now(), {}, {}, 0, 0, 0, 0)
"""
LOT_PLUS_10 = lot("remaining = remaining + 10")
TERMS = "only what is left may change"
KEPT = "Cannot update or delete rows from bonus_entries"

ATTEMPTS = {
    # Entries
    "double an entry": ("UPDATE bonus_entries SET amount = amount * 2 WHERE id = %(entry)s", KEPT),
    "change all entries": ("UPDATE bonus_entries SET amount = amount + 1", KEPT),
    "delete an entry": ("DELETE FROM bonus_entries WHERE id = %(entry)s", KEPT),
    "delete a member's entries": ("DELETE FROM bonus_entries WHERE user_id = %(member)s", KEPT),
    "renumber entries": ("UPDATE bonus_entries SET position = position + 10", KEPT),
    "swap the entries of two members": (
        """UPDATE bonus_entries SET user_id = CASE user_id WHEN %(member)s THEN %(stranger)s
            ELSE %(member)s END""",
        KEPT,
    ),
    "move an entry to another lot": ("UPDATE bonus_entries SET lot_id = %(other)s", KEPT),
    "add an entry alone": (entry(), "entries is 4, expected 5"),
    "add an entry and the lot's part, no balance": (
        together(entry(), LOT_PLUS_10), "entries is 4, expected 5",
    ),
    "add an entry and balance, not to the lot": (
        together(entry(), credited()), "remaining is 40.00, expected 50.00",
    ),
    "take a position twice": (
        together(entry(position="entries"), LOT_PLUS_10, credited(entries="entries")),
        "idx_bonus_entries_user_position",
    ),
    "leave a gap": (
        together(entry(position="entries + 2"), LOT_PLUS_10, credited(entries="entries + 2")),
        "position is 6, and the one before it is 4",
    ),
    "begin at nothing": (
        together(entry(position="0"), LOT_PLUS_10, credited(entries="entries")),
        "position is 0, and the one before it is 0",
    ),
    "begin below nothing": (entry(position="-1"), "bonus_entries_position_check"),
    "misstate the total": (
        together(entry(total="balance + 1000"), LOT_PLUS_10, credited(amount="1000")),
        "total_after is 1090.00, expected 100.00",
    ),
    "forget the debt": (
        together(entry(debt="0"), LOT_PLUS_10, balance("balance = balance + 10, debt = 0, entries = 5")),
        "debt_after is 0.00, expected 5.00",
    ),
    "count a write-off as a gain": (
        together(
            entry(kind="write_off", amount="-10", honoured_by="NULL"), LOT_PLUS_10, credited(),
        ),
        "total_after is 100.00, expected 90.00",
    ),
    "accrue less than nothing": (entry(kind="accrual", amount="-10"), "bonus_entries_sign_follows_kind"),
    "spend at nobody's": (
        entry(kind="redemption", amount="-10", honoured_by="NULL"),
        "bonus_entries_spending_names_honourer",
    ),
    "accrue twice to a lot": (
        together(entry(kind="accrual"), LOT_PLUS_10, credited()), "accrued is 100.00, expected 110.00",
    ),
    "restore to one's own balance from another's lot": (
        together(
            entry(member="%(stranger)s"), LOT_PLUS_10, credited(member="%(stranger)s")
        ),
        "it has an entry of member",
    ),
    "overwrite an entry by a conflict": (
        f"{entry(position='entries')} ON CONFLICT (user_id, position) DO UPDATE SET amount = 99", KEPT,
    ),
    "write an entry of a lot that is not there": (
        together(entry().replace("%(lot)s", "%(member)s"), credited()), "bonus_entries_lot_id",
    ),
    # Lots
    "add a lot alone": (NEW_LOT.format(100), "remaining is 100.00, expected 0"),
    "add an empty lot alone": (NEW_LOT.format(0), "accrued is 100.00, expected 0"),
    "raise a lot": (LOT_PLUS_10, "remaining is 50.00, expected 40.00"),
    "raise a lot above what it was": (lot("remaining = 101"), "bonus_lots_remaining_within_accrued"),
    "overdraw a lot": (lot("remaining = -1"), "bonus_lots_remaining_within_accrued"),
    "empty all lots": ("UPDATE bonus_lots SET remaining = 0", "expected"),
    "raise a lot with its balance": (
        together(LOT_PLUS_10, balance("balance = balance + 10")), "expected",
    ),
    "pour one lot into another": (
        together(LOT_PLUS_10, lot("remaining = remaining - 10", "second")), "expected",
    ),
    "give a lot away": (lot("user_id = %(stranger)s"), TERMS),
    "charge another issuer": (lot("issuer_id = %(other_business)s"), TERMS),
    "raise what was accrued": (lot("accrued = 1000"), TERMS),
    "let a lot be spent earlier": (lot("available_from = available_from - interval '1 day'"), TERMS),
    "hang a lot on another purchase": (lot("transaction_id = NULL"), TERMS),
    "change a lot's kind": (lot("kind = 'adjustment'"), TERMS),
    "change a lot's key": (lot("id = gen_random_uuid()"), TERMS),
    "let a lot expire sooner": (lot("expires_at = expires_at - interval '1 second'"), TERMS),
    "let a lot live longer": (lot("expires_at = expires_at + interval '1 day'"), "nothing was restored"),
    "delete a lot": ("DELETE FROM bonus_lots WHERE id = %(lot)s", "Cannot delete rows from bonus_lots"),
    # Balances
    "raise a balance": (balance("balance = balance + 0.01"), "are 90.01, expected 90.00"),
    "lower all balances": ("UPDATE bonuses SET balance = 0", "expected"),
    "raise what is pending": (balance("pending = pending + 1"), "are 91.00, expected 90.00"),
    "a negative balance": (balance("balance = -1, pending = 91"), "bonuses_never_negative"),
    "a negative debt": (balance("debt = -1"), "bonuses_never_negative"),
    "pay a debt with words": (balance("debt = 0"), "debt is 0.00, expected 5.00"),
    "forget the last entry": (
        balance("entries = 3, balance = 90, debt = 0"), "entries is 3, expected 4",
    ),
    "claim an entry more": (balance("entries = 5"), "entries is 5, expected 4"),
    "take over a balance": (
        "UPDATE bonuses SET user_id = %(newcomer)s WHERE user_id = %(member)s", "it stays theirs",
    ),
    "delete a balance": ("DELETE FROM bonuses WHERE user_id = %(member)s", "it has entries"),
    "begin with a present": (NEW_BALANCE.format("%(newcomer)s", 100), "are 100.00, expected 0"),
    "begin anew": (NEW_BALANCE.format("%(member)s", 0), "idx_bonuses_user"),
    "raise a balance by a conflict": (
        f"""{NEW_BALANCE.format("%(member)s", 0)} ON CONFLICT (user_id)
            DO UPDATE SET balance = bonuses.balance + 1""",
        "are 91.00, expected 90.00",
    ),
    "raise a balance by a merge": (
        """MERGE INTO bonuses b USING users u ON u.id = b.user_id AND u.id = %(member)s
            WHEN MATCHED THEN UPDATE SET balance = b.balance + 1""",
        "are 91.00, expected 90.00",
    ),
    # Purchases, holds and those whom the money belongs to
    "raise a purchase": ("UPDATE transactions SET amount = amount + 1", "Cannot update or delete rows"),
    "raise what a purchase brought": (
        "UPDATE transactions SET bonus_accrued = 999 WHERE id = %(purchase)s", "Cannot update or delete rows",
    ),
    "delete a purchase": (
        "DELETE FROM transactions WHERE id = %(purchase)s", "Cannot update or delete rows",
    ),
    "hold less than nothing": ("UPDATE bonus_holds SET amount = -10", "bonus_holds_amount_positive"),
    "delete a member with purchases": ("DELETE FROM users WHERE id = %(member)s", "it has entries"),
    "delete a business with lots": ("DELETE FROM businesses WHERE id = %(business)s", "businesses"),
    "empty the entries": ("TRUNCATE bonus_entries", "Cannot truncate rows from bonus_entries"),
    "empty the lots": ("TRUNCATE bonus_lots CASCADE", "Cannot truncate rows"),
    "empty the balances": ("TRUNCATE bonuses", "Cannot truncate rows from bonuses"),
    "empty the purchases": ("TRUNCATE transactions CASCADE", "Cannot truncate rows"),
    "empty the members": ("TRUNCATE users CASCADE", "Cannot truncate rows"),
    # Ways around the triggers
    "ask the triggers' library to look away": (
        """SELECT set_config('pgtrigger.ignore', (SELECT array_agg(tgname)::text FROM pg_trigger), true);
        UPDATE bonus_entries SET amount = -1 WHERE id = %(entry)s""",
        KEPT,
    ),
    "put a temporary table in the way": (
        """CREATE TEMPORARY TABLE bonus_entries ON COMMIT DROP AS
            SELECT user_id, 4 AS position, 1000.00 AS total_after, 5.00 AS debt_after, id
            FROM public.bonuses WHERE user_id = %(member)s;
        UPDATE public.bonuses SET balance = 1000 WHERE user_id = %(member)s""",
        "are 1000.00, expected 90.00",
    ),
    "put off the checks": (
        "SET CONSTRAINTS ALL DEFERRED; UPDATE bonuses SET balance = balance + 1", "expected",
    ),
}  # fmt: skip


@pytest.fixture
def ids(member, business) -> dict[str, UUID]:
    """Two members with bonuses: the first has 90 in two lots and owes 5."""
    purchase = Transaction.objects.create(
        member=member, business=business, source="till", created_at=NOON, amount=1000, bonus_accrued=100
    )
    book = Book(member, business)
    first = book.accrue("100.00", purchase=purchase)
    second = book.accrue("50.00")
    spending = book.enter(Kind.REDEMPTION, "-60.00", first)
    book.enter(Kind.DEBT, "-5.00", first)
    book.write()
    stranger = MemberFactory()
    others = Book(stranger, business)
    other = others.accrue("30.00")
    others.write()
    BonusHold.objects.create(
        member=member, business=business, amount=D("20"), expires_at=NOON + timedelta(hours=1)
    )
    return {
        "member": member.pk, "stranger": stranger.pk, "newcomer": MemberFactory().pk,
        "business": business.pk, "other_business": BusinessFactory().pk, "purchase": purchase.pk,
        "lot": first, "second": second, "other": other, "entry": spending["id"],
    }  # fmt: skip


def money() -> dict[str, str]:
    """Return a fingerprint of each table that money is kept in."""
    found = {}
    with connection.cursor() as cursor:
        for table in MONEY:
            cursor.execute(f"SELECT md5(string_agg(t::text, ';' ORDER BY id)) FROM public.{table} t")
            found[table] = cursor.fetchone()[0]
    return found


def attempt(statement: str, ids: dict[str, UUID]) -> None:
    """Try it as a transaction of its own, with everything that a commit checks."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with atomic():
            for part in statement.split(";"):
                cursor.execute(part, ids)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("name", ATTEMPTS)
def test_tampering_is_refused_and_changes_nothing(name, ids):
    statement, words = ATTEMPTS[name]
    before = money()

    with pytest.raises(DatabaseError) as refusal:
        attempt(statement, ids)

    assert words in str(refusal.value)
    assert refusal.value.__cause__.sqlstate in REFUSALS
    assert money() == before


def test_copy_into_the_ledger_is_refused_and_changes_nothing(ids):
    before = money()
    columns = "id, created_at, recorded_at, lot_id, user_id, kind, amount, position, total_after, debt_after"
    times = "2026-06-15\t2026-06-15"
    row = f"{ids['newcomer']}\t{times}\t{ids['other']}\t{ids['stranger']}\taccrual\t1\t2\t31\t0\n"

    with pytest.raises(CheckViolation, match="entries is 1, expected 2"), atomic():
        copy_into(f"COPY bonus_entries ({columns}) FROM STDIN", row)

    assert money() == before


def copy_into(statement: str, text: str) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(text)


def test_the_same_parts_together_are_a_movement(ids):
    before = money()

    attempt(together(entry(), LOT_PLUS_10, credited()), ids)

    changed = {table for table, fingerprint in money().items() if fingerprint != before[table]}
    assert changed == {"bonus_lots", "bonus_entries", "bonuses"}


def test_a_lot_may_live_longer_when_something_is_restored_to_it(ids):
    longer = lot("remaining = remaining + 10, expires_at = expires_at + interval '14 days'")

    attempt(together(entry(), longer, credited()), ids)


def test_a_member_without_entries_may_go_with_their_balance(ids):
    attempt(NEW_BALANCE.format("%(newcomer)s", 0), ids)

    attempt("DELETE FROM users WHERE id = %(newcomer)s", ids)


def test_refusals_name_the_rule_and_tell_operators_what_to_do(ids):
    with pytest.raises(DatabaseError) as refusal:
        attempt(balance("debt = 0"), ids)

    details = refusal.value.__cause__.diag
    assert (details.table_name, details.constraint_name) == ("bonuses", "bonuses_stay_the_last_entry")
    assert details.message_primary == f"balance of member {ids['member']}: debt is 0.00, expected 5.00"
    assert "manage.py verify_ledger" in details.message_hint
