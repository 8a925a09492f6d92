"""Sessions. Written by `recording` alone."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Q

from customers.models import Agent, Channel, Customer, Tier
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS, Caller, duration_is_usable
from sessions_app.models.packed import PackedField

# A flag.
ERASED = "erased"
# Most of a row, and of use to nobody who counts or lists sessions.
LONG_FIELDS = (
    "would_deny",
    "packed_facts",
    "packed_trace",
    "plain_facts",
    "plain_trace",
    "answer",
    "begin_body",
    "end_body",
)

_as_json = json.JSONEncoder(separators=(",", ":")).encode


def packed_or_plain(packed: Any, plain: Any) -> Any:
    """The facts or the trace of a session's row."""
    return plain if packed is None else json.loads(packed)


class SessionQuerySet(models.QuerySet["Session"]):
    def in_state(self, state: str, our_now: datetime) -> "SessionQuerySet":
        """Those whose `Session.state_at(our_now)` is `state`."""
        return self.filter(STATE_CONDITIONS[state](our_now))

    def holding_at(self, now: datetime) -> "SessionQuerySet":
        """Those that may hold a part of their customer's limits for a decision at `now`, by LiveTok's clock."""
        return self.filter(NO_END, declared_missing_at__isnull=True, is_test=False, open_until__gt=now)


