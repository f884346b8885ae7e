"""A batch of purchases and refunds: every row is read, recorded and answered on its own."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError

from loyalty.errors import MemberNotFound
from loyalty.models import Business, Transaction
from loyalty.selectors import active_members
from promos.api.serializers import BatchPurchaseIn, BatchRefundIn
from promos.services.checkout import record_many
from promos.services.purchases import Outcome, PurchaseRequest, RefundRequest, Status
from svoykrug.problems import field_errors_of, safe_text, summary
from svoykrug.serializers import unknown_names, validated

MOST_ROWS = 1000
Row = dict[str, Any]


def read_batch(body: Any) -> list[Any]:
    """Return the rows of the body, not yet looked at; the body is `{"transactions": [...]}` or the list."""
    if isinstance(body, dict):
        if unknown := unknown_names(body, {"transactions"}):
            refusal = ErrorDetail(_("There is no such field."), code="unknown_field")
            raise ValidationError({name: [refusal] for name in unknown})
        body = body.get("transactions")
    if not isinstance(body, list):
        raise ValidationError({"transactions": [ErrorDetail(_("Send a list of rows."), code="required")]})
    if len(body) > MOST_ROWS:
        detail = _("At most %(most)d rows in one batch.") % {"most": MOST_ROWS}
        raise ValidationError({"transactions": [ErrorDetail(detail, code="max_length")]})
    return body


def record_batch(rows: list[Any], *, business: Business, till: UUID, at: datetime) -> list[Row]:
    """Record the rows in their order; return what came of each.

    till  the API key, whose wrong presence codes are counted
    """
    results: list[Row] = [{} for _row in rows]
    read: dict[int, Row] = {}
    for index, row in enumerate(rows):
        try:
            read[index] = _read_row(row)
        except ValidationError as error:
            results[index] = _rejected(index, "invalid", summary(field_errors_of(error)))

    members = _members(read.values(), business)
    requests: dict[int, PurchaseRequest | RefundRequest] = {}
    for index, row in read.items():
        try:
            requests[index] = _as_request(row, members, business, till)
        except MemberNotFound as error:
            results[index] = _rejected(index, error.code, error.detail)

    outcomes = record_many(list(requests.values()), at=at) if requests else []
    for index, outcome in zip(requests, outcomes, strict=True):
        results[index] = _result(index, outcome)
    return results


def _read_row(row: Any) -> Row:
    is_refund = isinstance(row, dict) and row.get("kind") == Transaction.Kind.REFUND
    body = BatchRefundIn if is_refund else BatchPurchaseIn
    return {"kind": Transaction.Kind.PURCHASE, **validated(body, row)}


def _members(rows: Iterable[Row], business: Business) -> dict[str, UUID]:
    named = [row["member"] for row in rows if "member" in row]
    return active_members(
        phones={member["phone"] for member in named if "phone" in member},
        cards={member["card"] for member in named if "card" in member},
        business=business,
    )


def _as_request(
    row: Row, members: dict[str, UUID], business: Business, till: UUID
) -> PurchaseRequest | RefundRequest:
    fields = dict(row)
    kind, named = fields.pop("kind"), fields.pop("member", None)
    member_id = None
    if named:
        by, value = next(iter(named.items()))
        member_id = members.get(f"{by}:{value}")
        if member_id is None:
            raise MemberNotFound(_("No member has this phone or card number."), field="member")
    if kind == Transaction.Kind.REFUND:
        refund_of = fields.pop("refund_of", None)
        return RefundRequest(
            business=business,
            member_id=member_id,
            refund_of=refund_of,
            source=Transaction.Source.BATCH,
            **fields,
        )
    assert member_id is not None, "a purchase's member is required"
    return PurchaseRequest(
        business=business,
        member_id=member_id,
        coupon_code=fields.pop("coupon", None),
        quote_id=fields.pop("quote", None),
        till=till,
        source=Transaction.Source.BATCH,
        **fields,
    )


def _result(index: int, outcome: Outcome) -> Row:
    if outcome.status is Status.REJECTED and outcome.error:
        return _rejected(index, outcome.error.code, outcome.error.detail)
    result: Row = {"index": index, "status": outcome.status.value}
    if outcome.transaction_id:
        result["id"] = outcome.transaction_id
    return result


def _rejected(index: int, code: str, detail: str) -> Row:
    return {"index": index, "status": Status.REJECTED.value, "code": code, "detail": safe_text(detail)}
