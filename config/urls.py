"""Frontdesk's site map."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from config.changes.page import changes
from config.doctor.page import health
from config.errors import bad_request, not_found, permission_denied, server_error
from config.health import healthz, readyz
from config.home.page import home
from config.metrics.view import metrics

handler400, handler403, handler404, handler500 = bad_request, permission_denied, not_found, server_error

urlpatterns = [
    re_path(r"^healthz/?$", healthz),
    re_path(r"^readyz/?$", readyz),
    re_path(r"^metrics/?$", metrics),
    path("", include("sessions_app.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    # At the admin's own start, and before it: `admin:index` leads there.
    path("admin/", home, name="home"),
    path("admin/automations/", include("automations.urls")),
    path("admin/", admin.site.urls),
    path("accounts/", include("config.sign_in.urls")),
    path("reports/health/", health, name="health"),
    path("reports/changes/", changes, name="changes"),
    path("reports/", include("sessions_app.reports.urls")),
    path("api/v1/", include("sessions_app.api.urls")),
    path("api/", include("customers.api.urls")),
]
