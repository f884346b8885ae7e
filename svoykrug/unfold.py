"""The admin's theme: name, colours and the menu, which offers only what the person may open."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.functional import lazy
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


_lazy_address = lazy(_address, str)


def _may_view(label: str) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        from django.apps import apps
        from django.contrib import admin

        page = admin.site._registry.get(apps.get_model(label))
        return bool(page and page.has_view_permission(request))

    return allowed


def _may_read_reports(name: str, *, programme_only: bool) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        from loyalty.staff import staff_scope

        scope = staff_scope(request.user)
        return scope.reports and (scope.is_programme or not programme_only) and bool(_address(name))

    return allowed


def _table(label: str, title: Any, icon: str) -> dict[str, Any]:
    link = _lazy_address(f"admin:{label.replace('.', '_').lower()}_changelist")
    return {"title": capfirst(title), "icon": icon, "link": link, "permission": _may_view(label)}


def _report(name: str, title: Any, icon: str, *, programme_only: bool = False) -> dict[str, Any]:
    return {
        "title": capfirst(title),
        "icon": icon,
        "link": _lazy_address(name),
        "permission": _may_read_reports(name, programme_only=programme_only),
    }


def _group(title: Any, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": list(items)}


# The theme ships no Russian: what is seen most is named here, so that our catalogue carries it.
THEME_WORDS = (
    gettext_noop("Welcome back to"),
    gettext_noop("Next"),
    gettext_noop("Previous"),
    gettext_noop("Select value"),
    gettext_noop("Select action"),
    gettext_noop("Light"),
    gettext_noop("Dark"),
    gettext_noop("System"),
    gettext_noop("True"),
    gettext_noop("False"),
    gettext_noop("Toggle password visibility"),
    gettext_noop("This page yielded into no results. Create a new item or reset your filters."),
    gettext_noop("Reset filters"),
    gettext_noop("No results found"),
    gettext_noop("No data"),
    gettext_noop("More actions"),
    gettext_noop("General"),
    gettext_noop("Apply Filters"),
    gettext_noop("Return to site"),
    gettext_noop("Select all rows"),
    gettext_noop("Select record"),
    gettext_noop("Cancel"),
    gettext_noop("Add row"),
    gettext_noop("Type to search"),
)

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Свой Круг",
    "SITE_HEADER": "Свой Круг",
    "SITE_SUBHEADER": _("for partners"),
    "SITE_URL": "/",
    "SITE_SYMBOL": "join",
    "ACCOUNT": {"navigation": [{"title": _("Second step"), "link": _lazy_address("second-factor-set-up")}]},
    "DASHBOARD_CALLBACK": "analytics.dashboard.dashboard_callback",
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {"action": _lazy_address("set_language")},
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("icons/favicon.svg")},
    ],
    "STYLES": [lambda request: static("admin-reports/without-script.css")],
    "COLORS": {
        # Warm greys of the paper, from the light theme's to the dark theme's.
        "base": {
            "50": "#FBF6EF",
            "100": "#F5EDE3",
            "200": "#E9DFD3",
            "300": "#D3C6B9",
            "400": "#B9A99D",
            "500": "#6A5D54",
            "600": "#574B43",
            "700": "#4A3D36",
            "800": "#3A2F2A",
            "900": "#231C19",
            "950": "#191412",
        },
        # Berry: 600 is the action on light, 400 and 500 on dark.
        "primary": {
            "50": "#FDF3F4",
            "100": "#F8E4E6",
            "200": "#F3CBD1",
            "300": "#F4A9B5",
            "400": "#F08A9B",
            "500": "#E0667C",
            "600": "#A8324A",
            "700": "#932A40",
            "800": "#7E2439",
            "900": "#5C1D2C",
            "950": "#3B2026",
        },
    },
    "LOGIN": {"form": "svoykrug.admin_login.PasswordForm"},
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {"title": None, "items": [_report("admin:index", _("Overview"), "monitoring")]},
            _group(
                _("Customers"),
                _table("loyalty.Member", _("Members"), "group"),
                _report("admin:reports_rfm", _("RFM map"), "grid_view"),
                _report("admin:reports_forecast", _("Who will come back"), "insights"),
                _report("admin:reports_cohorts", _("Cohorts"), "stairs_2"),
                _report("admin:reports_segments", _("Moves of segments"), "swap_horiz"),
                _table("loyalty.Transaction", _("Purchases"), "receipt_long"),
                _table("loyalty.ParkedRefund", _("Parked refunds"), "hourglass_empty"),
                _table("promos.Quote", _("Quotes"), "request_quote"),
            ),
            _group(
                _("Neighbours"),
                _report("admin:reports_win_win", _("Win-win map"), "handshake"),
                _table("promos.Offer", _("Offers"), "sell"),
                _table("promos.CrossPromoChain", _("Chains"), "link"),
                _table("promos.Coupon", _("Coupons"), "confirmation_number"),
                _table("promos.CouponCampaign", _("Coupon campaigns"), "campaign"),
                _table("events.Event", _("Events"), "event"),
            ),
            _group(
                _("Bonuses"),
                _report("admin:reports_liability", _("Bonuses held"), "account_balance_wallet"),
                _report("admin:reports_breakage", _("What becomes of bonuses"), "local_fire_department"),
                _table("loyalty.BonusLot", _("Lots"), "savings"),
                _table("loyalty.BonusEntry", _("Ledger entries"), "list_alt"),
                _table("loyalty.StatusTier", _("Tiers"), "stairs"),
                _table("loyalty.Referral", _("Invitations"), "person_add"),
            ),
            _group(
                _("Business"),
                _table("loyalty.Business", _("Businesses"), "storefront"),
                _table("loyalty.StaffMembership", _("Team"), "badge"),
                _table("loyalty.ImportJob", _("Imports"), "upload_file"),
            ),
            _group(
                _("Integration"),
                _table("loyalty.ApiKey", _("API keys"), "key"),
                _table("loyalty.WebhookEndpoint", _("Webhooks"), "webhook"),
                _table("loyalty.WebhookDelivery", _("Deliveries"), "outbox"),
                _table("loyalty.CrmIntegration", _("CRM and tills"), "cable"),
                _table("loyalty.CrmMessage", _("CRM messages"), "forum"),
            ),
            _group(
                _("Programme"),
                _table("loyalty.AuditLog", _("Changes"), "history"),
                _report("admin:reports_freshness", _("Freshness"), "update", programme_only=True),
                _table("analytics.SyncWindow", _("Sync windows"), "sync"),
                _table("analytics.Reconciliation", _("Reconciliations"), "fact_check"),
                _table("analytics.RfmRun", _("RFM snapshots"), "photo_camera"),
                _table("analytics.ForecastRun", _("Forecasts"), "query_stats"),
                _table("django_celery_beat.PeriodicTask", _("Schedule"), "schedule"),
                _table("django_celery_beat.CrontabSchedule", _("Times of day"), "calendar_month"),
                _table("django_celery_beat.IntervalSchedule", _("Intervals"), "timer"),
            ),
        ],
    },
}
