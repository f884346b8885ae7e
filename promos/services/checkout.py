"""A purchase or a refund is recorded exactly once: bonuses, coupon and chains in one transaction.

The same code serves one purchase of a till and thousands of a file. It loads what the requests
need in few statements however many they are, decides them one by one in their order, and writes by set.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.transaction import atomic

from loyalty.errors import (
    ExternalIdReused,
    MemberNotFound,
    RefundUnlinked,
)
from loyalty.models import ParkedRefund, Transaction
from loyalty.rules import accrual, share_of_refund
from loyalty.services.ledger import Account, Ledger, open_ledger
from loyalty.services.transactions import (
    NewTransaction,
    Receipt,
    StoredTransaction,
    insert_transactions,
    load_refund_totals,
    parked_refunds,
    stored_by_receipt,
)
from promos.errors import CouponNotRedeemable
from promos.models import ChainAssignment, Coupon
from promos.rules import CouponEffect, coupon_effect, coupon_refusal, normalise_code
from svoykrug.db.models import uuid7
from svoykrug.errors import DomainError
from svoykrug.money import ZERO

from .checks import check_request, differing_fields, fingerprint
from .explanation import accrual_rules, purchase_explanation, refund_explanation
from .purchases import Outcome, PurchaseRequest, RefundRequest, Status
from .refunds import check_refund, parked, unparked
from .triggers import Triggers

Request = PurchaseRequest | RefundRequest
# A twin of another member slips past the member's lock and meets the unique receipt instead.
TRIES = 3


def record_purchase(request: PurchaseRequest, *, at: datetime) -> tuple[Transaction, bool]:
    """Record one purchase. Returns it and whether it is new; a repeat returns the first.

    Raises a DomainError (unknown member, receipt reused with other content, coupon not
    redeemable, a value out of bounds), and then nothing has changed. Locks the member.
    """
    outcome = record_many([request], at=at)[0]
    if outcome.error:
        raise outcome.error
    assert outcome.transaction_id is not None
    return Transaction.objects.get(pk=outcome.transaction_id), outcome.status is Status.CREATED


def record_refund(request: RefundRequest, *, at: datetime) -> tuple[Transaction | None, bool]:
    """Record one refund. Returns None when it is parked because its purchase has not come yet.

    Raises RefundUnlinked, RefundExceedsPurchase or another DomainError, and then nothing has changed.
    """
    outcome = record_many([request], at=at)[0]
    if outcome.error:
        raise outcome.error
    if outcome.transaction_id is None:
        return None, outcome.status is Status.PARKED
    return Transaction.objects.get(pk=outcome.transaction_id), outcome.status is Status.CREATED


def record_many(requests: Sequence[Request], *, at: datetime) -> list[Outcome]:
    """Record purchases and refunds in one transaction; each stands alone. One outcome per request.

    at  the moment of recording

    A refused request stores nothing and does not touch the others. A refund whose purchase is
    neither stored nor among the requests is parked, and applied when the purchase comes.
    Locks all members concerned, in the order of their keys.
    """
    for attempt in range(TRIES):
        try:
            with atomic():
                return Checkout(requests, at).run()
        except IntegrityError as error:
            receipt_taken = "idx_transactions_external_unique" in str(error)
            if not receipt_taken or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


class Checkout:
    """The state of one call: what was loaded, what is decided, what will be written."""

    def __init__(self, requests: Sequence[Request], at: datetime) -> None:
        self.at = at
        self.requests = requests
        self.outcomes: list[Outcome | None] = [None] * len(requests)
        self.rows: list[NewTransaction] = []
        self.redeemed: list[tuple[Coupon, UUID]] = []
        self.coupons: dict[str, Coupon] = {}
        # Refunds of this call that wait for their purchase, by its receipt.
        self.waiting: dict[Receipt, list[tuple[int, RefundRequest]]] = {}
        self.applied: list[ParkedRefund] = []

    def run(self) -> list[Outcome]:
        self._load()
        for index, request in enumerate(self.requests):
            if self.outcomes[index] is None:
                self.outcomes[index] = self._decide(index, request)
        self._write()
        return [outcome for outcome in self.outcomes if outcome is not None]

    # --- Load --------------------------------------------------------------------------------

    def _load(self) -> None:
        self._refuse_invalid()
        requests = [request for index, request in enumerate(self.requests) if self.outcomes[index] is None]
        purchases = [request for request in requests if isinstance(request, PurchaseRequest)]
        refunds = [request for request in requests if isinstance(request, RefundRequest)]
        own = [_receipt(request) for request in requests if request.external_id]
        refunded = [(request.business.pk, str(request.refund_of)) for request in refunds]
        receipts = set(own + refunded)
        of_purchases = {_receipt(request) for request in purchases if request.external_id}

        # Members of refunds that name none are read from the purchases, which never change.
        before_lock = stored_by_receipt(refunded)
        _, waiting = parked_refunds(receipts=(), purchases=of_purchases)
        refunding = {request.member_id for request in refunds if request.member_id}
        refunding |= {stored.member_id for stored in before_lock.values()}
        refunding |= {refund.member_id for refunds_ in waiting.values() for refund in refunds_}
        members = {request.member_id for request in purchases} | refunding

        times = [request.purchased_at or self.at for request in requests]
        self.ledger: Ledger = open_ledger(
            members,
            refunded=[stored.id for stored in before_lock.values()],
            until=max(times, default=self.at),
            recorded_at=self.at,
        )
        self.stored = stored_by_receipt(receipts)
        self.parked, self.parked_for = parked_refunds(receipts=own, purchases=of_purchases)
        load_refund_totals([s for r, s in self.stored.items() if s.kind == Transaction.Kind.PURCHASE])
        self._lock_coupons(purchases)
        self.triggers = Triggers(purchases, members=self.ledger.accounts.keys(), recorded_at=self.at)

    def _refuse_invalid(self) -> None:
        for index, request in enumerate(self.requests):
            try:
                check_request(request, at=self.at)
            except DomainError as error:
                self.outcomes[index] = Outcome(Status.REJECTED, error=error)

    def _lock_coupons(self, purchases: list[PurchaseRequest]) -> None:
        codes = {normalise_code(request.coupon_code) for request in purchases if request.coupon_code} - {None}
        if codes:
            coupons = Coupon.objects.select_for_update().filter(code__in=codes).order_by("pk")
            self.coupons = {coupon.code: coupon for coupon in coupons}

    # --- Decide ------------------------------------------------------------------------------

    def _decide(self, index: int, request: Request) -> Outcome:
        try:
            if repeated := self._repeat(request):
                return repeated
            if isinstance(request, PurchaseRequest):
                return self._purchase(request)
            return self._refund(index, request)
        except DomainError as error:
            return Outcome(Status.REJECTED, error=error)

    def _repeat(self, request: Request) -> Outcome | None:
        if not request.external_id:
            return None
        key = _receipt(request)
        if stored := self.stored.get(key):
            differing = differing_fields(request, stored, self.stored)
            if differing:
                raise _reused(request, differing)
            return Outcome(Status.DUPLICATE, stored.id)
        if early := self.parked.get(key):
            if early.request_hash != fingerprint(request):
                raise _reused(request, ["amount"])
            return Outcome(Status.DUPLICATE)
        for waiting in self.waiting.values():
            for _, other in waiting:
                if _receipt(other) == key:
                    if fingerprint(other) != fingerprint(request):
                        raise _reused(request, ["amount"])
                    return Outcome(Status.DUPLICATE)
        return None

    def _account(self, member_id: UUID) -> Account:
        account = self.ledger.accounts.get(member_id)
        if account is None:
            raise MemberNotFound("There is no such member.", field="member")
        return account

    def _purchase(self, request: PurchaseRequest) -> Outcome:
        account = self._account(request.member_id)
        created_at = request.purchased_at or self.at
        coupon, effect = self._coupon(request, created_at)
        self.ledger.lapse(account, at=created_at)
        earn_base = max(request.amount - effect.discount, ZERO)
        percent = account.tier.accrual_percent if request.business.can_accrue else Decimal(0)
        by_tier = accrual(earn_base, percent=percent)
        earned = accrual(earn_base, percent=percent, multiplier=effect.multiplier)

        transaction_id = uuid7()
        repaid = self.ledger.accrue(
            account, issuer=request.business, transaction_id=transaction_id, amount=earned, at=created_at
        )
        if coupon:
            coupon.status = Coupon.Status.REDEEMED
            self.redeemed.append((coupon, transaction_id))
            self.triggers.redeemed(coupon)
        chain_rules, codes = self.triggers.fire(
            request, transaction_id=transaction_id, tier=account.tier, at=created_at
        )
        rules = accrual_rules(
            request=request, account=account, earned=earned, by_tier=by_tier, coupon=coupon, effect=effect,
            repaid=repaid,
        )  # fmt: skip
        explanation = purchase_explanation(
            request=request, account=account, earn_base=earn_base, earned=earned, rules=rules + chain_rules
        )
        self._store(
            request, account, transaction_id, created_at, explanation, coupon, effect.discount, earned
        )
        if request.external_id:
            self._apply_waiting(_receipt(request))
        return Outcome(Status.CREATED, transaction_id, coupons_issued=tuple(codes))

    def _coupon(self, request: PurchaseRequest, at: datetime) -> tuple[Coupon | None, CouponEffect]:
        if not request.coupon_code:
            return None, CouponEffect()
        coupon = self.coupons.get(normalise_code(request.coupon_code) or "")
        if coupon is None:
            raise CouponNotRedeemable("There is no such coupon. Check the code.", field="coupon")
        reason = coupon_refusal(
            coupon, member_id=request.member_id, business_id=request.business.pk, amount=request.amount, at=at
        )
        if reason:
            raise CouponNotRedeemable(reason, field="coupon")
        return coupon, coupon_effect(coupon, request.amount)

    def _store(
        self,
        request: PurchaseRequest,
        account: Account,
        transaction_id: UUID,
        created_at: datetime,
        explanation: dict[str, Any],
        coupon: Coupon | None,
        discount: Decimal,
        earned: Decimal,
    ) -> None:
        row = NewTransaction(
            id=transaction_id, user_id=account.member_id, business_id=request.business.pk,
            coupon_id=coupon.pk if coupon else None, kind=Transaction.Kind.PURCHASE.value, refund_of=None,
            amount=request.amount, coupon_discount=discount, bonus_redeemed=ZERO, bonus_accrued=earned,
            category=request.category, lines=json.dumps(request.lines) if request.lines else None,
            external_id=request.external_id or None, request_hash=fingerprint(request),
            source=request.source, explanation=json.dumps(explanation, ensure_ascii=False),
            created_at=created_at, recorded_at=self.at,
        )  # fmt: skip
        self._add_row(row)

    def _add_row(self, row: NewTransaction) -> StoredTransaction:
        self.rows.append(row)
        stored = StoredTransaction(
            id=row.id, member_id=row.user_id, kind=row.kind, refund_of=row.refund_of, coupon_id=row.coupon_id,
            amount=row.amount, coupon_discount=row.coupon_discount, bonus_accrued=row.bonus_accrued,
            category=row.category, lines=json.loads(row.lines) if row.lines else None,
            request_hash=row.request_hash, created_at=row.created_at,
        )  # fmt: skip
        if row.external_id:
            self.stored[row.business_id, row.external_id] = stored
        return stored

    def _refund(self, index: int, request: RefundRequest) -> Outcome:
        if not request.refund_of:
            raise RefundUnlinked("Name the purchase that is refunded: refund_of is empty.", field="refund_of")
        purchase = self.stored.get((request.business.pk, request.refund_of))
        if purchase is None:
            if request.member_id is None:
                raise MemberNotFound("The purchase is not known yet; name the member.", field="member")
            self._account(request.member_id)
            self.waiting.setdefault((request.business.pk, request.refund_of), []).append((index, request))
            return Outcome(Status.PARKED)
        return self._apply_refund(request, purchase)

    def _apply_refund(self, request: RefundRequest, purchase: StoredTransaction) -> Outcome:
        created_at = request.purchased_at or self.at
        check_refund(request, purchase, created_at)
        account = self._account(purchase.member_id)
        refunded = purchase.refunded + request.amount
        discount = share_of_refund(
            purchase.coupon_discount,
            refunded=refunded,
            amount=purchase.amount,
            given=purchase.discount_returned,
        )
        taken = share_of_refund(
            purchase.bonus_accrued, refunded=refunded, amount=purchase.amount, given=purchase.taken_back
        )
        refund_id = uuid7()
        self.ledger.lapse(account, at=created_at)
        result = self.ledger.reverse(
            account, purchase_id=purchase.id, refund_id=refund_id, amount=taken, at=created_at
        )
        explanation = refund_explanation(
            account=account,
            taken_back=taken - result.debt - result.written_off,
            debt=result.debt,
            written_off=result.written_off,
        )
        row = NewTransaction(
            id=refund_id, user_id=account.member_id, business_id=request.business.pk, coupon_id=None,
            kind=Transaction.Kind.REFUND.value, refund_of=purchase.id, amount=-request.amount,
            coupon_discount=-discount, bonus_redeemed=ZERO, bonus_accrued=-taken, category=request.category,
            lines=None, external_id=request.external_id or None, request_hash=fingerprint(request),
            source=request.source, explanation=json.dumps(explanation, ensure_ascii=False),
            created_at=created_at, recorded_at=self.at,
        )  # fmt: skip
        purchase.refunded, purchase.discount_returned = refunded, purchase.discount_returned + discount
        purchase.taken_back += taken
        self._add_row(row)
        return Outcome(Status.CREATED, refund_id)

    def _apply_waiting(self, receipt: Receipt) -> None:
        """Apply refunds that came before this purchase: earlier calls' first, then this call's, by time."""
        purchase = self.stored[receipt]
        for refund in self.parked_for.pop(receipt, []):
            try:
                self._apply_refund(unparked(refund), purchase)
            except DomainError:
                # It stays parked and is reported with those whose purchase never came.
                continue
            self.applied.append(refund)
        waiting = self.waiting.pop(receipt, [])
        for index, request in sorted(waiting, key=lambda item: item[1].purchased_at or self.at):
            try:
                self.outcomes[index] = self._apply_refund(request, purchase)
            except DomainError as error:
                self.outcomes[index] = Outcome(Status.REJECTED, error=error)

    # --- Write -------------------------------------------------------------------------------

    def _write(self) -> None:
        insert_transactions(self.rows)
        self.ledger.write()
        self.triggers.write()
        for coupon, transaction_id in self.redeemed:
            Coupon.objects.filter(pk=coupon.pk).update(status=Coupon.Status.REDEEMED, updated_at=self.at)
            ChainAssignment.objects.filter(coupon_id=coupon.pk).update(converted_id=transaction_id)
        ParkedRefund.objects.filter(pk__in=[refund.pk for refund in self.applied]).delete()
        ParkedRefund.objects.bulk_create(
            parked(request, self.at) for waiting in self.waiting.values() for _, request in waiting
        )


def _receipt(request: Request) -> Receipt:
    return request.business.pk, str(request.external_id)


def _reused(request: Request, fields: list[str]) -> ExternalIdReused:
    return ExternalIdReused(
        f"Receipt {request.external_id} is already recorded with other content: {', '.join(fields)}. "
        "Send the same content, or use a new external_id.",
        field="external_id",
        fields=fields,
    )
