"""What the triggers of loyalty/models/truth.py let pass, and that it costs the same at any length."""

import pytest

from loyalty.models import Bonus, BonusEntry, BonusLot
from tests.loyalty.book import Book, D, Kind

pytestmark = pytest.mark.django_db


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
