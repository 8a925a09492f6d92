"""LiveTok's requests as they came, and how often somebody knocked without a key."""

from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.pages import counted
from customers.history import moment_words
from customers.masking import shown_text
from sessions_app.admin.bodies import NO_BODIES, BodiesAdmin, body_or_none
from sessions_app.admin.lists import LongListAdmin
from sessions_app.models import RefusedRequests, WebhookEvent
from sessions_app.webhook.reception import process_again


@admin.register(WebhookEvent)
class WebhookEventAdmin(BodiesAdmin):
    list_display = [
        "received",
        "event_shown",
        "session_shown",
        "verdict_shown",
        "error_shown",
        "took",
        "key",
        "address",
    ]
    list_filter = ["verdict", "received_at", "is_test"]
    linked_lookups = ["received_at__gt", "processed_again_at__isnull"]
    ordering = ["-received_at", "-pk"]
    sortable_by = ("received",)
    search_fields = ["session_id"]
    search_help_text = "A whole session id."
    actions = ["process_events_again"]
    heavy_fields = ["body"]
    fields = [
        "received",
        "event_shown",
        "session_shown",
        "verdict_shown",
        "error_shown",
        "took",
        "key",
        "address",
        "route_shown",
        "is_test",
        "again",
        "body_hidden",
    ]
    with_bodies = {"body_hidden": "body_shown"}

    def found_by(self, term: str) -> Q:
        return Q(session_id=term)

    def has_process_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sessions_app.change_webhookevent")

    @admin.action(description="Process the selected rejected events again", permissions=["process"])
    def process_events_again(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> None:
        chosen = list(queryset.order_by("received_at", "pk"))
        rejected = [event for event in chosen if event.verdict == WebhookEvent.Verdict.REJECTED and event.body]
        results = [process_again(event) for event in rejected]
        again = [result for result in results if result.verdict == WebhookEvent.Verdict.REJECTED]
        taken = len(results) - len(again)
        if taken:
            self.message_user(request, f"{counted(taken, 'event')} processed.", messages.SUCCESS)
        for error in sorted({result.error for result in again}):
            count = sum(result.error == error for result in again)
            self.message_user(request, f"{counted(count, 'event')} rejected again: {error}", messages.WARNING)
        if left := len(chosen) - len(rejected):
            text = f"{counted(left, 'event')} left alone: only rejected ones with a body can be processed again."
            self.message_user(request, text, messages.WARNING)

    @admin.display(description="received", ordering="received_at")
    def received(self, event: WebhookEvent) -> str:
        return moment_words(event.received_at)

    @admin.display(description="verdict")
    def verdict_shown(self, event: WebhookEvent) -> SafeString:
        again = " and processed again" if event.processed_again_at else ""
        return format_html("{}{}<br>{}", event.get_verdict_display(), again, event.status)

    @admin.display(description="error")
    def error_shown(self, event: WebhookEvent) -> str:
        return shown_text(event.error) or "–"

    @admin.display(description="processed again")
    def again(self, event: WebhookEvent) -> str:
        return moment_words(event.processed_again_at) if event.processed_again_at else "No"

    @admin.display(description="event")
    def event_shown(self, event: WebhookEvent) -> str:
        return event.event or "not named"

    @admin.display(description="session")
    def session_shown(self, event: WebhookEvent) -> SafeString | str:
        if not event.session_id:
            return "–"
        url = reverse("admin:sessions_app_session_changelist")
        return format_html('<a href="{}?{}">{}</a>', url, urlencode({"q": event.session_id}), event.session_id)

    @admin.display(description="took")
    def took(self, event: WebhookEvent) -> str:
        return f"{event.took_ms:.1f} ms"

    @admin.display(description="address it came to")
    def route_shown(self, event: WebhookEvent) -> str:
        return "/webhooks/livetok" + (f"/{event.route}" if event.route else "")

    @admin.display(description="body")
    def body_hidden(self, event: WebhookEvent) -> str:
        return NO_BODIES

    @admin.display(description="body")
    def body_shown(self, event: WebhookEvent) -> SafeString | str:
        return body_or_none(event.body)


@admin.register(RefusedRequests)
class RefusedRequestsAdmin(LongListAdmin):
    list_display = ["hour", "count", "last_at", "last_address"]
    linked_lookups = ["hour__gt", "hour__lt"]
    fields = ["hour", "count", "last_at", "last_address"]
    ordering = ["-hour"]
