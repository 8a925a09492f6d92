"""WHAT HAPPENED: sessions, the usage summed from them, and the log of LiveTok's requests. Sessions are written by
`lifecycle` alone."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Q

from customers.models import Agent, Channel, Customer, Tier
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS, Caller, duration_is_usable


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
    number_received = models.CharField(max_length=255, blank=True)
    phone_key = models.CharField(max_length=255, blank=True)
    external_id = models.CharField("LiveTok's customer id", max_length=255, blank=True)
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="sessions", db_index=False)
    tier = models.ForeignKey(Tier, null=True, on_delete=models.PROTECT, related_name="sessions", db_index=False)

    allowed = models.BooleanField(null=True)
    reason = models.CharField(max_length=32, null=True)
    would_deny = models.JSONField(default=list)
    facts = models.JSONField(default=dict)
    trace = models.JSONField(default=list)
    answer = models.BinaryField(null=True)

    begin_received_at = models.DateTimeField(null=True)
    begin_stated_at = models.DateTimeField(null=True)
    begin_body = models.BinaryField(null=True)
    end_received_at = models.DateTimeField(null=True)
    end_stated_at = models.DateTimeField(null=True)
    end_body = models.BinaryField(null=True)
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
    open_until = models.DateTimeField(null=True)
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

    def was_open_at(self, now: datetime) -> bool:
        """By LiveTok's clock, for a decision: begun less than its longest time before or after `now`."""
        if self.allowed is not True or self.has_end or self.declared_missing_at is not None:
            return False
        assert self.open_until is not None
        return abs(now - self.started_at) < self.open_until - self.started_at

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
    recorded_at = models.DateTimeField()
    route = models.CharField(max_length=8, blank=True)
    stated_seconds = models.IntegerField(null=True)
    body = models.BinaryField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.session_id} at {self.received_at:%Y-%m-%d %H:%M:%S}"


class DailyUsage(models.Model):
    """A customer's sessions and seconds of one local day. A sum of the sessions, never the truth (`usage`).

    A blank `channel` or `agent` is a session without one. `call_seconds` are those that count toward call minutes.
    """

    # The constraint's index serves for the customer as well.
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="daily_usage", db_index=False)
    day = models.DateField()
    channel = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=255, blank=True)
    sessions = models.IntegerField(default=0)
    seconds = models.BigIntegerField(default=0)
    call_seconds = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "daily usage"
        constraints = [
            models.UniqueConstraint(fields=["customer", "day", "channel", "agent"], name="dailyusage_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} on {self.day}"


class HourSums(models.Model):
    """What the sessions that started within one hour of the company's day add up to (`sums`), the truth's copy.

    `cells` are rows of `sums.counting.Cell`, `durations` buckets of `sums.histogram`, `callers` of `sums.callers`.
    """

    starts_at = models.DateTimeField()
    day = models.DateField()
    hour = models.PositiveSmallIntegerField()
    is_test = models.BooleanField(default=False)
    sessions = models.IntegerField(default=0)
    denied = models.IntegerField(default=0)
    seconds = models.BigIntegerField(default=0)
    cells = models.JSONField(default=list)
    durations = models.JSONField(default=dict)
    callers = models.BinaryField(default=b"")

    class Meta:
        verbose_name_plural = "hour sums"
        constraints = [models.UniqueConstraint(fields=["starts_at", "is_test"], name="hoursums_unique")]
        indexes = [models.Index(fields=["day"], name="hoursums_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.hour}:00"


class DaySums(models.Model):
    """Of a whole day of the company's what does not fit into `DayCell`: durations and callers, as in `HourSums`."""

    day = models.DateField()
    is_test = models.BooleanField(default=False)
    durations = models.JSONField(default=dict)
    callers = models.BinaryField(default=b"")

    class Meta:
        verbose_name_plural = "day sums"
        constraints = [models.UniqueConstraint(fields=["day", "is_test"], name="daysums_unique")]

    def __str__(self) -> str:
        return str(self.day)


class DayCell(models.Model):
    """The sessions of a whole day of the company's with one tier, channel, agent, outcome and reason.

    Blank is a session without one; `timed` are the ended ones whose duration counts, `seconds` the sum of theirs.
    """

    class Outcome(models.TextChoices):
        ENDED = "ended"
        DENIED = "denied"
        NO_END = "no_end"

    day = models.DateField()
    is_test = models.BooleanField(default=False)
    tier = models.ForeignKey(Tier, null=True, on_delete=models.PROTECT, related_name="+")
    channel = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=255, blank=True)
    outcome = models.CharField(max_length=8)
    reason = models.CharField(max_length=32, blank=True)
    sessions = models.IntegerField()
    timed = models.IntegerField()
    seconds = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["day", "is_test"], name="daycell_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.outcome}"


class WeekSums(models.Model):
    """Of a whole week of the company's, from Monday, as in `HourSums`: a page reads one of them instead of seven days.

    A week has none until the worker has added its days up, and from a change of one of them until it has done so again.
    """

    starts_on = models.DateField()
    is_test = models.BooleanField(default=False)
    cells = models.JSONField(default=list)
    durations = models.JSONField(default=dict)
    callers = models.BinaryField(default=b"")

    class Meta:
        verbose_name_plural = "week sums"
        constraints = [models.UniqueConstraint(fields=["starts_on", "is_test"], name="weeksums_unique")]

    def __str__(self) -> str:
        return f"the week from {self.starts_on}"


class DayPeak(models.Model):
    """The most sessions at once on a day of the company's; `channel` is blank for all channels together."""

    day = models.DateField()
    is_test = models.BooleanField(default=False)
    channel = models.CharField(max_length=64, blank=True)
    most = models.IntegerField()
    reached_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "is_test", "channel"], name="daypeak_unique")]

    def __str__(self) -> str:
        return f"{self.most} on {self.day}"


