"""Triggers by which the database proves the ledger at every statement, whoever writes and however.

They fire after the whole statement, so one that writes lots, entries and balances together is
judged by its outcome. What stood before was proven when it was written: a new entry need only
continue from the entry before it, found by index, however long the history is.
Reasons and costs: docs/decisions/0009-balance-proven-by-chain.md.
"""

from typing import Any

import pgtrigger
from pgtrigger import compiler

from svoykrug.db.triggers import Refuse, Trigger, TriggerSql

HINT = (
    "Nothing was stored. Write entries, lots and balances in one statement. "
    "To audit what is stored: manage.py verify_ledger."
)

# Each query gives one column, `problem`: a sentence on a row of `written` that is wrong, or NULL.
CHAIN = """
    SELECT CASE
        WHEN w.position <> coalesce(p.position, 0) + 1 THEN format(
            'entry %s of member %s: position is %s, and the one before it is %s',
            w.id, w.user_id, w.position, coalesce(p.position, 0))
        WHEN w.total_after <> coalesce(p.total_after, 0)
            + CASE WHEN w.kind IN ('debt', 'write_off') THEN 0 ELSE w.amount END
        THEN format('entry %s of member %s: total_after is %s, expected %s', w.id, w.user_id, w.total_after,
            coalesce(p.total_after, 0) + CASE WHEN w.kind IN ('debt', 'write_off') THEN 0 ELSE w.amount END)
        WHEN w.debt_after <> coalesce(p.debt_after, 0)
            + CASE w.kind WHEN 'debt' THEN -w.amount WHEN 'debt_repayment' THEN w.amount ELSE 0 END
        THEN format('entry %s of member %s: debt_after is %s, expected %s', w.id, w.user_id, w.debt_after,
            coalesce(p.debt_after, 0)
            + CASE w.kind WHEN 'debt' THEN -w.amount WHEN 'debt_repayment' THEN w.amount ELSE 0 END)
        WHEN coalesce(b.entries, 0) < w.position THEN format(
            'balance of member %s: entries is %s, expected %s', w.user_id, coalesce(b.entries, 0), w.position)
    END AS problem
    FROM written w
    LEFT JOIN LATERAL (
        SELECT position, total_after, debt_after FROM bonus_entries e
        WHERE e.user_id = w.user_id AND e.position < w.position ORDER BY e.position DESC LIMIT 1
    ) p ON true
    LEFT JOIN LATERAL (SELECT entries FROM bonuses b WHERE b.user_id = w.user_id LIMIT 1) b ON true
"""
LAST_ENTRY = """
    SELECT CASE
        WHEN w.entries <> coalesce(e.position, 0) THEN format(
            'balance of member %s: entries is %s, expected %s', w.user_id, w.entries, coalesce(e.position, 0))
        WHEN w.balance + w.pending <> coalesce(e.total_after, 0) THEN format(
            'balance of member %s: balance and pending are %s, expected %s',
            w.user_id, w.balance + w.pending, coalesce(e.total_after, 0))
        WHEN w.debt <> coalesce(e.debt_after, 0) THEN format(
            'balance of member %s: debt is %s, expected %s', w.user_id, w.debt, coalesce(e.debt_after, 0))
    END AS problem
    FROM written w
    LEFT JOIN LATERAL (
        SELECT position, total_after, debt_after FROM bonus_entries e
        WHERE e.user_id = w.user_id ORDER BY e.position DESC LIMIT 1
    ) e ON true
"""
_LOT = """
    SELECT CASE
        {foreign}
        WHEN l.remaining <> s.remaining THEN format(
            'lot %s of member %s: remaining is %s, expected %s', l.id, l.user_id, l.remaining, s.remaining)
        WHEN l.accrued <> s.accrued THEN format(
            'lot %s of member %s: accrued is %s, expected %s', l.id, l.user_id, l.accrued, s.accrued)
    END AS problem
    FROM {lots}
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount) FILTER (WHERE kind NOT IN ('debt', 'write_off')), 0) AS remaining,
            coalesce(sum(amount) FILTER (WHERE kind = 'accrual'), 0) AS accrued
        FROM bonus_entries e WHERE e.lot_id = l.id
    ) s
"""
LOT_SUMS = _LOT.format(foreign="", lots="written l")
LOT_SUMS_OF_ENTRIES = _LOT.format(
    foreign="""WHEN l.user_id <> w.user_id THEN format(
            'lot %s of member %s: it has an entry of member %s', l.id, l.user_id, w.user_id)""",
    # A lot that is spent in a thousand parts by one statement is added up once.
    lots="""(SELECT DISTINCT lot_id, user_id FROM written) w
    CROSS JOIN LATERAL (SELECT * FROM bonus_lots l WHERE l.id = w.lot_id LIMIT 1) l""",
)
RESTORED_NOW = """
    EXISTS (
        SELECT FROM public.bonus_entries e WHERE e.lot_id = NEW.id AND e.kind = 'restoration'
            AND e.sync_xid = pg_current_xact_id()::text::bigint
    )
"""


