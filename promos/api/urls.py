"""Tills' part of /api/v1/."""

from django.urls import path

from promos.api import coupons, crm, public, quotes, refunds, views

urlpatterns = [
    path("transactions", views.TransactionsView.as_view()),
    path("transactions/batch", views.BatchView.as_view()),
    path("transactions/<uuid:transaction_id>", views.TransactionView.as_view()),
    path("transactions/<uuid:transaction_id>/refunds", refunds.RefundsView.as_view()),
    path("refunds", refunds.ReceiptRefundsView.as_view()),
    path("quotes", quotes.QuotesView.as_view()),
    path("quotes/<uuid:quote_id>", quotes.QuoteView.as_view()),
    path("crm/<uuid:integration_id>/events", crm.CrmEventsView.as_view()),
    path("coupons/<str:code>", coupons.CouponView.as_view()),
    path("me/coupons", coupons.MyCouponsView.as_view()),
    path("offers", public.OffersView.as_view()),
    path("businesses", public.BusinessesView.as_view()),
    path("members/lookup", views.MemberLookupView.as_view()),
    path("members/presence-code", views.MemberPresenceCodeView.as_view()),
]