class SumsMark(models.Model):
    """How far the sums go: they hold every session that started before `until`, by the days of `zone`. One row."""

    until = models.DateTimeField(null=True)
    zone = models.CharField(max_length=64)
    # The days, as text, whose most sessions at once are to be found anew; and when today's were found.
    stale_peaks = models.JSONField(default=list)
    peaks_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"until {self.until}"


class CallerNumber(models.Model):
    """A number that sessions of the summed hours came from, so that a search by its first or last digits is short."""

    key = models.CharField(max_length=255, unique=True)
    backwards = models.CharField(max_length=255, db_index=True)

    def __str__(self) -> str:
        return self.key


class LateWrite(models.Model):
    """That a session of an earlier hour was written: what is summed of the hour of `started_at` holds no more.

    Rows are only added, so that no event waits for another; the worker deletes those that it has seen.
    """

    started_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.started_at)


class CustomerTurn(models.Model):
    """How many begins of a customer were decided: a begin is stored only if none came between reading and writing."""

    customer = models.OneToOneField(Customer, primary_key=True, on_delete=models.CASCADE, related_name="+")
    begins = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.begins}"


class SpoolPlace(models.Model):
    """How far a file of the spool is in the database. Written with each of its requests, so none is stored twice."""

    name = models.CharField(primary_key=True, max_length=255)
    fed_bytes = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.fed_bytes}"


# The verdicts of requests that no session's number bounds.
OF_NO_SESSION = ("ignored", "rejected")