class Session(models.Model):
    """One conversation of a caller with an agent, from begin to end.

    Its state, and what it counts, follow from the row alone. `stated` times are LiveTok's clock, `received` ones ours.
    """

    class State(models.TextChoices):
        OPEN = "open"
        ENDED = "ended"
        DENIED = "denied"
        MISSING_END = "missing_end", "missing end"

    session_id = models.CharField(max_length=255)
    # 0; more only where LiveTok's id is used again for another caller.
    number = models.PositiveIntegerField(default=0)
    is_test = models.BooleanField(default=False)

    # Indexes are paid by each begin and each end, so these have none of their own: pages ask for a range of time.
    # Nobody can delete channels and agents. A constraint would have each begin lock the row that all of them share.
    channel = models.ForeignKey(
        Channel, null=True, on_delete=models.PROTECT, related_name="sessions", db_index=False, db_constraint=False
    )
    agent = models.ForeignKey(
        Agent, null=True, on_delete=models.PROTECT, related_name="sessions", db_index=False, db_constraint=False
    )
    agent_is_number = models.BooleanField(default=False)
    # As it came, and as it is matched: an edit of PHONE_REGION may read the same number otherwise.
    number_received = models.CharField(max_length=255, blank=True)
    phone_key = models.CharField(max_length=255, blank=True)
    external_id = models.CharField("LiveTok's customer id", max_length=255, blank=True)
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="sessions", db_index=False)
    tier = models.ForeignKey(Tier, null=True, on_delete=models.PROTECT, related_name="sessions", db_index=False)

    allowed = models.BooleanField(null=True)
    reason = models.CharField(max_length=32, null=True)
    would_deny = models.JSONField(default=list)
    # JSON. Sessions that came before these two fields did have the next two; of later ones those are blank.
    packed_facts = PackedField(null=True)
    packed_trace = PackedField(null=True)
    plain_facts = models.JSONField(db_column="facts", default=dict)
    plain_trace = models.JSONField(db_column="trace", default=list)
    # The bytes that went: a begin delivered again gets the same ones, whatever JSON is made of them.
    answer = PackedField(null=True)

    begin_received_at = models.DateTimeField(null=True)
    begin_stated_at = models.DateTimeField(null=True)
    begin_body = PackedField(null=True)
    end_received_at = models.DateTimeField(null=True)
    end_stated_at = models.DateTimeField(null=True)
    end_body = PackedField(null=True)
    end_route = models.CharField(max_length=8, blank=True)
    stated_seconds = models.IntegerField(null=True)
    declared_missing_at = models.DateTimeField(null=True)
    declared_missing_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    duration_seconds = models.IntegerField(null=True)

    # As they were at the decision; later edits hold for later sessions.
    time_zone = models.CharField(max_length=64)
    counts_toward_call_minutes = models.BooleanField(default=True)
    # None as well where it came before this field did, and has it in `plain_facts`.
    call_hold_minutes = models.IntegerField(null=True)
    open_until = models.DateTimeField(null=True)
    # The top-ups that it draws on. No foreign keys, which each end would check: their sums have one, are written with
    # the session, and keep them from being deleted.
    minutes_top_up_id = models.BigIntegerField(null=True)
    sessions_top_up_id = models.BigIntegerField(null=True)
    # From then on, by our clock, an end that did not come is missing. None as well where it came before this field did.
    missing_from = models.DateTimeField(null=True)

    flags = models.TextField(blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session_id", "is_test", "number"], name="session_unique_by_id_and_number"),
            models.CheckConstraint(
                name="session_has_a_begin_or_an_end",
                condition=Q(begin_received_at__isnull=False) | Q(end_received_at__isnull=False),
            ),
            models.CheckConstraint(
                name="session_is_decided_once_it_has_a_begin",
                condition=Q(begin_received_at__isnull=True, allowed__isnull=True, reason__isnull=True)
                | Q(begin_received_at__isnull=False, allowed__isnull=False, reason__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["-started_at", "-id"], name="session_by_start"),
            models.Index(fields=["customer", "-started_at"], name="session_by_customer"),
            models.Index(fields=["phone_key", "-started_at"], name="session_by_phone"),
            # The page of unknown callers reads these alone.
            models.Index(
                fields=["-started_at"], name="session_of_nobody", condition=Q(customer__isnull=True, is_test=False)
            ),
            models.Index(
                fields=["external_id", "-started_at"], name="session_by_external_id", condition=~Q(external_id="")
            ),
            # All that sorting by duration needs to skip what started on other days.
            models.Index(
                fields=["duration_seconds", "started_at", "id"],
                name="session_by_duration",
                condition=Q(duration_seconds__isnull=False),
            ),
            # Denied sessions alone pay for it.
            models.Index(
                fields=["customer", "-started_at"], name="session_denied_by_customer", condition=Q(allowed=False)
            ),
            # Small however many sessions are stored: the first serves decisions, the second what is open now.
            models.Index(
                fields=["customer", "open_until"],
                name="session_without_end",
                condition=Q(allowed=True, end_received_at__isnull=True),
            ),
            models.Index(
                fields=["missing_from"],
                name="session_without_end_by_missing",
                condition=Q(allowed=True, end_received_at__isnull=True),
            ),
            # Deleting an account clears it, and would else go through every session.
            models.Index(
                fields=["declared_missing_by"],
                name="session_by_who_declared_it",
                condition=Q(declared_missing_by__isnull=False),
            ),
        ]
        permissions = [("view_bodies", "Can see the raw bodies of sessions and events")]

    def __str__(self) -> str:
        return self.session_id if self.number == 0 else f"{self.session_id} ({self.number + 1})"

    @property
    def facts(self) -> dict[str, Any]:
        """What it was decided by, beside what the trace says."""
        facts: dict[str, Any] = packed_or_plain(self.packed_facts, self.plain_facts)
        return facts

    @facts.setter
    def facts(self, facts: dict[str, Any]) -> None:
        self.packed_facts, self.plain_facts = _as_json(facts).encode(), {}
        self.call_hold_minutes = facts.get("call_hold_minutes")

    @property
    def trace(self) -> list[dict[str, Any]]:
        """Every rule as it was judged (`decision.rules.whole_check`)."""
        trace: list[dict[str, Any]] = packed_or_plain(self.packed_trace, self.plain_trace)
        return trace

    @trace.setter
    def trace(self, trace: list[dict[str, Any]]) -> None:
        self.packed_trace, self.plain_trace = _as_json(trace).encode(), []

    @property
    def caller(self) -> Caller:
        return Caller(self.number_received, self.phone_key, self.external_id)

    @property
    def has_begin(self) -> bool:
        return self.begin_received_at is not None

    @property
    def has_end(self) -> bool:
        return self.end_received_at is not None

    @property
    def flag_list(self) -> list[str]:
        return self.flags.split()

    @property
    def is_erased(self) -> bool:
        """Nothing in it names the caller any more (`personal`); what it counts stays."""
        return ERASED in self.flag_list

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def took_place_although_denied(self) -> bool:
        """LiveTok states how long a denied session took: it was not kept out."""
        return self.allowed is False and duration_is_usable(self.stated_seconds) and bool(self.stated_seconds)

    @property
    def is_denied(self) -> bool:
        return self.allowed is False and not self.took_place_although_denied

    @property
    def counted_seconds(self) -> int:
        """What counts of its duration: all of a usable one, else nothing."""
        if not self.has_end or self.is_denied or not duration_is_usable(self.duration_seconds):
            return 0
        return self.duration_seconds or 0

    def state_at(self, our_now: datetime) -> str:
        """A value of `State` by our clock."""
        if self.is_denied:
            return self.State.DENIED.value
        if self.has_end:
            return self.State.ENDED.value
        assert self.missing_from is not None
        is_missing = self.declared_missing_at is not None or our_now >= self.missing_from
        return self.State.MISSING_END.value if is_missing else self.State.OPEN.value

    @property
    def skew(self) -> timedelta | None:
        """How far LiveTok's clock was behind ours at the begin; shown, not punished."""
        if self.begin_stated_at is None or self.begin_received_at is None:
            return None
        return self.begin_received_at - self.begin_stated_at


DENIED = Q(allowed=False) & (
    Q(stated_seconds__isnull=True) | ~Q(stated_seconds__gt=0, stated_seconds__lte=LONGEST_DURATION_SECONDS)
)
ENDED = Q(end_received_at__isnull=False) & ~DENIED
NO_END = Q(allowed=True, end_received_at__isnull=True)


STATE_CONDITIONS = {
    Session.State.OPEN.value: lambda our_now: (
        # Nothing is open without `open_until`; saying so leads SQLite to a customer's sessions without an end.
        NO_END & Q(open_until__isnull=False, missing_from__gt=our_now, declared_missing_at__isnull=True)
    ),
    Session.State.MISSING_END.value: lambda our_now: (
        NO_END & (Q(missing_from__lte=our_now) | Q(declared_missing_at__isnull=False))
    ),
    Session.State.DENIED.value: lambda our_now: DENIED,
    Session.State.ENDED.value: lambda our_now: ENDED,
}


class SupersededEnd(models.Model):
    """An end that differs from the one that counts: the trail of a correction."""

    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="superseded_ends")
    received_at = models.DateTimeField()
    # When the event came that showed which of two ends counts: this one or a later one.
    recorded_at = models.DateTimeField()
    route = models.CharField(max_length=8, blank=True)
    stated_seconds = models.IntegerField(null=True)
    body = models.BinaryField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.session_id} at {self.received_at:%Y-%m-%d %H:%M:%S}"


class CustomerTurn(models.Model):
    """How many begins of a customer were decided: a begin is stored only if none came between reading and writing."""

    customer = models.OneToOneField(Customer, primary_key=True, on_delete=models.CASCADE, related_name="+")
    begins = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.begins}"
