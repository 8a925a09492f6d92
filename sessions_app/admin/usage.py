"""What customers used, day by day."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from customers.models import Customer
from customers.search.finding import named
from sessions_app.admin.lists import LongListAdmin
from sessions_app.models import DailyUsage
from sessions_app.wording import duration_words


@admin.register(DailyUsage)
class DailyUsageAdmin(LongListAdmin):
    list_display = ["customer", "day", "channel_shown", "agent_shown", "sessions", "time", "call_time"]
    list_select_related = ["customer"]
    list_filter = ["day"]
    ordering = ["-pk"]
    sortable_by = ()
    search_fields = ["customer__external_id"]
    search_help_text = "Any words of the customer's name, external id or email, or digits of a number."
    fields = ["customer", "day", "channel_shown", "agent_shown", "sessions", "time", "call_time"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DailyUsage]:
        return super().get_queryset(request).prefetch_related("customer__numbers")

    def found_by(self, term: str) -> Q:
        return Q(customer__in=Customer.objects.filter(named(term)))

    @admin.display(description="channel")
    def channel_shown(self, usage: DailyUsage) -> str:
        return usage.channel or "none"

    @admin.display(description="agent")
    def agent_shown(self, usage: DailyUsage) -> str:
        return usage.agent or "none"

    @admin.display(description="time")
    def time(self, usage: DailyUsage) -> str:
        return duration_words(usage.seconds)

    @admin.display(description="call minutes")
    def call_time(self, usage: DailyUsage) -> str:
        return duration_words(usage.call_seconds)
