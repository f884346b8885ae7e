"""Sound rows become requests: members looked up, recorded by set, outcomes counted."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from loyalty.errors import ExternalIdReused
from loyalty.models import Member, Transaction
from loyalty.selectors import members_by_card
from loyalty.services.enrolment import enrol_cards
from promos.services.checkout import record_many
from promos.services.purchases import Outcome, PurchaseRequest, RefundRequest, Status

from .cells import lookalike, shown
from .errors import CellFault, Rejection
from .profiles import PURCHASE
from .reader import FileRecord
from .report import ImportReport
from .rows import Row


class Chunk:
    """The sound rows of a chunk, recorded: outcomes counted, refusals collected."""

    def __init__(self, rows: list[Row], *, create_members: bool, at: datetime) -> None:
        self.report = ImportReport()
        self.rejections: list[Rejection] = []
        self.parked: dict[tuple[UUID, str], Decimal] = {}
        members = self._members(rows, create_members=create_members)
        known = [row for row in rows if row.card in members]
        outcomes = record_many([_request(row, members[row.card]) for row in known], at=at) if known else []
        for row, outcome in zip(known, outcomes, strict=True):
            self._tally(row, outcome)
        self._tell_conflicts(known, outcomes)

    def _members(self, rows: list[Row], *, create_members: bool) -> dict[str, UUID]:
        """Return the members of the rows' cards; rows whose card stays unknown are rejected."""
        cards = dict.fromkeys(row.card for row in rows)
        members = members_by_card(cards)
        unknown = [card for card in cards if card not in members]
        if not unknown:
            return members
        # A card in other letter case is a slip of the hand: neither taken nor made a new member.
        spelled = _spellings(unknown)
        faults: dict[str, CellFault] = {}
        for card in unknown:
            known = spelled.setdefault(card.lower(), card)
            if known != card:
                faults[card] = CellFault(
                    "member_not_found", _("there is no such card; did you mean %s?") % shown(known)
                )
            elif alike := lookalike(card):
                faults[card] = CellFault("lookalike", alike)
            elif not create_members:
                faults[card] = CellFault(
                    "member_not_found", _("there is no member with card %s") % shown(card)
                )
        for row in rows:
            if row.card in faults:
                self.rejections.append(rejected(row, faults[row.card], column="member_ref"))
        enrolled = [card for card in unknown if card not in faults]
        if enrolled:
            members |= enrol_cards(enrolled)
            self.report.members_created = len(enrolled)
        return members

    def _tally(self, row: Row, outcome: Outcome) -> None:
        report = self.report
        if outcome.status is Status.CREATED:
            if row.kind == PURCHASE:
                report.created += 1
                report.amount += row.amount
            else:
                report.refunds += 1
                report.amount -= row.amount
        elif outcome.status is Status.DUPLICATE:
            report.duplicates += 1
        elif outcome.status is Status.PARKED:
            report.parked += 1
            self.parked[row.business.pk, row.external_id] = row.amount
        elif not isinstance(outcome.error, ExternalIdReused):
            assert outcome.error
            field = _COLUMN_OF.get(outcome.error.field or "", outcome.error.field or "")
            fault = CellFault(outcome.error.code, outcome.error.detail)
            self.rejections.append(rejected(row, fault, column=field))

    def _tell_conflicts(self, rows: list[Row], outcomes: list[Outcome]) -> None:
        """Reject receipts that came again with other content, showing what is stored beside what came."""
        again = [
            (row, outcome.error)
            for row, outcome in zip(rows, outcomes, strict=True)
            if isinstance(outcome.error, ExternalIdReused)
        ]
        if not again:
            return
        stored = _stored_bodies(row.external_id for row, _error in again)
        for row, error in again:
            body = stored.get((row.business.pk, row.external_id), {})
            fault = CellFault(error.code, error.detail)
            self.rejections.append(rejected(row, fault, column="external_id", stored=body))


# Fields of a request, as the checkout names them, by the column they came from.
_COLUMN_OF = {"member": "member_ref", "business": "business_ref"}


def _request(row: Row, member_id: UUID) -> PurchaseRequest | RefundRequest:
    if row.kind == PURCHASE:
        return PurchaseRequest(
            business=row.business, external_id=row.external_id, member_id=member_id, amount=row.amount,
            purchased_at=row.purchased_at, category=row.category, source="import",
        )  # fmt: skip
    return RefundRequest(
        business=row.business, external_id=row.external_id, refund_of=row.refund_of, amount=row.amount,
        member_id=member_id, purchased_at=row.purchased_at, category=row.category, source="import",
    )  # fmt: skip


def _spellings(cards: list[str]) -> dict[str, str]:
    """Return the known cards that differ from these only by letter case, by their lower case."""
    lowered = [card.lower() for card in cards]
    found = Member.objects.annotate(lowered=Lower("card_number")).filter(lowered__in=lowered)
    return {card.lower(): card for card in found.values_list("card_number", flat=True) if card}


def _stored_bodies(receipts: Iterable[str]) -> dict[tuple[UUID, str], dict[str, Any]]:
    rows = Transaction.objects.filter(external_id__in=list(receipts)).values_list(
        "business_id", "external_id", "member__card_number", "amount", "category", "created_at", "kind",
        "refund_of__external_id",
    )  # fmt: skip
    return {
        (business_id, receipt): {
            "member_ref": card,
            "amount": f"{abs(amount):.2f}",
            "category": category,
            "purchased_at": created_at.isoformat(),
            "kind": kind,
            "refund_of": refund_of or "",
        }
        for business_id, receipt, card, amount, category, created_at, kind, refund_of in rows
    }


def rejected(
    record: FileRecord | Row, fault: CellFault, *, column: str = "", stored: dict[str, Any] | None = None
) -> Rejection:
    return Rejection(record.line, column or fault.column, fault.code, fault.reason, record.cells, stored)
