"""A purchase or a refund is recorded exactly once: bonuses, coupon and chains in one transaction.

The same code serves one purchase of a till and thousands of a file. It locks the members and loads
what the requests need in a few round trips however many they are, decides them one by one in their
order (`buying.py`, `refunds.py`), and writes one as one statement, of many the first while it decides the
next. Docs: decision 0012.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.errors import MemberNotFound, RefundUnlinked
from loyalty.models import Transaction
from loyalty.services import referrals
from loyalty.services.accounts import Account
from loyalty.services.ledger import Ledger
from loyalty.services.ledger_reads import load_further, open_ledger
from loyalty.services.referrals import AlsoLock, Referrals
from loyalty.services.transactions import (
    NewTransaction,
    Receipt,
    StoredTransaction,
    by_receipt,
    insert_transactions,
    load_refunds,
    parked_query,
    parked_refunds,
    refund_queries,
    stored,
    stored_by_receipt,
)
from svoykrug.collector import uncollected
from svoykrug.db.sql import Ahead, Write
from svoykrug.errors import DomainError
from svoykrug.failpoints import failpoint

from . import chain_state, live_offers, offer_uses
from .announcements import announce
from .buying import buy
from .chain_state import ChainState
from .checks import check_request, differing_fields, receipt_reused
from .cost_shares import CostShares
from .coupons import Coupons
from .early_refunds import EarlyRefunds, unparked
from .live_offers import LiveOffers
from .offer_uses import OfferUses
from .promises import Promises
from .purchases import Outcome, PurchaseRequest, RefundRequest, Request, Status, receipt_of
from .refunds import give_back, note_refund
from .triggers import Triggers

# A twin of another member slips past the member's lock and meets the unique receipt instead; and
# a decision may turn out to move the bonuses of one more member.
TRIES = 4
# So many rows of many are sent while the next are decided; first a few, so that PostgreSQL begins soon.
FIRST_AHEAD_ROWS, AHEAD_ROWS = 25, 125
RECEIPT_INDEXES = "idx_transactions_external_unique", "idx_parked_refunds_external"


def record_purchase(request: PurchaseRequest, *, at: datetime) -> tuple[Transaction, bool]:
    """Record one purchase. Returns it and whether it is new; a repeat returns the first.

    Raises a DomainError (unknown member, receipt reused with other content, coupon not
    redeemable, too few bonuses, a value out of bounds), and then nothing has changed.
    Locks the member.
    """
    outcome = record_many([request], at=at)[0]
    if outcome.error:
        raise outcome.error
    return _transaction(outcome), outcome.status is Status.CREATED


def record_refund(request: RefundRequest, *, at: datetime) -> tuple[Transaction | None, bool]:
    """Record one refund. Returns None when it is parked because its purchase has not come yet.

    Raises RefundUnlinked, RefundExceedsPurchase or another DomainError, and then nothing has changed.
    """
    outcome = record_many([request], at=at)[0]
    if outcome.error:
        raise outcome.error
    if outcome.transaction_id is None:
        return None, outcome.status is Status.PARKED
    return _transaction(outcome), outcome.status is Status.CREATED


def _transaction(outcome: Outcome) -> Transaction:
    """Return the stored row; of a new one from memory."""
    if outcome.row is None:
        return Transaction.objects.get(pk=str(outcome.transaction_id))
    transaction = outcome.row.as_stored()
    prefetched = {"coupons_issued": list(outcome.coupons_issued)}
    transaction._prefetched_objects_cache = prefetched  # type: ignore[attr-defined]
    return transaction


def record_many(requests: Sequence[Request], *, at: datetime) -> list[Outcome]:
    """Record purchases and refunds in one transaction; each stands alone. One outcome per request.

    at  the moment of recording

    A refused request stores nothing and does not touch the others. A refund whose purchase is
    neither stored nor among the requests is parked, and applied when the purchase comes.
    Locks all members concerned, in the order of their keys.
    """
    also_lock: set[UUID] = set()
    for attempt in range(TRIES):
        try:
            with uncollected():
                outcomes = _record(requests, at, also_lock)
        except AlsoLock as more:
            also_lock |= more.members
        except IntegrityError as error:
            receipt_taken = any(index in str(error) for index in RECEIPT_INDEXES)
            if not receipt_taken or attempt == TRIES - 1:
                raise
        else:
            failpoint("checkout-after-commit")
            return outcomes
    raise AssertionError("the members to lock are known after a second try")


def _record(requests: Sequence[Request], at: datetime, also_lock: Collection[UUID]) -> list[Outcome]:
    """Decide and store in one transaction; whatever it took besides the outcomes is gone afterwards."""
    with atomic(), Ahead() as ahead:
        checkout = Checkout(requests, at, also_lock=also_lock, ahead=ahead)
        outcomes = checkout.run()
        checkout.write()
    return outcomes


class Checkout:
    """The state of one call: what was loaded, what is decided, what will be written.

    quoting  nothing will be written, so chains are left alone and presence is not asked for
    ahead    takes decided rows while there are more to decide
    """

    def __init__(
        self,
        requests: Sequence[Request],
        at: datetime,
        *,
        also_lock: Collection[UUID] = (),
        quoting: bool = False,
        ahead: Ahead | None = None,
    ) -> None:
        self.at = at
        self.requests = requests
        self.also_lock = also_lock
        self.quoting = quoting
        self.ahead = ahead
        self.sent = 0
        self.outcomes: list[Outcome | None] = [None] * len(requests)
        self.rows: list[NewTransaction] = []
        self.coupons = Coupons()
        self.promises = Promises()
        self.early: EarlyRefunds
        self.ledger: Ledger
        self.referrals: Referrals
        self.triggers: Triggers
        self.offers: LiveOffers
        self.uses: OfferUses

    def run(self) -> list[Outcome]:
        """Lock, load and decide; `write` stores it."""
        self._load()
        for index, request in enumerate(self.requests):
            if self.outcomes[index] is None:
                self.outcomes[index] = self._decide(index, request)
        return [outcome for outcome in self.outcomes if outcome is not None]

    # --- Load --------------------------------------------------------------------------------

    def _load(self) -> None:
        self._refuse_invalid()
        requests = [request for index, request in enumerate(self.requests) if self.outcomes[index] is None]
        purchases = [request for request in requests if isinstance(request, PurchaseRequest)]
        refunds = [request for request in requests if isinstance(request, RefundRequest)]
        times = [request.purchased_at or self.at for request in requests] or [self.at]
        own = [receipt_of(request) for request in requests if request.external_id]
        refunded = {(request.business.id, str(request.refund_of)) for request in refunds}

        # Members of refunds that name none are read from the purchases, which never change.
        members = {request.member_id for request in requests if request.member_id}
        members |= {purchase.member_id for purchase in stored_by_receipt(refunded).values()}
        members |= set(self.also_lock)

        businesses = list({request.business.id for request in purchases})
        self.ledger, found = open_ledger(
            members,
            recorded_at=self.at,
            terms=[
                (chain_state.ACTIVE, [businesses, max(times)]),
                (live_offers.LIVE, [businesses, max(times), max(times), min(times)]),
            ],
            also=[by_receipt(list({*own, *refunded})), parked_query(own)],
        )
        active, live, stored_rows, parked_rows = found
        self.stored = stored(stored_rows)
        self.early = EarlyRefunds(parked_refunds(parked_rows), recorded_at=self.at)
        self.offers = LiveOffers(live, recorded_at=self.at)
        self.uses = OfferUses(self.offers, self.coupons, recorded_at=self.at)
        self._load_further(purchases, refunded, members, since=min(times), until=max(times))
        state = ChainState([] if self.quoting else active, self._known(purchases), recorded_at=self.at)
        shares = CostShares(() if self.quoting else self.coupons.by_code.values(), self.stored.values())
        self.triggers = Triggers(state, shares, recorded_at=self.at)

    def _load_further(
        self,
        purchases: list[PurchaseRequest],
        refunded: Collection[Receipt],
        locked: Collection[UUID],
        *,
        since: datetime,
        until: datetime,
    ) -> None:
        """Read what only some calls need: lots to spend, purchases to refund, coupons, quotes."""
        stored_refunded = [
            purchase
            for receipt, purchase in self.stored.items()
            if receipt in refunded and purchase.kind == Transaction.Kind.PURCHASE
        ]
        ids = [purchase.id for purchase in stored_refunded]
        spending = {r.member_id for r in purchases if r.redeem or self.quoting}
        invited = [pk for pk, account in self.ledger.accounts.items() if account.invited_by]
        found = load_further(
            self.ledger,
            until=until,
            spending=spending,
            refunded=ids,
            rising=[] if self.quoting else self._rising(purchases),
            since=since - timedelta(days=settings.TURNOVER_WINDOW_DAYS),
            also=[
                *([(referrals.OPEN, [invited])] if invited else []),
                *([(offer_uses.OF_PURCHASES, [ids]), *refund_queries(ids)] if ids else []),
            ],
        )
        self.referrals = Referrals(found.pop(0) if invited else [], self.ledger, locked=locked)
        used_offers, of_offers = self.uses.load(found.pop(0)) if ids else (set(), set())
        if ids:
            load_refunds(stored_refunded, found)
        # Coupons after members, then offers, then chains: the one order of locks.
        self.promises.load({request.quote_id for request in purchases if request.quote_id})
        self.coupons.load(
            codes={request.coupon_code for request in purchases},
            of_purchases=[*(p.coupon_id for p in stored_refunded if p.coupon_id), *of_offers],
            at=self.at,
        )
        self.offers.load(self._known(purchases), returned=used_offers, lock=not self.quoting)

    def _known(self, purchases: list[PurchaseRequest]) -> list[PurchaseRequest]:
        return [request for request in purchases if request.member_id in self.ledger.accounts]

    def _rising(self, purchases: list[PurchaseRequest]) -> list[UUID]:
        """Return the members whom these purchases may lift to a higher tier."""
        sums: dict[UUID, tuple[Decimal, datetime]] = {}
        for request in purchases:
            at = request.purchased_at or self.at
            sum_, earliest = sums.get(request.member_id, (Decimal(0), at))
            sums[request.member_id] = sum_ + request.amount, min(earliest, at)
        return [
            pk
            for pk, (sum_, at) in sums.items()
            if pk in self.ledger.accounts
            and self.ledger.needs_turnover(self.ledger.accounts[pk], sum_, at=at)
        ]

    def _refuse_invalid(self) -> None:
        for index, request in enumerate(self.requests):
            try:
                check_request(request, at=self.at)
            except DomainError as error:
                self.outcomes[index] = Outcome(Status.REJECTED, error=error)

    # --- Decide ------------------------------------------------------------------------------

    def account(self, member_id: UUID) -> Account:
        """Return the locked member's account. Raises MemberNotFound."""
        account = self.ledger.accounts.get(member_id)
        if account is None:
            raise MemberNotFound(_("There is no such member."), field="member")
        return account

    def add(self, row: NewTransaction) -> StoredTransaction:
        """Keep a decided row, for writing and for what later requests of this call ask of it."""
        self.rows.append(row)
        kept = StoredTransaction(
            id=row.id, member_id=row.user_id, kind=row.kind, refund_of=row.refund_of, coupon_id=row.coupon_id,
            amount=row.amount, coupon_discount=row.coupon_discount, bonus_redeemed=row.bonus_redeemed,
            bonus_accrued=row.bonus_accrued, category=row.category, lines=row.lines,
            request_hash=row.request_hash, created_at=row.created_at, shares=row.explanation.get("lines"),
        )  # fmt: skip
        if row.external_id:
            self.stored[row.business_id, row.external_id] = kept
        if self.ahead and len(self.rows) - self.sent == (AHEAD_ROWS if self.sent else FIRST_AHEAD_ROWS):
            self._send_ahead(self.ahead)
        return kept

    def _send_ahead(self, ahead: Ahead) -> None:
        """Send the decided rows and their movements of bonuses; a later statement writes what comes later."""
        write = Write()
        insert_transactions(write, self.rows[self.sent :])
        self.ledger.write_movements(write)
        ahead.send(write)
        self.sent = len(self.rows)

    def _decide(self, index: int, request: Request) -> Outcome:
        try:
            if repeated := self._repeat(request):
                return repeated
            if isinstance(request, RefundRequest):
                return self._refund(index, request)
            outcome = buy(self, request)
        except DomainError as error:
            return Outcome(Status.REJECTED, error=error)
        if request.external_id and self.early:
            self._apply_early(receipt_of(request))
        return outcome

    def _repeat(self, request: Request) -> Outcome | None:
        if not request.external_id:
            return None
        receipt = receipt_of(request)
        if found := self.stored.get(receipt):
            if differing := differing_fields(request, found, self.stored):
                raise receipt_reused(request, differing)
            return Outcome(Status.DUPLICATE, found.id)
        return Outcome(Status.DUPLICATE) if self.early.has(request) else None

    def _refund(self, index: int, request: RefundRequest) -> Outcome:
        if not request.refund_of:
            raise RefundUnlinked(
                _("Name the purchase that is refunded: refund_of is empty."), field="refund_of"
            )
        purchase = self.stored.get((request.business.id, request.refund_of))
        if purchase:
            return self._give_back(request, purchase)
        if request.member_id is None:
            raise MemberNotFound(_("The purchase is not known yet; name the member."), field="member")
        if request.amount is None:
            raise RefundUnlinked(_("The purchase is not known yet; name the amount."), field="lines")
        self.account(request.member_id)
        self.early.wait(index, request)
        return Outcome(Status.PARKED)

    def _give_back(self, request: RefundRequest, purchase: StoredTransaction) -> Outcome:
        outcome = give_back(self, request, purchase)
        assert outcome.row
        note_refund(purchase, outcome.row)
        return outcome

    def _apply_early(self, receipt: Receipt) -> None:
        """Apply refunds that came before this purchase: earlier calls' first, then this call's, by time."""
        purchase = self.stored[receipt]
        for refund in self.early.parked_for(receipt):
            try:
                self._give_back(unparked(refund, purchase), purchase)
            except DomainError:
                # It stays parked and is reported with those whose purchase never came.
                continue
            self.early.applied(refund)
        for index, request in self.early.waiting_for(receipt):
            try:
                self.outcomes[index] = self._give_back(request, purchase)
            except DomainError as error:
                # Whoever can be told at once is told; one that came in an earlier call stays parked.
                self.outcomes[index] = Outcome(Status.REJECTED, error=error)

    # --- Write -------------------------------------------------------------------------------

    def write(self) -> None:
        """Store everything decided, as one statement, and commit with it."""
        write = Write()
        insert_transactions(write, self.rows[self.sent :])
        self.ledger.write(write)
        self.triggers.write(write)
        self.coupons.write(write, at=self.at)
        self.uses.write(write)
        self.promises.write(write, at=self.at)
        self.referrals.write(write)
        announce(write, self)
        self.early.write()
        failpoint("checkout-before-commit")
        write.execute(last=True)
