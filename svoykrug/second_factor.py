"""The admin's second step: the code of an authenticator after the password."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME, update_session_auth_hash
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextInputWidget

from loyalty.models import Member
from loyalty.qr import qr_svg
from loyalty.services.second_factor import enrol, let_in, secret_to_enrol
from loyalty.totp import enrolment_address, in_base32
from svoykrug.errors import DomainError

# In the session: the second factor that was shown, so that a new one asks again.
PASSED = "second_factor"
ISSUER = "Свой Круг"
START = "/admin/second-factor/"
# Pages of the admin that lead in or out.
OPEN = ("/admin/login/", "/admin/logout/", "/admin/jsi18n/", START)


def second_factor_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Show nothing of the admin before the second step, to whom one is enrolled or demanded of."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/admin/") and not request.path_info.startswith(OPEN):
            user: Any = request.user
            if user.is_authenticated and user.is_staff and (step := missing_step(request, user)):
                return redirect_to_login(request.get_full_path(), reverse(step))
        return get_response(request)

    return middleware


def missing_step(request: HttpRequest, member: Member) -> str | None:
    """Return the name of the page that this person has to pass first."""
    if member.second_factor_at is None:
        return "second-factor-set-up" if settings.STAFF_SECOND_FACTOR_REQUIRED else None
    return None if request.session.get(PASSED) == member.second_factor_at.isoformat() else "second-factor"


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}
        ),
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def challenge(request: HttpRequest) -> HttpResponse:
    """Ask for the code, or for a recovery code, and go on where the person wanted to."""
    member: Any = request.user
    if not (member.is_authenticated and member.is_staff):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    if missing_step(request, member) != "second-factor":
        return HttpResponseRedirect(_next(request))
    form = CodeForm(request.POST or None)
    if form.is_valid():
        try:
            let_in(member, form.cleaned_data["code"], at=timezone.now())
        except DomainError as refusal:
            form.add_error("code", refusal.detail)
        else:
            # As after a password: what was known before the step opens nothing after it.
            request.session.cycle_key()
            request.session[PASSED] = member.second_factor_at.isoformat()
            return HttpResponseRedirect(_next(request))
    return _page(request, "admin/second_factor.html", _("Second step"), form=form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """Show the QR to put into an authenticator; with its first code it counts."""
    member: Any = request.user
    if not (member.is_authenticated and member.is_staff):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    if member.second_factor_at:
        return _page(request, "admin/second_factor_enrolled.html", _("Second step"), member=member)
    secret = secret_to_enrol(member)
    form = CodeForm(request.POST or None)
    if form.is_valid():
        try:
            codes = enrol(member, form.cleaned_data["code"], at=timezone.now())
        except DomainError as refusal:
            form.add_error("code", refusal.detail)
        else:
            update_session_auth_hash(request, member)
            request.session[PASSED] = member.second_factor_at.isoformat()
            title = _("Recovery codes")
            return _page(request, "admin/second_factor_codes.html", title, codes=codes, onward=_next(request))
    address = enrolment_address(secret, account=member.phone or str(member.pk), issuer=ISSUER)
    return _page(
        request,
        "admin/second_factor_set_up.html",
        _("Set up the second step"),
        form=form,
        qr=qr_svg(address, border=2),
        secret=_in_fours(in_base32(secret)),
        required=settings.STAFF_SECOND_FACTOR_REQUIRED,
    )


def _page(request: HttpRequest, template: str, title: Any, **more: Any) -> HttpResponse:
    onward = {"next": _next(request), "redirect_field": REDIRECT_FIELD_NAME}
    context = {**admin.site.each_context(request), "title": title, **onward, **more}
    return render(request, template, context)


def _next(request: HttpRequest) -> str:
    asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
    safe = url_has_allowed_host_and_scheme(
        asked, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return asked if safe else reverse("admin:index")


def _in_fours(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


urlpatterns = [
    path("", challenge, name="second-factor"),
    path("set-up/", set_up, name="second-factor-set-up"),
]
