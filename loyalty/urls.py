"""Members' pages."""

from django.urls import path
from django.views.i18n import set_language

from . import views

urlpatterns = [
    path("", views.home, name="member-home"),
    path("sign-in/", views.sign_in, name="member-sign-in"),
    path("sign-in/code/", views.sign_in_code, name="member-sign-in-code"),
    path("sign-out/", views.sign_out, name="member-sign-out"),
    path("code/", views.code, name="member-code"),
    path("join/<str:code>/", views.join, name="member-join"),
    path("tier/", views.tier, name="member-tier"),
    path("invite/", views.invite, name="member-invite"),
    path("history/", views.history, name="member-history"),
    path("purchases/<uuid:purchase_id>/", views.purchase, name="member-purchase"),
    path("coupons/", views.coupons, name="member-coupons"),
    path("language/", set_language, name="set_language"),
]
