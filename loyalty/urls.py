"""Members' pages."""

from django.urls import path
from django.views.i18n import set_language

from . import views, views_consents, views_sign_in

urlpatterns = [
    path("", views.home, name="member-home"),
    path("sign-in/", views_sign_in.sign_in, name="member-sign-in"),
    path("sign-in/code/", views_sign_in.sign_in_code, name="member-sign-in-code"),
    path("sign-out/", views_sign_in.sign_out, name="member-sign-out"),
    path("code/", views.code, name="member-code"),
    path("join/<str:code>/", views_sign_in.join, name="member-join"),
    path("tier/", views.tier, name="member-tier"),
    path("invite/", views.invite, name="member-invite"),
    path("history/", views.history, name="member-history"),
    path("purchases/<uuid:purchase_id>/", views.purchase, name="member-purchase"),
    path("coupons/", views.coupons, name="member-coupons"),
    path("consents/", views_consents.consents, name="member-consents"),
    path(
        "consents/<str:version>/<str:purpose>/<str:language>/",
        views_consents.consent_page,
        name="consent-text",
    ),
    path("offers/", views.offers, name="member-offers"),
    path("language/", set_language, name="set_language"),
]
