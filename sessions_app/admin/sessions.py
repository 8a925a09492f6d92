"""Sessions as staff see them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from customers.admin.pages import MOST_COUNTED, counted
from customers.history import moment_words
from customers.masking import shown_number
from sessions_app.admin.bodies import NO_BODIES, BodiesAdmin, body_or_none, shown_json
from sessions_app.decision.rules import Reason
from sessions_app.models import LONG_FIELDS, Session
from sessions_app.recording.by_staff import declare_missing
from sessions_app.reports.list.search import search
from sessions_app.wording import (
    STATES,
    duration_words,
    flag_sentence,
    reason_sentence,
    reason_words,
    state_words,
    trace_words,
    with_agents_name,
)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        return queryset.in_state(state, timezone.now()) if state in STATES else queryset  # type: ignore[attr-defined]


class ReasonFilter(admin.SimpleListFilter):
    title = "decision"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, reason_words(reason)) for reason in Reason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(Session)
class SessionAdmin(BodiesAdmin):
    list_display = [
        "session_id_shown",
        "started",
        "caller_shown",
        "state",
        "reason_shown",
        "duration",
        "channel",
        "agent",
        "flags_shown",
    ]
    list_filter = [
        StateFilter,
        ReasonFilter,
        "started_at",
        ("channel", admin.RelatedOnlyFieldListFilter),
        ("tier", admin.RelatedOnlyFieldListFilter),
        "is_test",
    ]
    list_select_related = ["customer", "channel", "agent"]
    ordering = ["-started_at", "-id"]
    sortable_by = ("started",)
    search_fields = ["session_id"]
    search_help_text = (
        "A whole session id, the first or last digits of a number, or any words of the customer's name, external id or "
        f"email. Counts and pages end at {MOST_COUNTED:,}: filter for older ones."
    )
    actions = ["declare_end_missing"]
    heavy_fields = list(LONG_FIELDS)
    fieldsets = [
        (None, {"fields": ["session_id_shown", "state_in_words", "flags_in_words"]}),
        (
            "Who and where",
            {"fields": ["customer_link", "number_shown", "external_id", "channel", "agent", "tier", "traffic"]},
        ),
        ("Decision", {"fields": ["decision_in_words", "trace_table", "answer_sent"]}),
        (
            "When",
            {
                "fields": [
                    "started",
                    "ended",
                    "duration",
                    "clock",
                    "counts_as_open_until",
                    "declared_missing",
                    "time_zone",
                    "counts_toward_call_minutes",
                ]
            },
        ),
        ("Ends that do not count", {"fields": ["ends_without_bodies"]}),
        ("Raw bodies", {"fields": ["begin_body_hidden", "end_body_hidden"], "classes": ["collapse"]}),
    ]
    with_bodies = {
        "ends_without_bodies": "ends_with_bodies",
        "begin_body_hidden": "begin_body_shown",
        "end_body_hidden": "end_body_shown",
    }

    def found_by(self, term: str) -> Q:
        return search(term, Session.objects.all()).condition

    def has_declare_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sessions_app.change_session")

    @admin.action(description="Declare the end of the selected sessions missing", permissions=["declare"])
    def declare_end_missing(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True))
        declared = declare_missing(chosen, request.user)  # type: ignore[arg-type]
        text = f"{counted(declared, 'session')} declared to miss the end: open no more, and charging no minutes."
        self.message_user(request, text, messages.SUCCESS if declared else messages.WARNING)
        if declared < len(chosen):
            left = counted(len(chosen) - declared, "session")
            self.message_user(request, f"{left} not open, so left as before.", messages.WARNING)

    # What columns and fields show

    @admin.display(description="session", ordering="session_id")
    def session_id_shown(self, session: Session) -> str:
        return str(session)

    @admin.display(description="started", ordering="started_at")
    def started(self, session: Session) -> str:
        return moment_words(session.started_at)

    @admin.display(description="ended")
    def ended(self, session: Session) -> str:
        return moment_words(session.ended_at) if session.ended_at else "–"

    @admin.display(description="counts as open until")
    def counts_as_open_until(self, session: Session) -> str:
        if session.open_until is None:
            return "–"
        return f"{moment_words(session.open_until)}, if no end comes"

    @admin.display(description="traffic")
    def traffic(self, session: Session) -> str:
        return "test: counts nothing" if session.is_test else "live"

    @admin.display(description="caller")
    def caller_shown(self, session: Session) -> str:
        if session.customer is not None:
            customer = session.customer
            return customer.name or customer.external_id or shown_number(session.number_received) or str(customer)
        return shown_number(session.number_received) or session.external_id or "withheld"

    @admin.display(description="number received")
    def number_shown(self, session: Session) -> str:
        return shown_number(session.number_received) or "–"

    @admin.display(description="customer")
    def customer_link(self, session: Session) -> SafeString | str:
        if session.customer is None:
            return "None of our customers"
        url = reverse("admin:customers_customer_change", args=[session.customer_id])
        return format_html('<a href="{}">{}</a>', url, session.customer)

    @admin.display(description="state")
    def state(self, session: Session) -> SafeString:
        state = session.state_at(timezone.now())
        return format_html('<span class="state {}">{}</span>', state, state_words(state))

    @admin.display(description="state")
    def state_in_words(self, session: Session) -> SafeString:
        return self.state(session)

    @admin.display(description="decision", ordering="reason")
    def reason_shown(self, session: Session) -> str:
        return reason_words(session.reason)

    @admin.display(description="duration", ordering="duration_seconds")
    def duration(self, session: Session) -> str:
        return duration_words(session.duration_seconds)

    @admin.display(description="odd")
    def flags_shown(self, session: Session) -> str:
        return ", ".join(flag.replace("_", " ") for flag in session.flag_list) or "–"

    @admin.display(description="what is odd")
    def flags_in_words(self, session: Session) -> SafeString | str:
        if not session.flag_list:
            return "Nothing"
        items = format_html_join("", "<li>{}</li>", ((flag_sentence(flag),) for flag in session.flag_list))
        return format_html("<ul>{}</ul>", items)

    @admin.display(description="decision")
    def decision_in_words(self, session: Session) -> SafeString:
        soft = ", ".join(reason_words(reason) for reason in session.would_deny)
        more = f" Would have been denied by soft limits: {soft}." if soft else ""
        return format_html(
            "<strong>{}.</strong> {}{}", reason_words(session.reason), reason_sentence(session.reason), more
        )

    @admin.display(description="rules")
    def trace_table(self, session: Session) -> SafeString:
        return _rendered(
            "admin/sessions_app/trace.html",
            lines=trace_words(with_agents_name(session.trace, session.agent), session.reason),
        )

    @admin.display(description="the answer sent")
    def answer_sent(self, session: Session) -> SafeString | str:
        return shown_json(session.answer) if session.answer else "None: the begin has not come"

    @admin.display(description="clocks")
    def clock(self, session: Session) -> str:
        skew = session.skew
        if skew is None or abs(skew) < timedelta(seconds=1):
            return "LiveTok's and ours agreed" if skew is not None else "LiveTok stated no time at the begin"
        direction = "behind" if skew > timedelta() else "ahead of"
        return (
            f"LiveTok's was {duration_words(abs(skew).total_seconds())} {direction} ours at the begin, or it came late"
        )

    @admin.display(description="declared to miss its end")
    def declared_missing(self, session: Session) -> str:
        if session.declared_missing_at is None:
            return "No"
        return (
            f"By {session.declared_missing_by or 'somebody who is gone'}, {moment_words(session.declared_missing_at)}"
        )

    @admin.display(description="ends")
    def ends_without_bodies(self, session: Session) -> SafeString | str:
        return _ends_table(session, lambda body: NO_BODIES)

    @admin.display(description="ends")
    def ends_with_bodies(self, session: Session) -> SafeString | str:
        return _ends_table(session, body_or_none)

    @admin.display(description="begin")
    def begin_body_hidden(self, session: Session) -> str:
        return NO_BODIES

    @admin.display(description="begin")
    def begin_body_shown(self, session: Session) -> SafeString | str:
        return body_or_none(session.begin_body)

    @admin.display(description="end")
    def end_body_hidden(self, session: Session) -> str:
        return NO_BODIES

    @admin.display(description="end")
    def end_body_shown(self, session: Session) -> SafeString | str:
        return body_or_none(session.end_body)


def _ends_table(session: Session, shown: Callable[[Any], SafeString | str]) -> SafeString | str:
    """The ends that do not count, each with what is shown of its body."""
    ends = [(end, duration_words(end.stated_seconds), shown(end.body)) for end in session.superseded_ends.all()]
    return _rendered("admin/sessions_app/superseded.html", ends=ends) if ends else "None"


def _rendered(template: str, **context: Any) -> SafeString:
    return SafeString(render_to_string(template, context))
