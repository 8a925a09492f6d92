"""What became of the requests: together, and by hour or day."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, QuerySet

from sessions_app.models import WebhookEvent
from sessions_app.periods import ONE_DAY, hours_of, starts_at
from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import share_words
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.reports.webhook.requests import Events
from sessions_app.sums.counting import place_among

Verdict = WebhookEvent.Verdict

VERDICTS = {
    Verdict.ACCEPTED: "A begin or an end that was new, and stored.",
    Verdict.REDELIVERED: "The same begin or end once more; answered from what is stored, counted once.",
    Verdict.CORRECTED: "An end that differs from one that had come before.",
    Verdict.IGNORED: "An event that Frontdesk does not know; kept, and answered 200.",
    Verdict.REJECTED: "Authenticated, but not to be understood; kept, and answered 400 with the field at fault.",
}
_RECEIVED_AT = f'"{WebhookEvent._meta.db_table}"."received_at"'


def verdict_counts(found: QuerySet[WebhookEvent]) -> dict[str, int]:
    rows = found.order_by().values_list("verdict").annotate(count=Count("pk"))
    return {verdict.value: 0 for verdict in Verdict} | dict(rows)


@dataclass(frozen=True)
class VerdictLine:
    label: str
    meaning: str
    count: int
    share: str
    percent: float
    address: str
    kind: str


def verdict_lines(counts: Mapping[str, int], events: Events | None) -> list[VerdictLine]:
    total = sum(counts.values())
    kinds = {Verdict.REJECTED: "bad", Verdict.REDELIVERED: "odd", Verdict.CORRECTED: "odd"}
    return [
        VerdictLine(
            verdict.label.capitalize(),
            VERDICTS[verdict],
            counts[verdict.value],
            share_words(counts[verdict.value], total),
            round(100 * counts[verdict.value] / total, 1) if total else 0.0,
            events.address(verdict.value) if events else "",
            kinds.get(verdict, ""),
        )
        for verdict in Verdict
    ]


@dataclass(frozen=True)
class TimeLine:
    """The requests of an hour or a day, by verdict."""

    at: datetime
    until: datetime
    counts: Mapping[str, int]
    most: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def bar(self) -> float:
        return round(100 * self.total / self.most, 1) if self.most else 0.0

    @property
    def cells(self) -> list[int]:
        return [self.counts.get(verdict.value, 0) for verdict in Verdict]

    def as_row(self) -> Row:
        return (self.at, self.total, *self.cells)

    def linked(self, events: Events | None) -> list[tuple[int, str]]:
        """The total and each verdict's count, and where the requests stand."""
        verdicts = ["", *(verdict.value for verdict in Verdict)]
        addresses = [events.between(self.at, self.until, verdict) if events else "" for verdict in verdicts]
        return list(zip([self.total, *self.cells], addresses, strict=True))


def time_lines(found: QuerySet[WebhookEvent], days: DayRange, *, by_hour: bool) -> list[TimeLine]:
    """Hours or days of the company's, the newest first; those without a request are left out."""
    spans = [(starts_at(day, days.zone), starts_at(day + ONE_DAY, days.zone)) for day in days.days]
    if by_hour:
        spans = [(hour.starts_at, hour.ends_before) for day in days.days for hour in hours_of(day, days.zone)]
    placed = found.order_by().annotate(place=place_among([start for start, _ in spans], _RECEIVED_AT))
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for place, verdict, count in placed.values_list("place", "verdict").annotate(Count("pk")):
        counts[place][verdict] = count
    most = max((sum(of_time.values()) for of_time in counts.values()), default=0)
    return [
        TimeLine(spans[place][0].astimezone(days.zone), spans[place][1], counts[place], most)
        for place in sorted(counts, reverse=True)
    ]
