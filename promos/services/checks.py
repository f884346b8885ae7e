"""What a request must be before any rule looks at it, and how a repeat is recognised."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cache

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.errors import ExternalIdReused, InvalidPurchase
from loyalty.services.transactions import Receipt, StoredTransaction
from promos.rules import normalise_code

from .purchases import LineRefund, PurchaseRequest, RefundRequest

MAX_TEXT = 200


@cache
def programme_start() -> datetime:
    """Return the first moment of the programme in its own time zone."""
    return datetime.combine(settings.PROGRAMME_STARTED_ON, time(), timezone.get_default_timezone())


def check_request(request: PurchaseRequest | RefundRequest, *, at: datetime) -> None:
    """Raise InvalidPurchase, naming the field, for a value that no till can mean."""
    _check_sums(request)
    if request.purchased_at is not None:
        check_time(request.purchased_at, at=at)
    for name, text in (("external_id", request.external_id), ("category", request.category)):
        if text and (len(text) > MAX_TEXT or "\x00" in text or not _encodable(text)):
            raise InvalidPurchase(
                _("At most %(most)d characters of valid text, and no NUL.") % {"most": MAX_TEXT}, field=name
            )
    if isinstance(request, RefundRequest) and request.refund_of and request.refund_of == request.external_id:
        raise InvalidPurchase(_("A refund cannot refund itself."), field="refund_of")


def _check_sums(request: PurchaseRequest | RefundRequest) -> None:
    if isinstance(request, PurchaseRequest):
        check_amount(request.amount)
        if request.redeem:
            check_amount(request.redeem, "redeem")
        # The amount may be a quote's and the lines the till's.
        if request.lines and sum(Decimal(line["amount"]) for line in request.lines) != request.amount:
            raise InvalidPurchase(_("The lines do not add up to the amount."), field="lines")
        return
    if (request.amount is None) == (not request.lines):
        raise InvalidPurchase(_("Give either the amount or the lines to refund."), field="amount")
    if request.amount is not None:
        check_amount(request.amount)
    for line in request.lines:
        if line.amount is not None:
            check_amount(line.amount, "lines")
    if len({line.line for line in request.lines}) != len(request.lines):
        raise InvalidPurchase(_("Name each line once."), field="lines")


def check_amount(amount: Decimal, field: str = "amount") -> None:
    """Refuse an amount that is not roubles above zero in whole kopecks within the limit."""
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int):
        raise InvalidPurchase(_("The amount is not a number."), field=field)
    if amount <= 0:
        raise InvalidPurchase(_("The amount must be above zero."), field=field)
    if amount > settings.AMOUNT_LIMIT_RUB:
        raise InvalidPurchase(
            _("The amount is above %(limit)s.") % {"limit": settings.AMOUNT_LIMIT_RUB}, field=field
        )
    if exponent < -2:
        raise InvalidPurchase(_("The amount has more than two decimals."), field=field)


def _encodable(text: str) -> bool:
    """Half of a surrogate pair is text to JSON, but no database can keep it."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def check_time(purchased_at: datetime, *, at: datetime) -> None:
    """Refuse a purchase dated before the programme or too far ahead (rules.md, Purchase)."""
    if purchased_at > at + timedelta(hours=settings.MAX_FUTURE_HOURS):
        raise InvalidPurchase(
            _("The purchase is dated more than %(hours)d h ahead. Check the till's clock.")
            % {"hours": settings.MAX_FUTURE_HOURS},
            field="purchased_at",
        )
    if purchased_at < programme_start():
        raise InvalidPurchase(
            _("The purchase is dated before the programme began (%(day)s).")
            % {"day": settings.PROGRAMME_STARTED_ON},
            field="purchased_at",
        )


def fingerprint(request: PurchaseRequest | RefundRequest) -> str:
    """Return the SHA-256 of the normalised business fields, so that spelling does not matter."""
    purchased_at = request.purchased_at.astimezone(UTC).isoformat() if request.purchased_at else ""
    amount = "" if request.amount is None else f"{request.amount:.2f}"
    parts = [str(request.member_id or ""), amount, request.category, purchased_at]
    if isinstance(request, PurchaseRequest):
        coupon = normalise_code(request.coupon_code) or request.coupon_code if request.coupon_code else ""
        lines = json.dumps(request.lines, sort_keys=True) if request.lines else ""
        parts += ["purchase", coupon, lines, f"{request.redeem:.2f}" if request.redeem else ""]
    else:
        parts += ["refund", request.refund_of or "", *map(_line_text, request.lines)]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _line_text(line: LineRefund) -> str:
    return str(line.line) if line.amount is None else f"{line.line}={line.amount:.2f}"


def differing_fields(
    request: PurchaseRequest | RefundRequest,
    stored: StoredTransaction,
    by_receipt: dict[Receipt, StoredTransaction],
) -> list[str]:
    """Return the fields in which a repeat differs from what is stored; none means it is a repeat.

    A field that one of the two left out (time, member of a refund) is not compared.
    """
    if stored.request_hash == fingerprint(request) or _alike_but_for_what_was_left_out(request, stored):
        return []
    kind = "purchase" if isinstance(request, PurchaseRequest) else "refund"
    if stored.kind != kind:
        return ["kind"]
    differing = []
    if request.member_id not in (None, stored.member_id):
        differing.append("member")
    if request.amount not in (None, abs(stored.amount)):
        differing.append("amount")
    if request.category != stored.category:
        differing.append("category")
    if request.purchased_at is not None and request.purchased_at != stored.created_at:
        differing.append("purchased_at")
    if isinstance(request, PurchaseRequest):
        if (request.lines or None) != stored.lines:
            differing.append("lines")
        if request.redeem != stored.bonus_redeemed:
            differing.append("redeem")
        # The stored row keeps the coupon's id; that the hashes differ in nothing else tells the code does.
        if bool(request.coupon_code) != bool(stored.coupon_id) or (request.coupon_code and not differing):
            differing.append("coupon")
    else:
        purchase = by_receipt.get((request.business.pk, request.refund_of or ""))
        if purchase is None or purchase.id != stored.refund_of:
            differing.append("refund_of")
        if bool(request.lines) != bool(stored.lines) or (request.lines and not differing):
            differing.append("lines")
    return differing


def _alike_but_for_what_was_left_out(
    request: PurchaseRequest | RefundRequest, stored: StoredTransaction
) -> bool:
    """Return whether the hash would be the same, had both said or both left out the time and the member."""
    if request.purchased_at not in (None, stored.created_at):
        return False
    alike = [replace(request, purchased_at=said) for said in (stored.created_at, None)]
    if isinstance(request, RefundRequest) and request.member_id in (None, stored.member_id):
        whose = (stored.member_id, None)
        alike = [replace(each, member_id=said) for each in alike for said in whose]  # type: ignore[arg-type]
    return any(fingerprint(each) == stored.request_hash for each in alike)


def receipt_reused(request: PurchaseRequest | RefundRequest, fields: list[str]) -> ExternalIdReused:
    """Return the refusal of a receipt that is recorded with other content in these fields."""
    return ExternalIdReused(
        _(
            "Receipt %(receipt)s is already recorded with other content: %(fields)s. "
            "Send the same content, or use a new external_id."
        )
        % {"receipt": request.external_id, "fields": ", ".join(fields)},
        field="external_id",
        fields=fields,
    )
