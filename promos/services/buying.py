"""One purchase is decided: coupon, offers, spending, accrual, tier, invitation, chains, in this order."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from loyalty.errors import InsufficientBonus, PresenceCodeInvalid, RedemptionLimitExceeded
from loyalty.models import Business, Transaction
from loyalty.rules import Tier
from loyalty.services.accounts import Account
from loyalty.services.presence import check_code, receipt_name, spend_code
from loyalty.services.transactions import NewTransaction
from promos.billing import Bill, CouponTerms, Line, Settled
from promos.models import Coupon, Quote
from promos.offers.decision import Decision
from svoykrug.db.models import uuid7

from .checks import fingerprint
from .explanation import accrual_rules, purchase_explanation, rule
from .promises import live_hold
from .purchases import Outcome, PurchaseRequest, Status

if TYPE_CHECKING:
    from .checkout import Checkout

PURCHASE = Transaction.Kind.PURCHASE.value
CREATED = Status.CREATED


def buy(checkout: "Checkout", request: PurchaseRequest) -> Outcome:
    """Decide a purchase. Raises a DomainError, and then nothing has been decided."""
    account, at = checkout.account(request.member_id), request.purchased_at or checkout.at
    quote = checkout.promises.claim(request)
    coupon = checkout.coupons.of_bill(request, at=at)
    tier = account.tier
    decision = checkout.offers.decide(request, bill_of(request, tier, coupon), tier, at=at)
    settled = decision.settled
    limit = None
    if request.redeem or checkout.quoting:
        limit = check_redemption(request, account, settled, quote=quote, at=at, recorded_at=checkout.at)
    row = _row(request, coupon, settled, recorded_at=checkout.at)
    if quote:
        checkout.promises.compare(quote, row)
    if request.redeem and not checkout.quoting:
        _show_presence(request, quote, at=checkout.at)
    if quote:
        checkout.promises.keep(quote, row)
        if quote.hold_id:
            account.held.pop(quote.hold_id, None)

    checkout.ledger.lapse(account, at=at)
    spent = []
    if request.redeem:
        spent = checkout.ledger.redeem(
            account, request.redeem, transaction_id=row.id, honoured_by=row.business_id, at=at
        )
    rules, issued = _move(checkout, request, row, account, tier, decision, coupon)
    explanation = purchase_explanation(account=account, tier=tier, decision=decision, rules=rules)
    row.explanation = explanation
    kept = checkout.add(row)
    kept.spent, kept.spent_at = spent, account.entries
    return Outcome(CREATED, row.id, row=row, coupons_issued=tuple(issued), max_redeemable=limit)


def bill_of(request: PurchaseRequest, tier: Tier, coupon: Coupon | None) -> Bill:
    """Return everything the outcome follows from: the request, the tier's and the business's terms."""
    business = request.business
    return Bill(
        amount=request.amount,
        accrual_percent=tier.accrual_percent if business.can_accrue else Decimal(0),
        cap_percent=redemption_cap(business, tier),
        redeem=request.redeem,
        coupon=CouponTerms(coupon.benefit, coupon.benefit_value) if coupon else None,
        lines=tuple(
            Line(Decimal(line["amount"]), _earns(business, line.get("category") or request.category))
            for line in request.lines or ()
        ),
        earns=_earns(business, request.category),
        accrual_cap_percent=settings.OFFER_CAP_PERCENT if business.can_accrue else Decimal(0),
    )


def redemption_cap(business: Business, tier: Tier) -> Decimal:
    """Return the share of a bill payable by bonuses, per cent: the lower of the tier's and the business's."""
    if not business.can_redeem:
        return Decimal(0)
    own = business.redemption_cap_percent
    return tier.redemption_cap_percent if own is None else min(tier.redemption_cap_percent, own)


def _earns(business: Business, category: str) -> bool:
    excluded = business.no_earn_categories
    return not excluded or category.casefold() not in {name.casefold() for name in excluded}


def check_redemption(
    request: PurchaseRequest,
    account: Account,
    settled: Settled,
    *,
    quote: Quote | None,
    at: datetime,
    recorded_at: datetime,
) -> Decimal:
    """Return how many bonuses the member may spend on this bill.

    Raises InsufficientBonus or RedemptionLimitExceeded if the request asks for more.
    """
    available = account.available(at=at, but_hold=live_hold(quote, at=recorded_at))
    if request.redeem > available:
        raise InsufficientBonus(
            _("%(asked)s bonuses asked, %(available)s are available.")
            % {"asked": request.redeem, "available": available},
            field="redeem",
        )
    if request.redeem > settled.max_redeemable:
        raise RedemptionLimitExceeded(
            _("%(asked)s bonuses asked, at most %(limit)s may pay of this bill.")
            % {"asked": request.redeem, "limit": settled.max_redeemable},
            field="redeem",
        )
    return min(available, settled.max_redeemable)


def _show_presence(request: PurchaseRequest, quote: Quote | None, *, at: datetime) -> None:
    """Use up the member's code: the last check, since a code serves once."""
    shown_before = quote and quote.presence_shown and quote.expires_at > at
    if shown_before or not request.business.requires_presence_code:
        return
    receipt = receipt_name(request.business.id, str(request.external_id))
    code = check_presence(request, receipt=receipt, at=at)
    spend_code(code, request.member_id, receipt=receipt, at=at)


