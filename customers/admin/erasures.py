"""Erasing customers, and who was erased: when, by whom, and how far it is. That names nobody."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.pages import ReadOnlyAdmin
from customers.editing import is_erased
from customers.models import Customer, Erasure


class ErasingMixin(admin.ModelAdmin):
    """Customers can be erased, and then no longer be edited."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever was erased is not to come back by an edit."""
        return super().has_change_permission(request, obj) and (obj is None or not is_erased(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not is_erased(obj))

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.erase_customer")

    @admin.action(description="Erase all that is known of the selected customer…", permissions=["erase"])
    def erase(self, request: HttpRequest, queryset: QuerySet[Customer]) -> HttpResponseBase | None:
        chosen = list(queryset.values_list("pk", flat=True)[:2])
        if len(chosen) == 1:
            return HttpResponseRedirect(reverse("reports:erase", args=chosen))
        self.message_user(request, "Nothing was erased: choose one customer at a time.", messages.WARNING)
        return None


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    list_display = ["name", "requested_at", "by", "how_far", "finished_at"]
    fields = ["name", "usage", "requested_at", "by", "how_far", "finished_at"]
    readonly_fields = ["name", "usage", "how_far"]
    ordering = ["-requested_at"]

    @admin.display(description="customer")
    def name(self, erasure: Erasure) -> str:
        return str(erasure)

    @admin.display(description="what is left")
    def usage(self, erasure: Erasure) -> SafeString:
        address = reverse("reports:customer", args=[erasure.customer_id])
        return format_html('<a href="{}">sums and sessions</a>', address)

    @admin.display(description="sessions")
    def how_far(self, erasure: Erasure) -> str:
        return f"{erasure.sessions_erased:,} of {erasure.sessions:,}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Erasure]:
        return super().get_queryset(request).defer("traces")
