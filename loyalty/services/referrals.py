"""Rewards for an invitation: paid with the newcomer's first large purchase, voided with its refund.

Rule: specification, rules.md, Referral. Joining by a code is `enrolment.py`'s.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from loyalty.models import PROGRAMME_CODE, BonusLot, Referral
from svoykrug.db.sql import Rows, Write, read
from svoykrug.money import ZERO

from .accounts import Account
from .ledger import Ledger

Status = Referral.Status

OPEN = """
    SELECT id, inviter_id, newcomer_id, status, transaction_id, settled_at FROM referrals
    WHERE newcomer_id = ANY(%s::uuid[]) AND status IN ('joined', 'rewarded')
"""
REWARDED = """
    SELECT inviter_id, settled_at FROM referrals
    WHERE inviter_id = ANY(%s::uuid[]) AND status IN ('rewarded', 'voided') AND settled_at IS NOT NULL
"""
SETTLE = """
    UPDATE referrals SET status = r.status, reason = r.reason, transaction_id = r.transaction_id,
        settled_at = r.settled_at, updated_at = r.at
    FROM {rows} WHERE referrals.id = r.id
"""
SETTLED = {
    "id": "uuid", "status": "text", "reason": "text", "transaction_id": "uuid", "settled_at": "timestamptz",
    "at": "timestamptz",
}  # fmt: skip
COUNT = """
    UPDATE referral_codes SET rewarded_count = rewarded_count + r.change, updated_at = r.at
    FROM {rows} WHERE referral_codes.user_id = r.user_id
"""


class AlsoLock(Exception):
    """A decision moves bonuses of members who are not locked: begin again with them."""

    def __init__(self, members: Collection[UUID]) -> None:
        super().__init__()
        self.members = set(members)


@dataclass(slots=True)
class _Invitation:
    id: UUID
    inviter_id: UUID
    newcomer_id: UUID
    status: str
    transaction_id: UUID | None
    settled_at: datetime | None
    reason: str = ""


class Referrals:
    """Open invitations of the members of a call."""

    def __init__(self, rows: Rows, ledger: Ledger, *, locked: Collection[UUID]) -> None:
        """Take the rows of `OPEN`; `locked` says for whom locks were asked, found or not."""
        self._of: dict[UUID, _Invitation] = {row[2]: _Invitation(*row) for row in rows}
        self._ledger = ledger
        self._locked = locked
        self._settled: dict[UUID, _Invitation] = {}
        self._rewarded: Counter[tuple[UUID, int, int]] | None = None
        self._programme: UUID | None = None

    def reward(
        self, newcomer: Account, *, transaction_id: UUID, amount: Decimal, at: datetime
    ) -> Decimal | None:
        """Reward the newcomer and the inviter for this purchase, if it is the one that does.

        amount  of the purchase, roubles. Returns the newcomer's bonuses, or None when nothing is due.
        """
        invitation = self._of.get(newcomer.member_id)
        if (
            invitation is None
            or invitation.status != Status.JOINED
            or amount < settings.REFERRAL_MIN_PURCHASE_RUB
        ):
            return None
        inviter = self._account(invitation.inviter_id)
        self._settled[invitation.id] = invitation
        invitation.transaction_id, invitation.settled_at = transaction_id, at
        if inviter is None:
            invitation.status, invitation.reason = Status.REFUSED, "inviter_left"
            return None
        month = self._month(invitation.inviter_id, at)
        counts = self._rewards_by_month()
        if counts[month] >= settings.REFERRAL_MONTHLY_LIMIT:
            invitation.status, invitation.reason = Status.REFUSED, "monthly_limit"
            return None
        counts[month] += 1
        invitation.status = Status.REWARDED
        for account, bonuses in (
            (newcomer, settings.REFERRAL_NEWCOMER_BONUS),
            (inviter, settings.REFERRAL_INVITER_BONUS),
        ):
            self._ledger.lapse(account, at=at)
            self._ledger.accrue(
                account,
                issuer_id=self._programme_id(),
                transaction_id=transaction_id,
                amount=bonuses,
                at=at,
                pending_days=settings.REFERRAL_PENDING_DAYS,
                kind=BonusLot.Kind.REFERRAL,
            )
        return settings.REFERRAL_NEWCOMER_BONUS

    def void(
        self, newcomer: Account, *, purchase_id: UUID, refund_id: UUID, left: Decimal, at: datetime
    ) -> Decimal:
        """Take the rewards back when their purchase is refunded while they are pending.

        left  roubles of the purchase not refunded. Returns the newcomer's bonuses taken back.
        """
        invitation = self._of.get(newcomer.member_id)
        if (
            invitation is None
            or invitation.status != Status.REWARDED
            or invitation.transaction_id != purchase_id
            or left >= settings.REFERRAL_MIN_PURCHASE_RUB
        ):
            return ZERO
        lots = [
            (account, lot)
            for account in (newcomer, self._account(invitation.inviter_id))
            if account
            for lot in account.of_purchase.get(purchase_id, [])
            if lot.kind == BonusLot.Kind.REFERRAL
        ]
        if not all(at < lot.available_from for _, lot in lots):
            return ZERO
        invitation.status, invitation.reason = Status.VOIDED, "refunded"
        self._settled[invitation.id] = invitation
        taken = ZERO
        for account, lot in lots:
            self._ledger.reverse(
                account,
                own=[lot],
                refund_id=refund_id,
                amount=lot.accrued,
                expired=ZERO,
                at=at,
            )
            taken += lot.accrued if account is newcomer else ZERO
        return taken

    def write(self, write: Write) -> None:
        """Add what became of the invitations to a statement."""
        at = self._ledger.recorded_at
        rows = [
            {
                "id": inv.id, "status": inv.status, "reason": inv.reason,
                "transaction_id": inv.transaction_id, "settled_at": inv.settled_at, "at": at,
            }
            for inv in self._settled.values()
        ]  # fmt: skip
        write.add(SETTLE, SETTLED, rows)
        changes: Counter[UUID] = Counter()
        for inv in self._settled.values():
            changes[inv.inviter_id] += {Status.REWARDED: 1, Status.VOIDED: -1}.get(Status(inv.status), 0)
        write.add(
            COUNT,
            {"user_id": "uuid", "change": "integer", "at": "timestamptz"},
            [{"user_id": pk, "change": change, "at": at} for pk, change in changes.items() if change],
        )

    def _account(self, member_id: UUID) -> Account | None:
        if member_id not in self._locked:
            # All at once: a batch may bring many newcomers, and each try begins anew.
            raise AlsoLock({invitation.inviter_id for invitation in self._of.values()})
        return self._ledger.accounts.get(member_id)

    def _month(self, inviter_id: UUID, at: datetime) -> tuple[UUID, int, int]:
        local = timezone.localtime(at)
        return inviter_id, local.year, local.month

    def _rewards_by_month(self) -> "Counter[tuple[UUID, int, int]]":
        """Return how many of each inviter's invitations were rewarded, a voided one included."""
        if self._rewarded is None:
            inviters = list({invitation.inviter_id for invitation in self._of.values()})
            rows = read((REWARDED, [inviters]))[0]
            self._rewarded = Counter(self._month(inviter, at) for inviter, at in rows)
        return self._rewarded

    def _programme_id(self) -> UUID:
        if self._programme is None:
            query: tuple[str, list[Any]] = ("SELECT id FROM businesses WHERE code = %s", [PROGRAMME_CODE])
            self._programme = read(query)[0][0][0]
        assert self._programme
        return self._programme
