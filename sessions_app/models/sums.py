"""Sums of sessions for the report pages (`sessions_app.sums`)."""

from django.db import models

from customers.models import Tier


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
    # Sessions of before may have been deleted by age (`recording.pruning`): nothing of then is counted again.
    sessions_since = models.DateTimeField(null=True)
    # The days, as text, whose most sessions at once are to be found again; and when today's were found.
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
