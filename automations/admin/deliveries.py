"""Deliveries as staff see them: what was sent, what was answered, and sending it again."""

import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from automations.admin.again import SendAgainMixin
from automations.deliveries.copies import is_copy
from automations.facts import destination_page, rule_page
from automations.models import Action, Attempt, Delivery, Destination, Firing, Rule
from automations.wording import (
    IN_A_COPY,
    NOT_FILLED_IN,
    STATE_KINDS,
    STATE_SENTENCES,
    STATES,
    kept_link,
    status_words,
    without_secrets,
)
from customers.admin.pages import counted
from customers.history import moment_words
from customers.masking import shown_text
from sessions_app.admin.bodies import BodiesAdmin, body_or_none

MOST_ATTEMPTS = 100
NO_BODIES = (
    "You may not see what deliveries say. The permissions are “Can see what deliveries say” and “Can see numbers and "
    "e-mail addresses”: you need both."
)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in STATES else queryset


class RuleFilter(admin.SimpleListFilter):
    """Digests have an action and no firing; what a rule did by an action that is gone has a firing alone."""

    title = "rule"
    parameter_name = "rule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Rule.objects.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None or value not in {choice for choice, _ in self.lookup_choices}:
            return queryset
        of_rule = {"rule": int(value)}
        return queryset.filter(
            Q(action__in=Action.objects.filter(**of_rule)) | Q(firing__in=Firing.objects.filter(**of_rule))
        )