class WebhookEvent(models.Model):
    """One request of LiveTok's, as it came and as it was taken. Deleted by age, and some by size (`retention`)."""

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted"
        REDELIVERED = "redelivered"
        CORRECTED = "corrected"
        IGNORED = "ignored"
        REJECTED = "rejected"

    received_at = models.DateTimeField(db_index=True)
    event = models.CharField(max_length=64, blank=True)
    session_id = models.CharField(max_length=255, blank=True)
    is_test = models.BooleanField(default=False)
    verdict = models.CharField(max_length=12, choices=Verdict)
    status = models.PositiveSmallIntegerField()
    error = models.CharField(max_length=300, blank=True)
    took_ms = models.FloatField("took (ms)")
    key = models.CharField(max_length=120, blank=True, help_text="The key's name, or WEBHOOK_SECRET.")
    address = models.CharField(max_length=64, blank=True)
    route = models.CharField(max_length=8, blank=True)
    body = models.BinaryField(null=True)
    processed_again_at = models.DateTimeField(null=True)

    class Meta:
        # Not `db_index`, which on PostgreSQL makes a second one for LIKE.
        indexes = [
            models.Index(fields=["session_id"], name="webhookevent_by_session"),
            models.Index(fields=["id"], name="webhookevent_of_no_session", condition=Q(verdict__in=OF_NO_SESSION)),
        ]

    def __str__(self) -> str:
        return f"{self.event or 'event'} {self.session_id}".strip()


class RefusedRequests(models.Model):
    """How often somebody knocked without a valid key within an hour. All that a stranger leaves behind."""

    hour = models.DateTimeField(primary_key=True)
    count = models.PositiveIntegerField(default=0)
    last_address = models.CharField(max_length=64, blank=True)
    last_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "refused requests"

    def __str__(self) -> str:
        return f"{self.count} at {self.hour:%Y-%m-%d %H}:00"


class StatementMonth(models.Model):
    """A month whose statements are closed. Its lines stay as they are; `finished_at` is blank until all are written."""

    first_day = models.DateField(primary_key=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    closed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    # Whether all that came after the sessions were counted stands in `PastMonthWrite`; else they are recounted.
    changes_are_listed = models.BooleanField(default=False)
    # Of each tier by its id, in seconds: a recount rounds as the closing did, whatever the tier says since.
    roundings = models.JSONField(default=dict)

    class Meta:
        permissions = [("close_month", "Can close a month's statements")]

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}"


class StatementLine(models.Model):
    """What a customer had used in a month when it was closed. Names are copied: customers change, merge and go.

    A line `of_month` other than its own is a correction of a month closed before: a difference, billed with this one.
    `channels` has sessions, exact and billed seconds by channel; a blank channel is a session without one.
    """

    month = models.ForeignKey(StatementMonth, on_delete=models.PROTECT, related_name="lines")
    of_month = models.DateField(help_text="The first day of the month whose sessions it is of.")
    customer_number = models.BigIntegerField(help_text="The customer's id then; it may be gone since.")
    customer_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, blank=True)
    tier = models.CharField(max_length=100)
    channels = models.JSONField(default=dict)
    sessions = models.IntegerField()
    seconds = models.BigIntegerField()
    billed_seconds = models.BigIntegerField()
    billed_call_seconds = models.BigIntegerField()
    included_minutes = models.PositiveIntegerField(null=True)
    over_seconds = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["month", "of_month", "customer_number"], name="statementline_unique_by_customer_and_month"
            ),
        ]
        indexes = [models.Index(fields=["of_month", "customer_number"], name="statementline_by_its_month")]

    def __str__(self) -> str:
        return f"{self.customer_name}, {self.month_id:%Y-%m}"


class PastMonthWrite(models.Model):
    """That a customer's sessions of an earlier month were written: what was billed of them may hold no more.

    Rows are only added, so that no event waits for another; `is_recounted` once a closing has looked at what they say.
    A blank `session`: all those that came or went with a merge.
    """

    customer_number = models.BigIntegerField(help_text="The customer's id then; it may be gone since.")
    month = models.DateField(help_text="The month's first day.")
    session = models.ForeignKey(Session, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    noted_at = models.DateTimeField(db_index=True)
    is_recounted = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.customer_number} in {self.month:%Y-%m}"
