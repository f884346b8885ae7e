"""verify_ledger passes a sound ledger and names the first wrong row, whatever was damaged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, connection

from loyalty.models import Bonus, BonusHold, Transaction
from loyalty.services.verification import CHECKS, Finding, snapshot, verify_ledger
from tests.factories import NOON, BusinessFactory, CouponFactory, MemberFactory
from tests.loyalty.book import Book, D, Kind

pytestmark = pytest.mark.django_db


@contextmanager
def past_the_triggers() -> Iterator[Callable[..., None]]:
    """Write as a superuser does whom nothing stops."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor.execute
        cursor.execute("SET LOCAL session_replication_role = origin")


class Coalition:
    """A member who bought for bonuses with a coupon, and gave a part back; nothing is wrong with it."""

    def __init__(self) -> None:
        self.member, self.business = MemberFactory(), BusinessFactory()
        self.book = Book(self.member, self.business)
        self.first = self.transaction(amount=D("1000"), bonus_accrued=D("100"))
        self.lot = self.book.accrue("100.00", purchase=self.first)
        self.coupon = CouponFactory(member=self.member, business=self.business, status="redeemed")
        self.purchase = self.transaction(
            amount=D("500"), coupon_discount=D("100"), bonus_redeemed=D("60"), bonus_accrued=D("10"),
            coupon=self.coupon,
        )  # fmt: skip
        self.spending = self.book.enter(Kind.REDEMPTION, "-60.00", self.lot, purchase=self.purchase)
        self.second_lot = self.book.accrue("10.00", purchase=self.purchase)
        self.third = self.book.entries[-1]
        self.refund = self.transaction(
            kind="refund", refund_of=self.purchase, amount=D("-250"), coupon_discount=D("-50"),
            bonus_redeemed=D("-30"), bonus_accrued=D("-7"), explanation={"refund": {"expired": "1.50"}},
        )  # fmt: skip
        self.book.enter(Kind.RESTORATION, "30.00", self.lot, purchase=self.refund)
        self.book.enter(Kind.REVERSAL, "-4.00", self.second_lot, purchase=self.refund)
        self.book.enter(Kind.DEBT, "-1.00", self.second_lot, purchase=self.refund)
        self.last = self.book.enter(Kind.WRITE_OFF, "-0.50", self.second_lot, purchase=self.refund)
        self.book.write()
        self.hold = BonusHold.objects.create(
            member=self.member,
            business=self.business,
            amount=D("76.00"),
            expires_at=NOON + timedelta(hours=1),
        )
        self.stranger = MemberFactory()
        Book(self.stranger, self.business).accrue("5.00")

    def transaction(self, **values: Any) -> Transaction:
        return Transaction.objects.create(
            member=self.member, business=self.business, source="till", created_at=NOON, **values
        )

    @property
    def balance(self) -> UUID:
        return Bonus.objects.get(member=self.member).pk


@pytest.fixture
def coalition(db) -> Coalition:
    return Coalition()


def wrong() -> list[Finding]:
    return [finding for finding in verify_ledger(at=NOON) if finding.wrong]


def test_a_sound_ledger_passes(coalition):
    findings = list(verify_ledger(at=NOON))

    assert [finding.wrong for finding in findings] == [0] * len(CHECKS)
    assert [finding.rows for finding in findings] == [7, 1, 1, 1, 2, 7, 2, 1, 1, 1, 1, 3]


def test_an_empty_ledger_passes(db):
    assert not wrong()


def test_an_expired_hold_and_one_that_was_released_hold_nothing(coalition):
    BonusHold.objects.create(
        member=coalition.stranger, business=coalition.business, amount=D("9.00"), expires_at=NOON
    )
    BonusHold.objects.create(
        member=coalition.stranger, business=coalition.business, amount=D("9.00"),
        expires_at=NOON + timedelta(hours=1), released_at=NOON,
    )  # fmt: skip

    assert not wrong()


def test_a_coupon_may_be_redeemed_again_after_its_purchase_was_refunded(coalition):
    coupon = CouponFactory(member=coalition.member, business=coalition.business)
    purchase = coalition.transaction(amount=D("80"), coupon=coupon)
    coalition.transaction(kind="refund", refund_of=purchase, amount=D("-80"))
    assert not wrong()

    coalition.transaction(amount=D("80"), coupon=coupon)
    coupon.status = "redeemed"
    coupon.save()

    assert not wrong()


