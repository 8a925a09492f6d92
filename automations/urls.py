"""Pages of the admin that belong to no single model's list. They stand before the admin's own, under its address."""

from django.urls import path

from automations.admin import copies

app_name = "automations"

urlpatterns = [
    path("confirm-database/", copies.confirm, name="confirm-database"),
]
