"""Members come in: the phone, the code sent to it, and who is new agrees before joining."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from loyalty.backends import PHONE_CODE
from loyalty.consent_texts import CURRENT
from loyalty.errors import (
    CodeNotDelivered,
    CodeRefused,
    CodesUnavailable,
    ConsentRequired,
    TooManyRequests,
)
from loyalty.forms import CodeForm, JoinForm, PhoneForm
from loyalty.invitations import find_inviter, normalise_code, reward_terms
from loyalty.phones import readable_phone
from loyalty.services import otp
from svoykrug.middleware import client_address

RESEND_AFTER_SECONDS = 60
LONGEST_REFERRAL_CODE = 16


@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for the phone and send a code to it; also sends the code again."""
    if request.user.is_authenticated:
        return redirect("member-home")
    form = PhoneForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        phone, at = form.cleaned_data["phone"], timezone.now()
        try:
            otp.request_code(phone, ip=client_address(request), at=at)
        except (TooManyRequests, CodesUnavailable, CodeNotDelivered) as refusal:
            form.add_error(None, _sending_refused(refusal))
            status = refusal.status
        else:
            request.session["sign_in"] = {
                "phone": phone, "sent_at": at.timestamp(), "next": _next(request), "ref": _ref(request),
            }  # fmt: skip
            return redirect("member-sign-in-code")
    context = {"form": form, "next": _next(request), **_invitation(_ref(request))}
    return render(request, "member/sign_in.html", context, status=status)


@never_cache
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """Take the code from the phone and let the member in; a newcomer is asked for consents first.

    That form carries the code along: it is not spent before somebody joins, and never stored.
    """
    started = request.session.get("sign_in")
    if not started:
        return redirect("member-sign-in")
    joining = "joining" in request.POST
    form = (JoinForm if joining else CodeForm)(request.POST or None)
    at, status = timezone.now(), 200
    if request.method == "POST" and form.is_valid():
        try:
            member, _new = otp.verify_code(
                started["phone"],
                form.cleaned_data["code"],
                ip=client_address(request),
                at=at,
                referral_code=started.get("ref"),
                consents=form.choice() if joining else None,
            )
        except ConsentRequired:
            joining, form = True, JoinForm(initial={"code": form.cleaned_data["code"]})
        except CodeRefused:
            joining, form = False, CodeForm(request.POST)
            form.add_error("code", _("The code did not fit. Check the digits or ask for a new one."))
        except (TooManyRequests, CodesUnavailable) as refusal:
            form.add_error(None, _sending_refused(refusal))
            status = refusal.status
        else:
            del request.session["sign_in"]
            login(request, member, backend=PHONE_CODE)
            return redirect(started["next"] or "member-home")
    wait = round(started["sent_at"] + RESEND_AFTER_SECONDS - at.timestamp())
    context = {
        "form": form,
        "phone": readable_phone(started["phone"]),
        "next": started["next"],
        "wait_seconds": max(wait, 0),
        "version": CURRENT,
        **_invitation(started.get("ref", "")),
    }
    template = "member/join.html" if joining else "member/sign_in_code.html"
    return render(request, template, context, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("member-sign-in")


def _next(request: HttpRequest) -> str:
    """Return where the member was going, if that is a page of ours."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe and target != resolve_url("member-home") else ""


@never_cache
@require_safe
def join(_request: HttpRequest, code: str) -> HttpResponse:
    """Lead whoever opens an invitation to sign-in, which keeps its code; members go home from there."""
    return redirect(f"{resolve_url('member-sign-in')}?{urlencode({'ref': normalise_code(code)})}")


def _ref(request: HttpRequest) -> str:
    """Return the invitation the visitor came by, which every step hands to the next."""
    started = request.session.get("sign_in", {})
    code = request.POST.get("ref") or request.GET.get("ref") or started.get("ref", "")
    return normalise_code(code)[:LONGEST_REFERRAL_CODE]


def _invitation(ref: str) -> dict[str, Any]:
    """Return what the pages of sign-in say about an invitation; nothing without one."""
    return {"ref": ref, "inviter": find_inviter(ref), "terms": reward_terms()} if ref else {}


def _sending_refused(refusal: TooManyRequests | CodesUnavailable | CodeNotDelivered) -> str:
    if isinstance(refusal, TooManyRequests):
        minutes = -(-refusal.retry_after // 60)
        return ngettext(
            "There were too many tries. Try again in %(minutes)d minute.",
            "There were too many tries. Try again in %(minutes)d minutes.",
            minutes,
        ) % {"minutes": minutes}
    return _("We cannot send a code right now. Try again in a minute.")
