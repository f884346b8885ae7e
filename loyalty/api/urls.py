"""Members' part of /api/v1/."""

from django.urls import path

from loyalty.api import views, webhooks

urlpatterns = [
    path("auth/otp", views.OtpView.as_view()),
    path("auth/token", views.TokenView.as_view()),
    path("auth/token/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.LogoutView.as_view()),
    path("auth/sessions", views.DevicesView.as_view()),
    path("auth/sessions/<uuid:device_id>", views.DeviceView.as_view()),
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