class ProofSql(TriggerSql):
    """By index always: a session keeps its plan, and one made for a small table or for thousands
    of rows must serve the next single purchase.

    LATERAL … LIMIT 1 rules out other joins. No sequential scans, and no sorts, because on tables
    without statistics PostgreSQL holds `user_id, created_at` for as good an index to find the last
    position by. The path keeps temporary tables out.
    """

    def get_template(self) -> str:
        settings = """LANGUAGE plpgsql SET search_path = public, pg_temp
                SET enable_seqscan = off SET enable_sort = off;"""
        return super().get_template().replace("LANGUAGE plpgsql;", settings)


class Proof(Trigger):
    """Refuse a statement whose outcome is wrong by one of the queries."""

    level = pgtrigger.Statement
    when = pgtrigger.After
    referencing = pgtrigger.Referencing(new="written")
    declare = [("wrong", "text")]

    def __init__(self, *queries: str, **options: Any) -> None:
        super().__init__(**options)
        self.queries = queries

    def compile(self, model: Any) -> compiler.Trigger:
        return compiler.Trigger(name=self.name, sql=ProofSql(**super().compile(model).sql.kwargs))

    def get_func(self, model: Any) -> str:
        steps = [
            f"""SELECT problem INTO wrong FROM ({query}) AS q WHERE problem IS NOT NULL LIMIT 1;
                IF FOUND THEN {refusal("wrong", self.name)} END IF;"""  # noqa: S608
            for query in self.queries
        ]
        return "\n".join([*steps, "RETURN NULL;"])


def refusal(message: str, name: str) -> str:
    """Return the statement that refuses: an error like a check constraint's, named after the rule."""
    return f"""RAISE check_violation USING MESSAGE = {message},
        TABLE = TG_TABLE_NAME, CONSTRAINT = TG_TABLE_NAME || '_{name}', HINT = '{HINT}';"""


def entries_proven() -> list[Trigger]:
    return [
        Proof(CHAIN, LOT_SUMS_OF_ENTRIES, name="continue_the_chain", operation=pgtrigger.Insert),
    ]


def balances_proven() -> list[Trigger]:
    return [
        Proof(LAST_ENTRY, name="are_the_last_entry", operation=pgtrigger.Insert),
        Proof(LAST_ENTRY, name="stay_the_last_entry", operation=pgtrigger.Update),
        Trigger(
            name="keep_their_member",
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            condition=pgtrigger.Condition("OLD.user_id <> NEW.user_id"),
            func=refusal("format('balance of member %s: it stays theirs', OLD.user_id)", "keep_their_member"),
        ),
        Trigger(
            name="stay_with_entries",
            when=pgtrigger.Before,
            operation=pgtrigger.Delete,
            condition=pgtrigger.Condition("OLD.entries > 0"),
            func=refusal("format('balance of member %s: it has entries', OLD.user_id)", "stay_with_entries"),
        ),
    ]


def lots_proven() -> list[Trigger]:
    kept = "id", "created_at", "user_id", "issuer_id", "transaction_id", "kind", "accrued", "available_from"
    old, new = (", ".join(f"{row}.{column}" for column in kept) for row in ("OLD", "NEW"))
    return [
        Proof(LOT_SUMS, name="are_their_entries", operation=pgtrigger.Insert),
        Proof(LOT_SUMS, name="stay_their_entries", operation=pgtrigger.Update),
        Trigger(
            name="keep_their_terms",
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            condition=pgtrigger.Condition(
                f"NEW.expires_at < OLD.expires_at OR ({old}) IS DISTINCT FROM ({new})"
            ),
            func=refusal(
                "format('lot %s of member %s: only what is left may change, and the expiry to a later one',"
                " OLD.id, OLD.user_id)",
                "keep_their_terms",
            ),
        ),
        Trigger(
            name="live_longer_if_restored",
            when=pgtrigger.After,
            operation=pgtrigger.Update,
            condition=pgtrigger.Condition("NEW.expires_at > OLD.expires_at"),
            func=f"""IF NOT {RESTORED_NOW} THEN {
                refusal(
                    "format('lot %s of member %s: nothing was restored to it, so it expires as before',"
                    " OLD.id, OLD.user_id)",
                    "live_longer_if_restored",
                )
            } END IF; RETURN NULL;""",
        ),
        Refuse(name="no_delete", operation=pgtrigger.Delete),
    ]
