"""Addresses below `/reports/`."""

from django.urls import path

from sessions_app.reports import views

app_name = "reports"

urlpatterns = [
    path("", views.sessions, name="sessions"),
    path("sessions/<int:pk>/", views.session, name="session"),
]
