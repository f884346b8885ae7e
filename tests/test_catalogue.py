"""The database against the specification and against what docs/database.md and relationships.md say."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.db.utils import ProgrammingError

from loyalty.models import AuditLog
from promos.services.checkout import record_purchase
from tests.explain import QUERIES
from tests.factories import NOON, consent, publish_offer
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

# Table → columns that the specification names (data-model.md, "The 15 core tables").
CORE = {
    "users": """
        phone card_number first_name last_name email birth_date city language status_tier
        tier_valid_until referral_code referred_by is_staff password anonymised_at
        """,
    "businesses": """
        code name legal_name inn category address phone logo is_active can_accrue can_redeem
        point_price_rub redemption_cap_percent pending_days requires_presence_code
        credit_limit_rub stops_accrual_over_limit is_programme
        """,
    "transactions": """
        user_id business_id coupon_id kind refund_of amount coupon_discount bonus_redeemed
        amount_paid bonus_accrued category lines external_id request_hash source explanation
        created_at recorded_at sync_xid
        """,
    "bonuses": "user_id balance pending debt expires_at",
    "status_tiers": "level name threshold_rub accrual_percent redemption_cap_percent overdraft_limit",
    "coupons": """
        code user_id business_id chain_id offer_id status benefit min_amount valid_from
        valid_until issued_for
        """,
    "events": """
        organiser_id business_id title description place date ends_at capacity status min_tier
        bonus_reward cover
        """,
    "event_registrations": "user_id event_id party_size status offer_expires_at checked_in_at",
    "cross_promo_chains": """
        source_business_id target_business_id continues delay_hours discount_share_percent
        holdout_percent attribution_days exclude_target_customers_days status accepted_by
        accepted_at version
        """,
    "notifications": """
        user_id channel purpose partner_id template payload status dedupe_key send_after attempts
        last_error
        """,
    "crm_integrations": "business_id provider base_url secret mapping is_active last_seen_at last_error",
    "referral_codes": "user_id code invited_count rewarded_count is_active",
    "sessions": "user_id family token_hash user_agent ip expires_at rotated_at revoked_at reason",
    "audit_logs": "table_name row_id action actor_id actor_kind request_id changes created_at",
    "offer_constructor": "business_id title conditions effect stacking priority status version",
}

FURTHER = {
    "api_keys", "bonus_entries", "bonus_holds", "bonus_lots", "campaign_coupons", "chain_assignments",
    "chain_cost_shares", "chain_versions", "consents", "coupon_campaigns", "crm_messages", "forecast_runs",
    "idempotency_keys", "import_jobs", "import_rejections", "member_segments", "offer_uses",
    "offer_versions", "parked_refunds", "quotes", "reconciliations", "referrals", "rfm_runs",
    "sandbox_members", "second_factors", "seen_contacts", "staff_memberships", "sync_windows", "tier_changes",
    "webhook_deliveries", "webhook_endpoints", "webhook_events",
}  # fmt: skip

GIVEN_DELETE_RULES = {
    ("transactions", "user_id"): ("users", "RESTRICT"),
    ("transactions", "business_id"): ("businesses", "RESTRICT"),
    ("bonuses", "user_id"): ("users", "CASCADE"),
    ("coupons", "user_id"): ("users", "CASCADE"),
    ("coupons", "business_id"): ("businesses", "CASCADE"),
    ("event_registrations", "user_id"): ("users", "CASCADE"),
    ("event_registrations", "event_id"): ("events", "CASCADE"),
    ("crm_integrations", "business_id"): ("businesses", "CASCADE"),
}

GIVEN_INDEXES = {
    "idx_users_phone": ("(phone)", True),
    "idx_users_status_tier": ("(status_tier)", False),
    "idx_users_referral_code": ("(referral_code)", True),
    "idx_transactions_user_created": ("(user_id, created_at DESC)", False),
    "idx_transactions_business": ("(business_id, created_at DESC)", False),
    "idx_transactions_external_id": ("(external_id)", False),
    "idx_transactions_external_unique": ("(business_id, external_id) WHERE (external_id IS NOT NULL)", True),
    "idx_bonuses_user": ("(user_id)", True),
    "idx_bonuses_expires": ("(expires_at) WHERE (expires_at IS NOT NULL)", False),
    "idx_events_date": ("(date) WHERE ((status)::text = 'published'::text)", False),
    "idx_events_status": ("(status)", False),
}

# Numeric columns that hold no sum of money, or one that may pass 14 digits.
NOT_MONEY = {
    ("businesses", "point_price_rub"): "6,4",  # roubles for one bonus, finer than a kopeck
    ("businesses", "redemption_cap_percent"): "5,2",
    ("status_tiers", "accrual_percent"): "5,2",
    ("status_tiers", "redemption_cap_percent"): "5,2",
    ("coupons", "benefit_value"): "10,2",  # per cent, roubles or a multiplier
    ("coupon_campaigns", "benefit_value"): "10,2",  # the same
    ("cross_promo_chains", "coupon_value"): "10,2",  # the same
    ("cross_promo_chains", "discount_share_percent"): "5,2",
    ("cross_promo_chains", "holdout_percent"): "5,2",
    ("import_jobs", "amount"): "16,2",  # net sum of a whole file
}

# The ids of others' rows; no key of ours leads there.
OF_OTHERS = re.compile("^(auth|django)_")


def select(statement: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def our_columns() -> list[tuple]:
    rows = select(
        """
        SELECT table_name, column_name, data_type, numeric_precision || ',' || numeric_scale
        FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
        """
    )
    return [row for row in rows if not OF_OTHERS.match(row[0])]


def our_indexes() -> list[tuple]:
    """Return table, name, definition, whether unique, columns; primary keys apart."""
    rows = select(
        r"""
        SELECT t.relname, i.relname, regexp_replace(pg_get_indexdef(i.oid), '^.* USING btree ', ''),
               x.indisunique,
               ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY k(number, place)
                     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number ORDER BY place)
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
        WHERE t.relnamespace = 'public'::regnamespace AND NOT x.indisprimary
        """
    )
    return [row for row in rows if not OF_OTHERS.match(row[0])]


def foreign_keys() -> dict[tuple[str, str], tuple[str, str]]:
    rows = select(
        """
        SELECT child.table_name, child.column_name, parent.table_name, r.delete_rule
        FROM information_schema.referential_constraints r
        JOIN information_schema.key_column_usage child
          ON (child.constraint_schema, child.constraint_name) = (r.constraint_schema, r.constraint_name)
        JOIN information_schema.key_column_usage parent
          ON (parent.constraint_schema, parent.constraint_name)
           = (r.unique_constraint_schema, r.unique_constraint_name)
        WHERE r.constraint_schema = 'public'
        """
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows if not OF_OTHERS.match(row[0])}


def documented_indexes(part: str) -> dict[str, tuple[str, str]]:
    """Return index → (table, columns) of one part of docs/database.md."""
    text = (DOCS / "database.md").read_text().split(f"\n## {part}\n")[1].split("\n## ")[0]
    found = {}
    for section in text.split("\n### ")[1:]:
        table = section.split("\n")[0]
        for name, columns in re.findall(
            r"^\| `(idx_\w+)` \| ((?:unique )?`[^`]+`) \|", section, re.MULTILINE
        ):
            found[name] = (table, columns.replace("`", ""))
    return found


def documented_foreign_keys() -> dict[tuple[str, str], tuple[str, str]]:
    text = (DOCS / "relationships.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \| ([A-Z ]+) \| .+ \|$", text, re.MULTILINE)
    return {(child, column): (parent, rule) for child, column, parent, rule in rows}


def test_every_table_of_ours_is_core_or_named_as_further():
    tables = {row[0] for row in our_columns()}
    assert tables == CORE.keys() | FURTHER


def test_core_tables_have_the_columns_of_the_specification():
    present = {(table, column) for table, column, *_ in our_columns()}
    wanted = {
        (table, column) for table, columns in CORE.items() for column in [*columns.split(), "created_at"]
    }
    assert wanted - present == set()


def test_keys_are_uuids():
    keys = {(table, kind) for table, column, kind, _ in our_columns() if column == "id"}
    assert keys == {(table, "uuid") for table in CORE.keys() | FURTHER}


def test_money_is_numeric_of_fourteen_digits():
    others = {
        (table, column): size
        for table, column, kind, size in our_columns()
        if kind == "numeric" and size != "14,2"
    }
    assert others == NOT_MONEY
    assert {(t, c) for t, c, kind, _ in our_columns() if kind in {"real", "double precision", "money"}} == {
        ("forecast_runs", "log_likelihood"), ("sync_windows", "seconds"),
    }  # fmt: skip


def test_times_carry_a_zone():
    kinds = {kind for _, _, kind, _ in our_columns() if kind.startswith("time")}
    assert kinds == {"timestamp with time zone"}


def test_delete_rules_given_by_the_owner_stand_in_the_database():
    keys = foreign_keys()
    assert {key: keys.get(key) for key in GIVEN_DELETE_RULES} == GIVEN_DELETE_RULES


def test_relationships_document_lists_every_foreign_key():
    assert documented_foreign_keys() == foreign_keys()


def test_core_tables_have_forty_five_indexes():
    names = [name for table, name, *_ in our_indexes() if table in CORE]
    assert len(names) == 45


def test_indexes_are_named_after_their_table():
    misnamed = {name for table, name, *_ in our_indexes() if not name.startswith(f"idx_{table}_")}
    assert misnamed == set()


def test_given_indexes_have_the_given_columns():
    indexes = {name: (columns, unique) for _, name, columns, unique, _ in our_indexes()}
    assert {name: indexes.get(name) for name in GIVEN_INDEXES} == GIVEN_INDEXES


def test_database_document_lists_every_index():
    indexes = our_indexes()
    for part, tables in (("The 15 core tables", CORE.keys()), ("Further tables", FURTHER)):
        catalogue = {
            name: (table, ("unique " if unique else "") + columns)
            for table, name, columns, unique, _ in indexes
            if table in tables
        }
        assert documented_indexes(part) == catalogue


def test_every_index_has_an_explained_query():
    assert QUERIES.keys() == {name for _, name, *_ in our_indexes()}


def test_every_foreign_key_leads_an_index():
    # An index over the rows that name a parent covers the key: nulls have no parent.
    leading = {
        (table, columns[0])
        for table, _, definition, _, columns in our_indexes()
        if "WHERE" not in definition or definition.endswith(f"WHERE ({columns[0]} IS NOT NULL)")
    }
    assert foreign_keys().keys() - leading == set()


def test_no_index_repeats_another():
    definitions = [(table, definition) for table, _, definition, *_ in our_indexes()]
    assert sorted(definitions) == sorted(set(definitions))


def test_no_plain_index_is_the_beginning_of_another():
    whole = [
        (table, columns) for table, _, definition, _, columns in our_indexes() if "WHERE" not in definition
    ]
    plain = [
        (table, name, columns)
        for table, name, definition, unique, columns in our_indexes()
        if not unique and "WHERE" not in definition
    ]
    covered = {
        name
        for table, name, columns in plain
        for other_table, others in whole
        if table == other_table and columns != others and others[: len(columns)] == columns
    }
    assert covered == set()


APPEND_ONLY = [
    "transactions", "bonus_entries", "tier_changes", "audit_logs", "consents", "offer_versions", "offer_uses",
]  # fmt: skip


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET created_at = created_at", "DELETE FROM {}"])
def test_append_only_table_refuses_raw_sql(table, statement, a_row_in_each):
    with pytest.raises(ProgrammingError, match=f"Cannot update or delete rows from {table}"):
        select(statement.format(table))


@pytest.fixture
def a_row_in_each(member, business):
    """A purchase that brings bonuses and a tier, and an audit row: triggers fire where there are rows."""
    publish_offer(business)
    record_purchase(purchase(member, business, amount="30000.00"), at=NOON)
    AuditLog.objects.create(table_name="users", row_id=member.pk, action="UPDATE", changes={})
    consent(member)


def test_entities_document_names_every_model():
    rows = re.findall(
        r"^\| [^|]+ \| `([\w.]+)`[^|]* \| `(\w+)` \|", (DOCS / "entities.md").read_text(), re.MULTILINE
    )
    apps_of_ours = {"loyalty", "promos", "events", "analytics"}
    models = {
        (model._meta.label, model._meta.db_table)
        for model in apps.get_models()
        if model._meta.app_label in apps_of_ours
    }
    assert set(rows) == models


@pytest.mark.parametrize(
    "path", sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *DOCS.rglob("*.md")]), ids=str
)
def test_links_of_documents_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)|src=\"([^\"]+)\"", (ROOT / path).read_text())
    targets = [ROOT / path.parent / (markdown or html) for markdown, html in links]
    assert [str(target) for target in targets if not target.exists()] == []


def test_places_named_in_the_database_document_exist():
    """The files that ask the queries: `path/to/module.py` followed by the names in it."""
    text = (DOCS / "database.md").read_text()
    missing = []
    for path, names in re.findall(r"`([\w/]+\.py)`((?: (?:and )?`\w+`)*)", text):
        code = (ROOT / path).read_text() if (ROOT / path).is_file() else ""
        missing += [
            f"{path} {name}" for name in re.findall(r"`(\w+)`", names) or [""] if not code or name not in code
        ]
    assert missing == []
