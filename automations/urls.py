"""Pages of the admin that belong to no single model's list. They stand before the admin's own, under its address."""

from django.urls import path

from automations.admin import copies, exchange

app_name = "automations"

urlpatterns = [
    path("confirm-database/", copies.confirm, name="confirm-database"),
    path("export/", exchange.export_rules, name="export"),
    path("import/", exchange.import_rules, name="import"),
]
