"""Addresses below `/reports/`."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter

from customers.lengths import LARGEST_ID
from sessions_app.reports import (
    close_month,
    customer,
    customer_changes,
    customers,
    limit_figures,
    live,
    personal_data,
    replay,
    search,
    sessions,
    statement,
    statements,
    top_customers,
    trying,
    unknown_callers,
    upgrade_candidates,
)
from sessions_app.reports.overview import page as overview
from sessions_app.reports.webhook import page as webhook

app_name = "reports"


class IdConverter(IntConverter):
    """A row's id. Nothing is at the address of one that no database holds."""

    def to_python(self, value: str) -> int:
        if (number := super().to_python(value)) > LARGEST_ID:
            raise ValueError(value)
        return number


register_converter(IdConverter, "id")

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("callers/", overview.callers, name="callers"),
    path("customers/", customers.customers, name="customers"),
    path("customers/top/", top_customers.top_customers, name="top-customers"),
    path("customers/candidates/", upgrade_candidates.upgrade_candidates, name="upgrade-candidates"),
    path("customers/unknown/", unknown_callers.unknown_callers, name="unknown-callers"),
    path("customers/<id:pk>/", customer.customer, name="customer"),
    path("customers/limits/", limit_figures.limit_figures, name="limit-figures"),
    path("customers/<id:pk>/more/", customer_changes.more, name="allow-more"),
    path("customers/<id:pk>/top-up/", customer_changes.top_up, name="add-top-up"),
    path("customers/<id:pk>/tier/", customer_changes.tier, name="change-tier"),
    path("customers/<id:pk>/tier/<id:change>/cancel/", customer_changes.cancel_change, name="cancel-tier-change"),
    path("customers/<id:pk>/status/", customer_changes.status, name="change-status"),
    path("customers/<id:pk>/erase/", personal_data.erase, name="erase"),
    path("customers/<id:pk>/export/", personal_data.export, name="export-customer"),
    path("statements/", statements.statements_page, name="statements"),
    path("statements/close/", close_month.close, name="close-month"),
    path("statements/<id:pk>/<str:month>/", statement.statement_page, name="statement"),
    path("webhook/", webhook.webhook, name="webhook"),
    path("live/", live.live, name="live"),
    path("search/", search.search, name="search"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/<id:pk>/", sessions.session, name="session"),
    path("replays/<id:pk>/", replay.replay_page, name="replay"),
    path("replays/of/<id:pk>/", replay.ask, name="ask-for-replay"),
    path("try/", trying.try_page, name="try"),
    path("try/play/", trying.play, name="play"),
]
