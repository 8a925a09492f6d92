"""Channels and agents. LiveTok names them, so nobody adds or deletes one."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from customers.admin.pages import FoldedSearchAdmin, HistoryAdmin, ReadOnlyAdmin
from customers.models import Agent, Channel


@admin.register(Channel)
class ChannelAdmin(FoldedSearchAdmin, HistoryAdmin):
    list_display = ["slug", "label", "counts_toward_call_minutes", "longest_session"]
    list_filter = ["counts_toward_call_minutes"]
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ["slug", "label"]
    readonly_fields = ["slug"]
    fields = ["slug", "label", "counts_toward_call_minutes", "longest_session_minutes"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="longest session", ordering="longest_session_minutes")
    def longest_session(self, channel: Channel) -> str:
        hours, minutes = divmod(channel.longest_session_minutes, 60)
        return " ".join(f"{amount} {unit}" for amount, unit in ((hours, "h"), (minutes, "min")) if amount)


@admin.register(Agent)
class AgentAdmin(FoldedSearchAdmin, ReadOnlyAdmin):
    list_display = ["name_or_id", "livetok_id"]
    search_fields = ["name", "livetok_id"]
    fields = ["livetok_id", "name"]

    @admin.display(description="name", ordering="name")
    def name_or_id(self, agent: Agent) -> str:
        return str(agent)