def check_presence(request: PurchaseRequest, *, receipt: str, at: datetime) -> str:
    """Return the code that proves the member's presence. Raises PresenceCodeInvalid."""
    if not request.presence_code or not request.till:
        raise PresenceCodeInvalid(
            _("Spending bonuses needs the member's code: ask for the six digits on the member's page."),
            field="presence_code",
        )
    check_code(request.presence_code, request.member_id, till=request.till, at=at, receipt=receipt)
    return request.presence_code


def _row(
    request: PurchaseRequest, coupon: Coupon | None, settled: Settled, *, recorded_at: datetime
) -> NewTransaction:
    return NewTransaction(
        id=uuid7(),
        user_id=request.member_id,
        business_id=request.business.id,
        coupon_id=coupon.pk if coupon else None,
        kind=PURCHASE,
        refund_of=None,
        amount=request.amount,
        coupon_discount=settled.coupon_discount,
        bonus_redeemed=request.redeem,
        bonus_accrued=settled.bonus_accrued,
        category=request.category,
        lines=request.lines or None,
        external_id=request.external_id or None,
        request_hash=fingerprint(request),
        source=str(request.source),
        explanation={},
        created_at=request.purchased_at or recorded_at,
        recorded_at=recorded_at,
    )


def _move(
    checkout: "Checkout",
    request: PurchaseRequest,
    row: NewTransaction,
    account: Account,
    tier: Tier,
    decision: Decision,
    coupon: Coupon | None,
) -> tuple[list[dict[str, Any]], list[Coupon]]:
    """Move bonuses, coupon and tier. Returns the rules looked at and the coupons issued."""
    at, key, settled = row.created_at, row.id, decision.settled
    repaid = checkout.ledger.accrue(
        account,
        issuer_id=request.business.id,
        transaction_id=key,
        amount=settled.bonus_accrued,
        at=at,
        pending_days=request.business.pending_days,
    )
    # A quote promises what the bill comes to; the coupons for the next visit come with the purchase.
    given = {} if checkout.quoting else checkout.uses.use(decision, row)
    checkout.offers.note_visit(row.user_id, row.business_id, at)
    rules = accrual_rules(request=request, decision=decision, coupon=coupon, given=given, repaid=repaid)
    if coupon:
        checkout.coupons.redeem(coupon, transaction_id=key)
        checkout.triggers.redeemed(coupon, transaction_id=key, discount=settled.by_coupon.discount, at=at)
    if not checkout.quoting:
        rules += _tier_and_invitation(checkout, request, account, tier, settled, key, at)
    chain_rules, issued = checkout.triggers.fire(request, transaction_id=key, tier=tier, at=at)
    return rules + chain_rules, [*given.values(), *issued]


def _tier_and_invitation(
    checkout: "Checkout",
    request: PurchaseRequest,
    account: Account,
    tier: Tier,
    settled: Settled,
    transaction_id: UUID,
    at: datetime,
) -> list[dict[str, Any]]:
    rules = []
    risen = checkout.ledger.paid(account, settled.amount_paid, transaction_id=transaction_id, at=at)
    if risen:
        names = {"name": risen.name, "name_en": risen.name_en}
        rules.append(rule("tier_rise", applied=True, from_level=tier.level, level=risen.level, names=names))
    gift = checkout.referrals.reward(account, transaction_id=transaction_id, amount=request.amount, at=at)
    if gift:
        rules.append(rule("referral", applied=True, effect=gift))
    return rules
