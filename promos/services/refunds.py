"""One refund is decided: what may be refunded, and what of the purchase goes with it."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.translation import gettext as _

from loyalty.errors import InvalidPurchase, RefundExceedsPurchase, RefundUnlinked
from loyalty.models import BonusLot, Transaction
from loyalty.rules import Restored
from loyalty.services.accounts import Account
from loyalty.services.transactions import NewTransaction, StoredTransaction
from promos.billing import Left, refund_of_lines, refund_over_lines, refund_parts
from svoykrug.db.models import uuid7
from svoykrug.money import ZERO

from .checks import fingerprint
from .explanation import refund_explanation, rule
from .purchases import Outcome, RefundRequest, Status

if TYPE_CHECKING:
    from .checkout import Checkout


def give_back(checkout: "Checkout", request: RefundRequest, purchase: StoredTransaction) -> Outcome:
    """Decide a refund of this purchase. Raises a DomainError, and then nothing has been decided."""
    at = request.purchased_at or checkout.at
    check_refund(request, purchase, at)
    account = checkout.account(purchase.member_id)
    parts, by_line = _parts(request, purchase)
    refund_id = uuid7()
    checkout.ledger.lapse(account, at=at)
    explanation = _move(checkout, account, purchase, parts, request.business.pk, refund_id, at)
    if by_line:
        explanation["lines"] = by_line
    row = NewTransaction(
        id=refund_id,
        user_id=account.member_id,
        business_id=request.business.pk,
        coupon_id=None,
        kind=Transaction.Kind.REFUND.value,
        refund_of=purchase.id,
        amount=-parts.amount,
        coupon_discount=-parts.coupon_discount,
        bonus_redeemed=-parts.bonus_redeemed,
        bonus_accrued=-parts.bonus_accrued,
        category=request.category,
        lines=by_line if request.lines else None,
        external_id=request.external_id or None,
        request_hash=fingerprint(request),
        source=str(request.source),
        explanation=explanation,
        created_at=at,
        recorded_at=checkout.at,
    )
    paid_back = parts.amount - parts.coupon_discount - parts.bonus_redeemed
    checkout.ledger.paid(account, -paid_back, transaction_id=refund_id, at=at)
    checkout.add(row)
    return Outcome(Status.CREATED, refund_id, row=row)


def check_refund(request: RefundRequest, purchase: StoredTransaction, at: datetime) -> None:
    """Raise RefundUnlinked if this refund cannot be of this purchase."""
    if purchase.kind != Transaction.Kind.PURCHASE:
        raise RefundUnlinked(_("refund_of names a refund, not a purchase."), field="refund_of")
    if request.member_id not in (None, purchase.member_id):
        raise RefundUnlinked(_("The purchase belongs to another member."), field="member")
    if at < purchase.created_at:
        raise RefundUnlinked(_("The refund is dated before its purchase."), field="purchased_at")


def left_of(purchase: StoredTransaction) -> Left:
    return Left(
        purchase.amount - purchase.refunded,
        purchase.coupon_discount - purchase.discount_returned,
        purchase.bonus_redeemed - purchase.restored,
        purchase.bonus_accrued - purchase.taken_back,
    )


def _parts(request: RefundRequest, purchase: StoredTransaction) -> tuple[Left, list[dict[str, Any]]]:
    """Return what goes with the refund, in all and by line; no lines where the purchase had none.

    Raises RefundExceedsPurchase or InvalidPurchase.
    """
    left = left_of(purchase)
    if not request.lines:
        assert request.amount is not None
        _check_left(request.amount, left.amount, "amount")
        if not purchase.shares:
            return refund_parts(left, request.amount), []
        numbers = list(range(1, len(purchase.shares) + 1))
        lines = [_left_of_line(purchase, number) for number in numbers]
        whole, parts = refund_over_lines(lines, request.amount)
    else:
        numbers, asked = [wanted.line for wanted in request.lines], []
        for wanted in request.lines:
            line = _left_of_line(purchase, wanted.line)
            refunding = line.amount if wanted.amount is None else wanted.amount
            if not refunding or refunding > line.amount:
                _check_left(refunding or (wanted.amount or purchase.amount), line.amount, "lines")
            asked.append((line, refunding))
        whole, parts = refund_of_lines(asked)
    return whole, [
        _line_json(number, part) for number, part in zip(numbers, parts, strict=True) if part.amount
    ]


def _check_left(asked: Decimal, left: Decimal, field: str) -> None:
    if asked > left:
        raise RefundExceedsPurchase(
            _("%(asked)s asked, %(left)s is left to refund.") % {"asked": asked, "left": left},
            field=field,
            left=str(left),
        )


def _left_of_line(purchase: StoredTransaction, number: int) -> Left:
    shares = purchase.shares or []
    if not 1 <= number <= len(shares):
        raise InvalidPurchase(
            _("The purchase has %(count)d lines; line %(number)d is not among them.")
            % {"count": len(shares), "number": number},
            field="lines",
        )
    names = ("amount", "coupon_discount", "bonus_redeemed", "bonus_accrued")
    sums = [Decimal(shares[number - 1][name]) for name in names]
    for refunded in purchase.refunded_lines:
        if refunded["line"] == number:
            sums = [sum_ - Decimal(refunded[name]) for sum_, name in zip(sums, names, strict=True)]
    return Left(*sums)


def _line_json(number: int, part: Left) -> dict[str, Any]:
    return {
        "line": number,
        "amount": str(part.amount),
        "coupon_discount": str(part.coupon_discount),
        "bonus_redeemed": str(part.bonus_redeemed),
        "bonus_accrued": str(part.bonus_accrued),
    }


def _move(
    checkout: "Checkout",
    account: Account,
    purchase: StoredTransaction,
    parts: Left,
    business_id: UUID,
    refund_id: UUID,
    at: datetime,
) -> dict[str, Any]:
    """Return spent bonuses, take earned ones back, free the coupon. Returns the explanation."""
    left_after = purchase.amount - purchase.refunded - parts.amount
    restored = _restore(checkout, account, purchase, parts.bonus_redeemed, business_id, refund_id, at)
    own = [lot for lot in account.of_purchase.get(purchase.id, []) if lot.kind == BonusLot.Kind.PURCHASE]
    lapsed = purchase.expired + checkout.ledger.lapsed.pop(purchase.id, ZERO)
    taken = checkout.ledger.reverse(
        account,
        own=own,
        refund_id=refund_id,
        amount=parts.bonus_accrued,
        expired=lapsed,
        at=at,
    )
    purchase.expired = lapsed - taken.expired
    rules = []
    gift = checkout.referrals.void(
        account, purchase_id=purchase.id, refund_id=refund_id, left=left_after, at=at
    )
    if gift:
        rules.append(rule("referral", applied=True, effect=-gift))
    checkout.triggers.refunded(purchase, parts, refund_id=refund_id, at=at)
    if not left_after:
        if purchase.coupon_id:
            checkout.coupons.free(purchase.coupon_id, at=at)
        checkout.uses.give_back(purchase.id, refund_id=refund_id, at=at)
    return refund_explanation(
        account=account, spent=parts.bonus_redeemed, restored=restored, taken=taken, rules=rules
    )


def _restore(
    checkout: "Checkout",
    account: Account,
    purchase: StoredTransaction,
    amount: Decimal,
    business_id: UUID,
    refund_id: UUID,
    at: datetime,
) -> Restored:
    """Return bonuses to the lots they were spent from, newest spend first."""
    parts, still_spent = [], []
    for lot_id, spent in purchase.spent:
        part = min(spent, amount)
        amount -= part
        if part:
            parts.append((lot_id, part))
        if spent > part:
            still_spent.append((lot_id, spent - part))
    purchase.spent = still_spent
    return checkout.ledger.restore(
        account,
        parts,
        spent_at=purchase.spent_at,
        refund_id=refund_id,
        honoured_by=business_id,
        at=at,
    )


def note_refund(purchase: StoredTransaction, row: NewTransaction) -> None:
    """Count a refund that was just decided into the totals of its purchase."""
    purchase.refunded -= row.amount
    purchase.discount_returned -= row.coupon_discount
    purchase.restored -= row.bonus_redeemed
    purchase.taken_back -= row.bonus_accrued
    purchase.refunded_lines += row.explanation.get("lines", [])
