"""Members' consents: see them, give and withdraw them, read the texts."""

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from loyalty.consent_texts import CURRENT, consent_text
from loyalty.forms import AdvertisingForm, PartnerForm, partners
from loyalty.models import Business, Consent
from loyalty.services.consents import (
    CHANNELS,
    PROCESSING,
    Choice,
    Subject,
    advertising,
    allows,
    decide,
    decisions,
    handover,
    stop_advertising,
)
from svoykrug.middleware import client_address

_JOINING = Choice(granted=frozenset([PROCESSING]))


@dataclass(frozen=True, slots=True)
class PartnerCard:
    """One partner with what was decided about it."""

    partner: Business
    form: PartnerForm
    is_open: bool


@never_cache
@login_required
def consents(request: HttpRequest) -> HttpResponse:
    """Show what the member decided; a form for the circle and one for each partner."""
    spoken = request.GET.get("partner", "")
    form: AdvertisingForm | PartnerForm | None = None
    if request.method == "POST":
        if "agree" in request.POST:
            decide(_JOINING, member_id=request.user.pk, **_circumstances(request))
            messages.success(request, _("Thank you. Saved."))
            return redirect("member-consents")
        form = PartnerForm(request.POST) if "partner" in request.POST else AdvertisingForm(request.POST)
        if "stop" in request.POST:
            stop_advertising(member_id=request.user.pk, **_circumstances(request))
            messages.success(request, _("Done: no advertising from anybody any more."))
            return redirect("member-consents")
        if form.is_valid():
            decide(form.choice(), member_id=request.user.pk, **_circumstances(request))
            messages.success(request, _("Saved, and it holds from now on."))
            return redirect("member-consents")
        spoken = ""
    rows = decisions(request.user.pk)
    said = {subject: row.granted for subject, row in rows.items()}
    context = {
        "form": AdvertisingForm(initial={"channels": [c for c in CHANNELS if allows(said, advertising(c))]}),
        "cards": _cards(said, spoken),
        "spoken": spoken,
        "others": _others(said, spoken),
        "any_advertising": any(row.granted for s, row in rows.items() if s.purpose == "advertising"),
        "processing": rows.get(PROCESSING),
        "refused": form is not None,
        "today": timezone.localdate(),
        "version": CURRENT,
    }
    return render(request, "member/consents.html", context, status=400 if form is not None else 200)


def _circumstances(request: HttpRequest) -> dict[str, object]:
    return {"language": get_language() or "ru", "ip": client_address(request), "at": timezone.now()}


def _cards(said: dict[Subject, bool], spoken: str) -> list[PartnerCard]:
    """Return the partners the member spoke of, and the one chosen just now, open."""
    known = Business.objects.filter(pk__in=[subject.partner_id for subject in said if subject.partner_id])
    chosen = partners().filter(code=spoken)
    return [
        PartnerCard(
            partner=partner,
            form=PartnerForm(
                auto_id=f"id_{partner.code}_%s",
                initial={
                    "partner": partner.code,
                    "channels": [c for c in CHANNELS if allows(said, advertising(c, partner.pk))],
                    "handover": allows(said, handover(partner.pk)),
                },
            ),
            is_open=partner.code == spoken,
        )
        for partner in (known | chosen).distinct().order_by("name")
    ]


def _others(said: dict[Subject, bool], spoken: str) -> list[Business]:
    """Return the partners that have no card yet."""
    shown = {subject.partner_id for subject in said}
    return [one for one in partners() if one.pk not in shown and one.code != spoken]


@require_safe
def consent_page(request: HttpRequest, version: str, purpose: str, language: str) -> HttpResponse:
    """Show a published text as it was, to anybody."""
    try:
        text = consent_text(purpose, language, version)
    except KeyError:
        raise Http404 from None
    if text.language != language:
        raise Http404
    title = {
        Consent.Purpose.PROCESSING: _("Processing of personal data"),
        Consent.Purpose.ADVERTISING: _("Advertising messages"),
        Consent.Purpose.HANDOVER: _("Sharing data with a partner"),
    }[Consent.Purpose(purpose)]
    return render(request, "member/consent_text.html", {"text": text, "title": title})
