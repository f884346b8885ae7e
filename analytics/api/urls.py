"""Analytics' part of /api/v1/."""

from django.urls import path

from analytics.api import views

urlpatterns = [
    path("analytics/summary", views.SummaryView.as_view()),
    path("analytics/rfm", views.RfmView.as_view()),
    path("analytics/cohorts", views.CohortsView.as_view()),
    path("analytics/win-win", views.WinWinView.as_view()),
]
