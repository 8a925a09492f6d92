"""Addresses below `/reports/`."""

from django.urls import path
from django.views.generic import RedirectView

from sessions_app.reports import live, views

app_name = "reports"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="reports:sessions", query_string=True)),
    path("live/", live.live, name="live"),
    path("sessions/", views.sessions, name="sessions"),
    path("sessions/<int:pk>/", views.session, name="session"),
]
