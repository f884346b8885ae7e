"""What the triggers of loyalty/models/truth.py let pass, and that it costs the same at any length."""

from collections.abc import Callable

import pytest
from django.db import connection

from loyalty.models import Bonus, BonusEntry, BonusLot
from tests.factories import MemberFactory
from tests.loyalty.book import Book, D, Kind, write

pytestmark = pytest.mark.django_db

# The entry before, the balance and the lot with its entries, looked up by one trigger after another.
READ_BY_ONE_ACCRUAL = 8


@pytest.fixture
def book(member, business) -> Book:
    return Book(member, business)


def test_every_kind_of_entry_continues_the_chain(book):
    lot = book.accrue("100.00")
    book.write()
    book.enter(Kind.REDEMPTION, "-60.00", lot)
    book.enter(Kind.RESTORATION, "10.00", lot)
    book.write()
    book.enter(Kind.REVERSAL, "-30.00", lot)
    book.enter(Kind.DEBT, "-5.00", lot)
    book.enter(Kind.WRITE_OFF, "-2.00", lot)
    book.enter(Kind.EXPIRY, "-20.00", lot)
    book.write()
    later = book.accrue("40.00")
    book.enter(Kind.DEBT_REPAYMENT, "-5.00", later)
    book.write()

    chain = BonusEntry.objects.order_by("position").values_list("position", "total_after", "debt_after")
    assert list(chain) == [
        (1, D("100.00"), D("0.00")),
        (2, D("40.00"), D("0.00")),
        (3, D("50.00"), D("0.00")),
        (4, D("20.00"), D("0.00")),
        (5, D("20.00"), D("5.00")),
        (6, D("20.00"), D("5.00")),
        (7, D("0.00"), D("5.00")),
        (8, D("40.00"), D("5.00")),
        (9, D("35.00"), D("0.00")),
    ]
    assert Bonus.objects.values_list("balance", "debt", "entries").get() == (D("35.00"), D("0.00"), 9)
    assert list(BonusLot.objects.order_by("id").values_list("remaining", flat=True)) == [
        D("0.00"),
        D("35.00"),
    ]


READS = """
    SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0), coalesce(sum(seq_scan), 0)
    FROM pg_stat_xact_user_tables
    WHERE relname IN ('bonus_entries', 'bonus_lots', 'bonuses')
"""


def reads(write: Callable[[], None]) -> int:
    """Return how many rows of the ledger's tables it read, none of the tables from end to end."""
    with connection.cursor() as cursor:
        # Of the statement that writes; the triggers have settings of their own.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(READS)
        rows, scans = cursor.fetchone()
        write()
        cursor.execute(READS)
        rows_after, scans_after = cursor.fetchone()
    assert scans_after == scans
    return rows_after - rows


def test_one_entry_more_costs_the_same_after_five_thousand_as_after_five(book):
    for _ in range(5):
        book.accrue("1.00")
    book.write()
    book.accrue("1.00")
    after_five = reads(book.write)
    for _ in range(5000):
        book.accrue("1.00")
    book.write()
    book.accrue("1.00")

    after_five_thousand = reads(book.write)

    assert after_five <= READ_BY_ONE_ACCRUAL
    assert after_five_thousand <= READ_BY_ONE_ACCRUAL


def test_a_set_costs_so_much_for_each_row_whatever_came_before(business):
    """The session keeps the plan that it made for one row; it must not be quadratic for many."""
    books = [Book(member, business) for member in MemberFactory.create_batch(300)]
    for book in books[:10]:
        book.accrue("1.00")
        book.write()
    for book in books[10:]:
        book.accrue("1.00")

    assert reads(lambda: write(books[10:])) <= 290 * READ_BY_ONE_ACCRUAL


def test_one_row_is_read_by_index_after_a_set(business):
    """And the plan that it made for a set on empty tables must not be a scan for one row."""
    books = [Book(member, business) for member in MemberFactory.create_batch(300)]
    for book in books:
        book.accrue("1.00")
    write(books)
    books[0].accrue("1.00")

    assert reads(books[0].write) <= READ_BY_ONE_ACCRUAL


def test_a_lot_spent_in_a_thousand_parts_by_one_statement_is_added_up_once(book):
    lot = book.accrue("1000.00")
    book.write()
    for _ in range(1000):
        book.enter(Kind.REDEMPTION, "-1.00", lot)

    # Each of a thousand entries as above; the lot's sum twice, for its entries and for itself.
    assert reads(book.write) <= 1000 * 3 + 2 * 1001 + READ_BY_ONE_ACCRUAL
