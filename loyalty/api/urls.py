"""Members' part of /api/v1/."""

from django.urls import path

from loyalty.api import auth, views, webhooks

urlpatterns = [
    path("auth/otp", auth.OtpView.as_view()),
    path("auth/token", auth.TokenView.as_view()),
    path("auth/token/refresh", auth.RefreshView.as_view()),
    path("auth/logout", auth.LogoutView.as_view()),
    path("auth/sessions", auth.DevicesView.as_view()),
    path("auth/sessions/<uuid:device_id>", auth.DeviceView.as_view()),
    path("me", views.MeView.as_view()),
    path("me/balance", views.BalanceView.as_view()),
    path("me/code", views.CodeView.as_view()),
    path("me/tier", views.TierView.as_view()),
    path("me/referral", views.ReferralView.as_view()),
    path("me/consents", views.ConsentsView.as_view()),
    path("me/entries", views.EntriesView.as_view()),
    path("webhook-endpoints", webhooks.EndpointsView.as_view()),
    path("webhook-endpoints/<uuid:endpoint_id>", webhooks.EndpointView.as_view()),
    path("webhook-deliveries", webhooks.DeliveriesView.as_view()),
    path("webhook-deliveries/<uuid:delivery_id>/redeliver", webhooks.RedeliverView.as_view()),
    path("me/transactions", views.MyTransactionsView.as_view()),
]