# What is done, which rule finds it, which row is named and what is said of it.
DAMAGES = {
    "an amount": (
        "UPDATE bonus_entries SET amount = -61 WHERE id = %(spending)s",
        "each entry continues from the one before it",
        ("bonus_entries", "spending", "total_after: expected 39.00, found 40.00"),
    ),
    "a debt": (
        "UPDATE bonus_entries SET debt_after = 3 WHERE id = %(spending)s",
        "each entry continues from the one before it",
        ("bonus_entries", "spending", "debt_after: expected 0.00, found 3.00"),
    ),
    "a gap": (
        "UPDATE bonus_entries SET position = 9 WHERE id = %(last)s",
        "each entry continues from the one before it",
        ("bonus_entries", "last", "position: expected 7, found 9"),
    ),
    "a balance": (
        "UPDATE bonuses SET balance = 77 WHERE id = %(balance)s",
        "each balance is what the member's last entry says",
        ("bonuses", "balance", "balance + pending: expected 76.00, found 77.00"),
    ),
    "a debt forgotten": (
        "UPDATE bonuses SET debt = 0 WHERE id = %(balance)s",
        "each balance is what the member's last entry says",
        ("bonuses", "balance", "debt: expected 1.00, found 0.00"),
    ),
    "a count": (
        "UPDATE bonuses SET entries = 6 WHERE id = %(balance)s",
        "each balance is what the member's last entry says",
        ("bonuses", "balance", "entries: expected 7, found 6"),
    ),
    "a balance lost": (
        "DELETE FROM bonuses WHERE id = %(balance)s",
        "each balance is what the member's last entry says",
        ("bonuses", None, "entries: expected 7, found no balance"),
    ),
    "all balances": (
        "UPDATE bonuses SET balance = 77 WHERE id = %(balance)s",
        "all balances together are all entries together",
        ("bonuses", None, "sum of balance + pending: expected 76.00, found 77.00"),
    ),
    "an expiry hidden": (
        "UPDATE bonuses SET expires_at = NULL WHERE id = %(balance)s",
        "no lot expires before its member's balance knows",
        ("bonuses", "balance", "expires_at: expected 2027-06-15 09:00:00+00 or sooner, found none"),
    ),
    "a lot": (
        "UPDATE bonus_lots SET remaining = 71 WHERE id = %(lot)s",
        "what is left of each lot is the sum of its entries",
        ("bonus_lots", "lot", "remaining: expected 70.00, found 71.00"),
    ),
    "a lot's beginning": (
        "UPDATE bonus_lots SET accrued = 101 WHERE id = %(lot)s",
        "what is left of each lot is the sum of its entries",
        ("bonus_lots", "lot", "accrued: expected 100.00, found 101.00"),
    ),
    "a lot given away": (
        "UPDATE bonus_lots SET user_id = %(stranger)s WHERE id = %(second_lot)s",
        "each entry is on a lot of its own member",
        ("bonus_entries", "second", "user_id: expected {stranger}, found {member}"),
    ),
    "accrued": (
        "UPDATE transactions SET bonus_accrued = 101 WHERE id = %(first)s",
        "each purchase accrued and spent what its entries say",
        ("transactions", "first", "bonus_accrued: expected 100.00, found 101.00"),
    ),
    "redeemed": (
        "UPDATE transactions SET bonus_redeemed = 61 WHERE id = %(purchase)s",
        "each purchase accrued and spent what its entries say",
        ("transactions", "purchase", "bonus_redeemed: expected 60.00, found 61.00"),
    ),
    "restored": (
        "UPDATE transactions SET bonus_redeemed = -31 WHERE id = %(refund)s",
        "each refund restored and took back what its entries say",
        ("transactions", "refund", "bonus_redeemed: expected -30.00, found -31.00"),
    ),
    "taken back": (
        "UPDATE transactions SET bonus_accrued = -6 WHERE id = %(refund)s",
        "each refund restored and took back what its entries say",
        ("transactions", "refund", "bonus_accrued: expected -7.00, found -6.00"),
    ),
    "expired": (
        "UPDATE transactions SET explanation = '{}' WHERE id = %(refund)s",
        "each refund restored and took back what its entries say",
        ("transactions", "refund", "bonus_accrued: expected -5.50, found -7.00"),
    ),
    "refunded amount": (
        "UPDATE transactions SET amount = -501 WHERE id = %(refund)s",
        "no purchase is refunded beyond what it was",
        ("transactions", "purchase", "refunded amount: expected 500.00 at most, found 501.00"),
    ),
    "refunded discount": (
        "UPDATE transactions SET coupon_discount = -101 WHERE id = %(refund)s",
        "no purchase is refunded beyond what it was",
        ("transactions", "purchase", "refunded coupon_discount: expected 100.00 at most, found 101.00"),
    ),
    "refunded bonuses": (
        "UPDATE transactions SET bonus_redeemed = -61 WHERE id = %(refund)s",
        "no purchase is refunded beyond what it was",
        ("transactions", "purchase", "refunded bonus_redeemed: expected 60.00 at most, found 61.00"),
    ),
    "refunded accrual": (
        "UPDATE transactions SET bonus_accrued = -11 WHERE id = %(refund)s",
        "no purchase is refunded beyond what it was",
        ("transactions", "purchase", "refunded bonus_accrued: expected 10.00 at most, found 11.00"),
    ),
    "refund of another": (
        "UPDATE transactions SET user_id = %(stranger)s WHERE id = %(refund)s",
        "no purchase is refunded beyond what it was",
        ("transactions", "purchase", "refunds by another member or business: expected 0, found 1"),
    ),
    "a coupon freed": (
        "UPDATE coupons SET status = 'issued' WHERE id = %(coupon)s",
        "each coupon is redeemed in one purchase that stands, or in none",
        ("coupons", "coupon", "issued: expected 0 purchase, found 1"),
    ),
    "a coupon taken": (
        "UPDATE transactions SET coupon_id = NULL WHERE id = %(purchase)s",
        "each coupon is redeemed in one purchase that stands, or in none",
        ("coupons", "coupon", "redeemed: expected 1 purchase, found 0"),
    ),
    "a coupon of another": (
        "UPDATE coupons SET user_id = %(stranger)s WHERE id = %(coupon)s",
        "each coupon is redeemed in one purchase that stands, or in none",
        ("coupons", "coupon", "purchases of another member or business: expected 0, found 1"),
    ),
    "a hold": (
        "UPDATE bonus_holds SET amount = 77 WHERE id = %(hold)s",
        "nobody sets more aside than they had at that moment",
        ("bonus_holds", "hold", "amount held: expected 76.00 at most, found 77.00"),
    ),
    "a real purchase by a member of a sandbox": (
        "UPDATE users SET is_sandbox = true, phone = '+71000000101' WHERE id = %(member)s",
        "members of sandboxes buy there, and nobody else does",
        ("transactions", "first", "sandbox: expected none, found {business}"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(coalition, damage):
    statement, rule, (table, row, what) = DAMAGES[damage]
    ids = {
        "business": coalition.business.pk,
        "member": coalition.member.pk, "stranger": coalition.stranger.pk, "balance": coalition.balance,
        "lot": coalition.lot, "second_lot": coalition.second_lot, "spending": coalition.spending["id"],
        "second": coalition.third["id"], "last": coalition.last["id"],
        "first": coalition.first.pk, "purchase": coalition.purchase.pk,
        "refund": coalition.refund.pk, "coupon": coalition.coupon.pk, "hold": coalition.hold.pk,
    }  # fmt: skip
    with past_the_triggers() as execute:
        execute(statement, ids)

    finding = next(finding for finding in wrong() if finding.check.rule == rule)

    assert finding.check.table == table
    assert finding.first.row_id == (str(ids[row]) if row else None)
    assert finding.first.what == what.format(**ids)


def test_every_rule_has_a_damage_that_it_finds():
    assert {rule for _, rule, _ in DAMAGES.values()} == {check.rule for check in CHECKS}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_command_ends_with_ok():
    Coalition()
    out = StringIO()

    call_command("verify_ledger", stdout=out)

    lines = out.getvalue().splitlines()
    assert lines[0].startswith("[ 1/12] each entry continues from the one before it: 7 rows, ok (")
    assert [line.split("]")[0] for line in lines[:-1]] == [f"[{n:2}/12" for n in range(1, 13)]
    assert lines[-1] == "ok"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_command_names_the_wrong_row_and_fails():
    coalition = Coalition()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SET session_replication_role = replica;
            UPDATE bonuses SET debt = 0;
            SET session_replication_role = origin;
            """
        )
    out = StringIO()

    with pytest.raises(CommandError) as error:
        call_command("verify_ledger", stdout=out)

    assert str(error.value) == "1 rows are wrong. docs/operations.md says what to do."
    assert error.value.returncode == 1
    assert (
        f"        first: bonuses {coalition.balance}, member {coalition.member.pk}: "
        "debt: expected 1.00, found 0.00"
    ) in out.getvalue().splitlines()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_audit_writes_nothing_and_leaves_the_connection_as_it_was(member):
    with pytest.raises(InternalError, match="read-only transaction"), snapshot():
        member.save()

    member.save()