@admin.register(Delivery)
class DeliveryAdmin(SendAgainMixin, BodiesAdmin):
    list_display = ["made", "state_shown", "destination_name", "rule_name", "session_link"]
    list_display_links = ["made"]
    list_filter = [StateFilter, ("destination", admin.RelatedFieldListFilter), RuleFilter, "is_test"]
    list_select_related = ["destination", "firing__rule", "action__rule", "session"]
    ordering = ["-pk"]
    sortable_by = ()
    search_fields = ["key"]
    search_help_text = "A whole session id, or a delivery's whole key."
    heavy_fields = ["body"]
    see_bodies = "automations.view_bodies"
    change_form_template = "admin/automations/delivery/change_form.html"
    object_history_template = "admin/automations/delivery/history.html"
    fieldsets = [
        (None, {"fields": ["state_in_words", "attempts_table", "kept", "rule_link", "session_link", "made"]}),
        (
            "What is sent",
            {
                "fields": [
                    "destination_link",
                    "request_line",
                    "headers",
                    "recipient_shown",
                    "subject_shown",
                    "key",
                    "body_hidden",
                ],
                "description": "Address and headers are the destination's, as they are now. Secrets are shown nowhere.",
            },
        ),
    ]
    with_bodies = {"body_hidden": "body_shown"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        attempts = Attempt.objects.filter(delivery=OuterRef("pk")).order_by().values("delivery")
        return (
            super()
            .get_queryset(request)
            .select_related(*self.list_select_related)
            .annotate(
                attempts_count=Subquery(attempts.annotate(count=Count("pk")).values("count")),
                in_a_copy=Value(is_copy()),
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what its kind of destination, or the delivery itself, does not have."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        is_mail = obj.destination.kind == Destination.Kind.EMAIL
        absent = {"request_line", "headers"} if is_mail else {"recipient_shown", "subject_shown"}
        absent |= set() if obj.kept_value else {"kept"}
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in absent]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def found_by(self, term: str) -> Q:
        try:
            return Q(key=uuid.UUID(term)) | Q(session__session_id=term)
        except ValueError:
            return Q(session__session_id=term)

    # What columns and fields show

    @admin.display(description="made")
    def made(self, delivery: Delivery) -> str:
        return moment_words(delivery.created_at)

    @admin.display(description="destination")
    def destination_name(self, delivery: Delivery) -> SafeString | str:
        name = delivery.destination.name
        if delivery.destination.paused_at and delivery.finished_at is None:
            return format_html('{} <span class="state missing_end">paused</span>', name)
        return name

    @admin.display(description="rule")
    def rule_name(self, delivery: Delivery) -> str:
        rule = _rule_of(delivery)
        return rule.name if rule else "–"

    @admin.display(description="session")
    def session_link(self, delivery: Delivery) -> SafeString | str:
        if delivery.session is None:
            return "–"
        return format_html(
            '<a href="{}">{}</a>', reverse("reports:session", args=[delivery.session_id]), delivery.session
        )

    @admin.display(description="state")
    def state_shown(self, delivery: Delivery) -> SafeString:
        """With what was kept of the answer, and with how far it has come."""
        kind, words = STATE_KINDS.get(delivery.state, ""), STATES[delivery.state]
        kept = kept_link(delivery.kept_value, delivery.kept_link) if delivery.kept_value else ""
        far = capfirst(", ".join(_how_far(delivery)))
        return format_html(
            '<span class="state {}">{}</span> {}<span class="quiet far">{}</span>', kind, words, kept, far
        )

    @admin.display(description="kept")
    def kept(self, delivery: Delivery) -> SafeString | str:
        return kept_link(delivery.kept_value, delivery.kept_link)

    @admin.display(description="state")
    def state_in_words(self, delivery: Delivery) -> SafeString:
        context = {
            "delivery": delivery,
            "words": STATES[delivery.state],
            "kind": STATE_KINDS.get(delivery.state, ""),
            "sentence": NOT_FILLED_IN if delivery.is_unfilled else STATE_SENTENCES[delivery.state],
            "in_a_copy": IN_A_COPY if delivery.finished_at is None and is_copy() else "",
            "destination": delivery.destination,
            "destination_page": destination_page(delivery.destination_id),
        }
        return SafeString(render_to_string("admin/automations/delivery/state.html", context))

    @admin.display(description="rule")
    def rule_link(self, delivery: Delivery) -> SafeString | str:
        rule = _rule_of(delivery)
        return format_html('<a href="{}">{}</a>', rule_page(rule.pk), rule.name) if rule else "–"

    @admin.display(description="destination")
    def destination_link(self, delivery: Delivery) -> SafeString:
        to = delivery.destination
        return format_html('<a href="{}">{}</a> ({})', destination_page(to.pk), to.name, to.get_kind_display())

    @admin.display(description="request")
    def request_line(self, delivery: Delivery) -> SafeString:
        if delivery.is_unfilled:
            return SafeString("none")
        address = without_secrets(delivery.destination.address) + shown_text(delivery.path)
        return format_html("<code>{} {}</code>", delivery.method or "–", address)

    @admin.display(description="headers")
    def headers(self, delivery: Delivery) -> SafeString:
        if delivery.is_unfilled:
            return SafeString("none")
        own = without_secrets(delivery.destination.headers).strip()
        names = "Idempotency-Key and webhook-id: the key below"
        signed = ", webhook-timestamp and webhook-signature" if delivery.destination.is_signed else ""
        shown = format_html('<pre class="body" tabindex="0">{}</pre>', own) if own else SafeString("")
        return format_html('{}<span class="quiet">{}{}. Frontdesk sets them itself.</span>', shown, names, signed)

    @admin.display(description="to")
    def recipient_shown(self, delivery: Delivery) -> str:
        if delivery.reached and delivery.state != Delivery.State.DELIVERED:
            taken = shown_text(delivery.reached)
            return f"{shown_text(delivery.recipient)} (taken for {taken}, who will not get it again)"
        return shown_text(delivery.recipient) or "–"

    @admin.display(description="subject")
    def subject_shown(self, delivery: Delivery) -> str:
        return shown_text(delivery.subject) or "–"

    @admin.display(description="body")
    def body_hidden(self, delivery: Delivery) -> str:
        return NO_BODIES

    @admin.display(description="body")
    def body_shown(self, delivery: Delivery) -> SafeString | str:
        return "none" if delivery.is_unfilled else body_or_none(bytes(delivery.body))

    @admin.display(description="attempts")
    def attempts_table(self, delivery: Delivery) -> SafeString:
        attempts = Attempt.objects.filter(delivery=delivery).order_by(F("pk").desc())[:MOST_ATTEMPTS]
        lines = [
            (attempt, status_words(attempt.status), shown_text(attempt.error), shown_text(attempt.answer))
            for attempt in attempts
        ]
        return SafeString(render_to_string("admin/automations/delivery/attempts.html", {"lines": lines}))


def _how_far(delivery: Any) -> Iterator[str]:
    """Parts of a sentence. Attempts are all that its page shows, those before it was sent again included."""
    if delivery.is_test:
        yield "a test"
    attempts = delivery.attempts_count or 0
    if attempts > 1 or (attempts and delivery.finished_at is None):
        yield counted(attempts, "attempt")
    if delivery.state == Delivery.State.WAITING:
        yield f"next {_next_attempt(delivery)}"


def _next_attempt(delivery: Any) -> str:
    if delivery.in_a_copy:
        return "when this database is confirmed"
    if delivery.destination.paused_at is not None:
        return "when the destination is resumed"
    return moment_words(delivery.next_attempt_at)


def _rule_of(delivery: Delivery) -> Rule | None:
    if delivery.firing is not None:
        return delivery.firing.rule
    return delivery.action.rule if delivery.action is not None else None
