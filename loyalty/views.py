"""Members' pages: parse, call, show."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from loyalty import selectors, statement
from loyalty.errors import (
    PresenceUnavailable,
)
from loyalty.invitations import friends, invitations, reward_terms
from loyalty.models import Member
from loyalty.qr import qr_svg
from loyalty.services import presence
from promos import selectors as promos
from promos.coupon_wording import coupon_card
from promos.offer_wording import OfferCard, offer_cards
from promos.rules import CouponState
from promos.wording import explained, explained_refund

RECENT_ITEMS = 5
NEWEST_COUPONS = 3
NEWEST_OFFERS = 3
RESEND_AFTER_SECONDS = 60
LONGEST_REFERRAL_CODE = 16


# --- The circle ------------------------------------------------------------------------------------


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect("member-sign-in")
    member, at = request.user, timezone.now()
    coupons = promos.wallet_coupons(member.pk, at=at, past=0).valid
    newest = sorted(coupons, key=lambda coupon: coupon.created_at, reverse=True)[:NEWEST_COUPONS]
    progress = selectors.tier_progress(member, at=at)
    context = {
        "code": _code_card(member, at=at),
        "wallet": selectors.wallet(member.pk, at=at),
        "progress": progress,
        # Whole per cent of the ring; the length of an arc is not a sum of money.
        "ring": int(progress.share * 100),
        "coupons": [coupon_card(coupon, at=at) for coupon in newest],
        "coupon_count": len(coupons),
        **_newest_offers(progress.tier.level, member, at=at),
        "recent": statement.history(member.pk, limit=RECENT_ITEMS).items,
        "today": timezone.localdate(at),
    }
    return render(request, "member/home.html", context)


@login_required
@require_safe
def tier(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    progress = selectors.tier_progress(request.user, at=at)
    context = {
        "progress": progress,
        "share": int(progress.share * 100),
        "history": selectors.tier_history(request.user.pk, progress.tiers),
        "today": timezone.localdate(at),
    }
    return render(request, "member/tier.html", context)


@login_required
@require_safe
def invite(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    brought = invitations(request.user, at=at)
    link = request.build_absolute_uri(resolve_url("member-join", code=brought.code))
    context = {
        "brought": brought,
        "friends": friends(request.user.pk, at=at),
        "terms": reward_terms(),
        "link": link,
        "code": f"{brought.code[:4]}-{brought.code[4:]}",
        "qr": qr_svg(link),
        "today": timezone.localdate(at),
    }
    return render(request, "member/invite.html", context)


@dataclass(frozen=True, slots=True)
class CodeCard:
    """What the member shows at a till: six digits in two groups, and the QR of them."""

    head: str
    tail: str
    qr: SafeString
    seconds_left: int
    lifetime_seconds: int
    expires_at: datetime


@never_cache
@require_safe
def code(request: HttpRequest) -> HttpResponse:
    """Show the code large; htmx asks for the card alone each time the code runs out."""
    partial = bool(request.htmx)  # type: ignore[attr-defined]
    if not request.user.is_authenticated:
        return HttpResponseClientRefresh() if partial else redirect_to_login(request.get_full_path())
    card = _code_card(request.user, at=timezone.now())
    template = "member/_code.html" if partial else "member/code.html"
    return render(request, template, {"code": card}, status=200 if card else 503)


def _code_card(member: Member, *, at: datetime) -> CodeCard | None:
    """Return None while the store of codes is away: the rest of a page works without it."""
    try:
        shown = presence.issue_code(member.pk, at=at)
    except PresenceUnavailable:
        return None
    return CodeCard(
        head=shown.code[:3],
        tail=shown.code[3:],
        qr=qr_svg(shown.qr),
        seconds_left=shown.seconds_left(at),
        lifetime_seconds=settings.PRESENCE_CODE_SECONDS,
        expires_at=shown.expires_at,
    )


@dataclass(frozen=True, slots=True)
class Day:
    date: date
    items: list[statement.HistoryItem]
    # The page before ended within this day, so its heading is already there.
    continued: bool = False


@login_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    after = _cursor(request.GET.get("after", ""))
    page = statement.history(request.user.pk, after=after)
    partial = bool(request.htmx)  # type: ignore[attr-defined]
    context = {
        "days": _by_day(page.items, shown=after.at if after and partial else None),
        "after": page.after,
        "today": timezone.localdate(),
        "first_page": after is None,
    }
    return render(request, "member/_history_days.html" if partial else "member/history.html", context)


def _cursor(text: str) -> statement.HistoryCursor | None:
    if not text:
        return None
    try:
        return statement.HistoryCursor.parse(text)
    except ValueError:
        raise Http404 from None


def _by_day(items: list[statement.HistoryItem], *, shown: datetime | None) -> list[Day]:
    days: list[Day] = []
    for item in items:
        day = timezone.localdate(item.at)
        if not days or days[-1].date != day:
            continued = shown is not None and not days and timezone.localdate(shown) == day
            days.append(Day(day, [], continued))
        days[-1].items.append(item)
    return days


@login_required
@require_safe
def purchase(request: HttpRequest, purchase_id: UUID) -> HttpResponse:
    details = statement.purchase_details(request.user.pk, purchase_id)
    if details is None:
        raise Http404
    at, bought = timezone.now(), details.purchase
    freed = (
        promos.valid_coupon(bought.coupon_id, at=at)
        if bought.coupon_id and details.is_refunded_whole
        else None
    )
    context: dict[str, Any] = {
        "details": details,
        "purchase": bought,
        "explained": explained(bought.explanation, business=bought.business.name, lines=bought.lines),
        "refunds": [explained_refund(refund, lines=bought.lines) for refund in details.refunds],
        "freed": coupon_card(freed, at=at) if freed else None,
        "coupons": [coupon_card(coupon, at=at) for coupon in promos.coupons_of_purchase(bought.pk)],
        "is_pending": details.available_from is not None and details.available_from > at,
        "today": timezone.localdate(at),
    }
    return render(request, "member/purchase.html", context)


@login_required
@require_safe
def coupons(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    wallet = promos.wallet_coupons(request.user.pk, at=at)
    cards = [coupon_card(coupon, at=at) for coupon in (*wallet.valid, *wallet.past)]
    context = {state.value: [card for card in cards if card.state == state] for state in CouponState}
    return render(request, "member/coupons.html", context)


@login_required
@require_safe
def offers(request: HttpRequest) -> HttpResponse:
    """What partners give beyond the tier, newest first; what is for other tiers stands last."""
    at, level = timezone.now(), request.user.status_tier.level
    cards = _offer_cards(level, request.user, at=at)
    context = {
        "fitting": [card for card in cards if not card.misfit],
        "others": [card for card in cards if card.misfit],
    }
    return render(request, "member/offers.html", context)


def _offer_cards(level: int, member: Member, *, at: datetime) -> list[OfferCard]:
    versions = promos.live_offers(at=at).order_by("-created_at", "-pk")
    return offer_cards(versions, tier=level, segment=promos.segment_of(member.pk), at=at)


def _newest_offers(level: int, member: Member, *, at: datetime) -> dict[str, Any]:
    fitting = [card for card in _offer_cards(level, member, at=at) if not card.misfit]
    return {"offers": fitting[:NEWEST_OFFERS], "offer_count": len(fitting)}
