"""A purchase or refund is recorded once, with its bonuses, coupon and chains."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.errors import (
    ExternalIdReused,
    InvalidPurchase,
    MemberNotFound,
)
from loyalty.models import Bonus, BonusLot, StatusTier, Transaction
from loyalty.services.accounts import LOTS_OF_PURCHASES
from loyalty.services.transactions import by_receipt
from promos.models import Coupon
from promos.services.checkout import record_many, record_purchase, record_refund
from svoykrug.db.models import uuid7
from tests.factories import NOON, BusinessFactory, ChainFactory, MemberFactory, agreeing, give_bonuses
from tests.promos.requests import entries_of, purchase, refund

pytestmark = pytest.mark.django_db


def test_purchase_opens_a_lot_by_the_tiers_percent(member, business):
    transaction, created = record_purchase(purchase(member, business), at=NOON)

    assert created
    assert (transaction.amount_paid, transaction.bonus_accrued) == (D("1000.00"), D("30.00"))
    lot = BonusLot.objects.get(member=member)
    assert (lot.issuer, lot.accrued, lot.remaining) == (business, D("30.00"), D("30.00"))
    assert lot.available_from == NOON
    # 365 days later, at the end of that day in Moscow.
    assert lot.expires_at == datetime(2027, 6, 15, 21, 0, tzinfo=UTC)
    assert entries_of(member) == [("accrual", D("30.00"))]
    bonus = Bonus.objects.get(member=member)
    assert (bonus.balance, bonus.pending, bonus.debt, bonus.expires_at) == (D(30), 0, 0, lot.expires_at)


@pytest.mark.parametrize(("level", "earned"), [(1, "30.00"), (2, "50.00"), (3, "70.00"), (4, "100.00")])
def test_each_tier_earns_its_percent(business, level, earned):
    member = MemberFactory(status_tier=StatusTier.objects.get(level=level))

    transaction, _ = record_purchase(purchase(member, business), at=NOON)

    assert transaction.bonus_accrued == D(earned)
    assert transaction.explanation["tier"]["level"] == level


def test_bonuses_of_a_partner_with_pending_days_wait(member):
    business = BusinessFactory(pending_days=14)

    record_purchase(purchase(member, business), at=NOON)

    bonus = Bonus.objects.get(member=member)
    assert (bonus.balance, bonus.pending) == (D("0.00"), D("30.00"))
    assert BonusLot.objects.get().available_from == NOON + timedelta(days=14)


def test_a_repeat_returns_the_first_and_changes_nothing(member, business):
    first, _ = record_purchase(purchase(member, business), at=NOON)

    again, created = record_purchase(purchase(member, business), at=NOON + timedelta(hours=1))

    assert (again.pk, created) == (first.pk, False)
    assert Transaction.objects.count() == 1
    assert Bonus.objects.get(member=member).balance == D("30.00")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": D("1000.01")}, "amount"),
        ({"category": "tea"}, "category"),
        ({"purchased_at": NOON + timedelta(seconds=1)}, "purchased_at"),
        ({"lines": [{"sku": "1", "amount": "1000.00"}]}, "lines"),
    ],
)
def test_a_receipt_with_other_content_is_refused_naming_the_field(member, business, change, field):
    record_purchase(purchase(member, business), at=NOON)

    with pytest.raises(ExternalIdReused) as refusal:
        record_purchase(replace(purchase(member, business), **change), at=NOON)

    assert refusal.value.details["fields"] == [field]
    assert Bonus.objects.get(member=member).balance == D("30.00")


def test_a_receipt_of_another_member_is_refused(member, business):
    record_purchase(purchase(member, business), at=NOON)
    other = MemberFactory()

    with pytest.raises(ExternalIdReused) as refusal:
        record_purchase(purchase(other, business), at=NOON)

    assert refusal.value.details["fields"] == ["member"]
    assert not BonusLot.objects.filter(member=other).exists()


def test_the_same_receipt_at_another_business_is_another_purchase(member, business):
    record_purchase(purchase(member, business), at=NOON)
    record_purchase(purchase(member, BusinessFactory()), at=NOON)

    assert Transaction.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": D("0.00")}, "amount"),
        ({"amount": D("-5.00")}, "amount"),
        ({"amount": D("1.001")}, "amount"),
        ({"amount": D("NaN")}, "amount"),
        ({"amount": D("Infinity")}, "amount"),
        ({"amount": D("1e18")}, "amount"),
        ({"purchased_at": NOON + timedelta(hours=25)}, "purchased_at"),
        ({"purchased_at": datetime(1970, 1, 1, tzinfo=UTC)}, "purchased_at"),
        ({"category": "a\x00b"}, "category"),
        ({"external_id": "x" * 201}, "external_id"),
    ],
)
def test_values_no_till_can_mean_are_refused_and_nothing_is_stored(member, business, change, field):
    with pytest.raises(InvalidPurchase) as refusal:
        record_purchase(replace(purchase(member, business), **change), at=NOON)

    assert refusal.value.field == field
    assert not Transaction.objects.exists()


def test_the_largest_real_purchase_is_recorded(member, business):
    transaction, _ = record_purchase(purchase(member, business, amount="168469.60"), at=NOON)

    assert transaction.bonus_accrued == D("5054.09")


def test_unknown_and_departed_members_are_refused(business):
    departed = MemberFactory(anonymised_at=NOON)

    for member_id in (uuid7(), departed.pk):
        with pytest.raises(MemberNotFound):
            record_purchase(
                replace(purchase(departed, business), member_id=member_id),
                at=NOON,
            )

    assert not Transaction.objects.exists()


def test_a_business_that_gives_no_bonuses_records_and_explains(member):
    business = BusinessFactory(can_accrue=False)

    transaction, _ = record_purchase(purchase(member, business), at=NOON)

    assert transaction.bonus_accrued == 0
    [rule] = transaction.explanation["rules"]
    assert (rule["applied"], rule["reason"]) == (False, "can_accrue: this business gives no bonuses")


def test_many_and_one_give_the_same_results():
    """The set-based path is the path of one: same rows, whatever the grouping."""

    def story(business, member, target):
        return [
            purchase(member, business, "1", "999.99"),
            purchase(member, business, "2", "10.00", category="tea"),
            refund(business, "3", "1", "333.33"),
            refund(business, "4", "5", "50.00", member_id=member.pk),
            purchase(member, business, "5", "70.00"),
            purchase(member, business, "1", "1.00"),
            refund(business, "6", "", "1.00"),
            purchase(member, target, "7", "500.00"),
        ]

    def play(group):
        business, member, target = BusinessFactory(), agreeing(), BusinessFactory()
        ChainFactory(source_business=business, target_business=target)
        requests = story(business, member, target)
        for start in range(0, len(requests), group):
            record_many(requests[start : start + group], at=NOON + timedelta(days=1))
        rows = Transaction.objects.filter(member=member).order_by("external_id")
        lots = BonusLot.objects.filter(member=member).order_by("transaction__external_id")
        return (
            list(rows.values_list("external_id", "amount", "bonus_accrued", "category")),
            list(lots.values_list("accrued", "remaining")),
            Bonus.objects.values_list("balance", "debt").get(member=member),
            Coupon.objects.filter(member=member).count(),
        )

    assert play(1) == play(3) == play(8)


# --- Statements --------------------------------------------------------------------------------------


def statements(work):
    """Return the statements of the work, the frame of its transaction left out."""
    with CaptureQueriesContext(connection) as queries:
        work()
    texts = [" ".join(query["sql"].split()) for query in queries]
    return [text for text in texts if "SAVEPOINT" not in text]


def tables(statement):
    """Return the tables read, in their order."""
    return [name for name in re.findall(r"(?:FROM|JOIN) (\w+)", statement) if name != "unnest"]


@pytest.mark.usefixtures("spelled_out")
def test_a_plain_purchase_reads_once_and_writes_once(member, business):
    for external_id in ("first", "second"):
        request = purchase(member, business, external_id)

        read, written = statements(lambda r=request: record_purchase(r, at=NOON))

        assert read.count("FOR NO KEY UPDATE") == 1
        assert tables(read) == [
            # What no lock guards stands before it: others wait for the rest alone.
            "status_tiers", "cross_promo_chains", "businesses", "businesses", "offer_constructor",
            "offer_versions", "users", "bonuses", "transactions", "parked_refunds",
        ]  # fmt: skip
        assert written.startswith("WITH part0 AS (INSERT INTO transactions")


@pytest.mark.usefixtures("spelled_out")
def test_spending_reads_lots_and_holds_besides(member, business):
    business.requires_presence_code = False
    give_bonuses(member, business, "50.00")

    _, read, _ = statements(lambda: record_purchase(purchase(member, business, redeem=D("50.00")), at=NOON))

    assert tables(read) == ["bonus_lots", "bonus_holds"]


@pytest.mark.usefixtures("spelled_out")
def test_a_refund_finds_its_purchase_and_reads_no_table_of_the_ledger_whole(member, business):
    record_purchase(purchase(member, business), at=NOON)

    found = statements(
        lambda: record_refund(refund(business, "R", "1001", "1.00"), at=NOON + timedelta(days=1))
    )

    # The purchase names the member; the member is locked; lots and earlier refunds; all is written.
    assert [tables(text)[0] for text in found[:3]] == ["transactions", "status_tiers", "bonus_lots"]
    assert "users" in tables(found[1])
    assert len(found) == 4
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {LOTS_OF_PURCHASES}", [[member.pk], [member.pk]])
        assert "Seq Scan" not in str(cursor.fetchall())


def test_receipts_are_found_by_their_index_in_a_table_that_has_grown_since_it_was_analysed(member, business):
    with connection.cursor() as cursor:
        # As in a new database: of indexes full of other tests' dead rows PostgreSQL takes the smallest.
        cursor.execute("CLUSTER transactions USING transactions_pkey")
        record_many([purchase(member, business, f"first-{number}") for number in range(30)], at=NOON)
        cursor.execute("ANALYZE transactions")
    record_many([purchase(member, business, f"many-{number}") for number in range(1500)], at=NOON)

    query, values = by_receipt([(business.pk, "first-0"), (business.pk, "many-1499")])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", values)
        plan = cursor.fetchone()[0][0]["Plan"]

    scans = [node for node in nodes(plan) if node.get("Relation Name") == "transactions"]
    assert [scan["Index Name"] for scan in scans] == ["idx_transactions_external_id"]
    assert plan["Actual Rows"] == 2
    assert sum(node.get("Rows Removed by Filter", 0) for node in scans) == 0


def test_a_changed_balance_stays_in_its_page_so_that_no_index_is_told(business):
    members = [MemberFactory() for _ in range(200)]
    record_many([purchase(member, business, f"first-{n}") for n, member in enumerate(members)], at=NOON)
    before = balances_changed_in_their_page()

    record_many([purchase(member, business, f"again-{n}") for n, member in enumerate(members)], at=NOON)

    assert balances_changed_in_their_page() - before == 200


def balances_changed_in_their_page():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('bonuses'::regclass)")
        return cursor.fetchone()[0]


def nodes(plan):
    return [plan, *(node for below in plan.get("Plans", []) for node in nodes(below))]


@pytest.mark.parametrize("chains", [0, 1])
def test_the_number_of_statements_does_not_grow_with_the_batch(business, chains):
    members = [agreeing() for _ in range(50)]
    for _chain in range(chains):
        ChainFactory(source_business=business)

    def count(start, members):
        requests = [purchase(member, business, f"{start}-{n}") for n, member in enumerate(members)]
        refunds = [refund(business, f"R{start}-{n}", f"{start}-{n}", "1.00") for n in range(len(members))]
        return len(statements(lambda: record_many(requests + refunds, at=NOON + timedelta(days=1))))

    assert count("few", members[:5]) == count("many", members)
    assert count("other", members) == count("others", members[:1])
