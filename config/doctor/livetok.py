"""Checks of what comes from LiveTok: when, by which clock, with which fields, and whether ends come."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from statistics import median

from django.db.models import Q
from django.utils import timezone

from config.doctor.findings import Finding, judged
from sessions_app.livetok.payloads import BEGIN, PLAYED, unknown_fields
from sessions_app.models import Session, WebhookEvent
from sessions_app.recording.clock import clock_leap
from sessions_app.reports.frame.figures import percent_words
from sessions_app.reports.webhook.channels import Heard, newest_of_channels
from sessions_app.reports.webhook.silence import silence_at
from sessions_app.wording import duration_words

CLOCK_SESSIONS = 200
CLOCK_WITHIN = timedelta(days=1)
SKEWED_SECONDS, FAR_SKEWED_SECONDS = 5, 60
SILENT_MINUTES = 5
BODIES = 500
ENDS_OF = 2000
# Fewer tell nothing.
FEWEST_ENDS = 20
MANY_MISSING, MOST_MISSING = 0.02, 0.5
NO_END_FOR = timedelta(days=1)
MOST_NAMED = 10


def check_clock() -> Finding:
    """Ours against LiveTok's, by what begins of the last day say; and against what the worker saw last."""
    leap = clock_leap()
    if leap is not None:
        return judged(
            "clock",
            f"It has leapt by {duration_words(leap.total_seconds())}: nothing is deleted for a day.",
            bad=True,
            remedy="Have the machine's clock kept by NTP. If it is right now, nothing else needs doing.",
        )
    since = timezone.now() - CLOCK_WITHIN
    # By requests, whose time is ours: a clock that is far off would hide by its own times.
    begins = WebhookEvent.objects.filter(event=BEGIN, received_at__gt=since, verdict=WebhookEvent.Verdict.ACCEPTED)
    newest = list(begins.order_by("-received_at").values_list("session_id", flat=True)[:CLOCK_SESSIONS])
    begun = Session.objects.filter(session_id__in=newest, begin_received_at__gt=since)
    begun = begun.exclude(session_id__startswith=PLAYED)  # those go by our own clock
    times = begun.values_list("begin_received_at", "begin_stated_at")
    skews = [(received - stated).total_seconds() for received, stated in times if received and stated]
    if not skews:
        return judged("clock", "No begin of the last day says when it happened, so it cannot be compared.", remedy="")
    skew = median(skews)
    side = "behind" if skew < 0 else "ahead of"
    return judged(
        "clock",
        f"{_apart(abs(skew))} {side} LiveTok's, in the middle of the newest {len(skews)} begins (network included).",
        bad=abs(skew) >= FAR_SKEWED_SECONDS,
        look=abs(skew) >= SKEWED_SECONDS,
        remedy="Have the machine's clock kept by NTP. Decisions go by LiveTok's clock; where ours is right, tell "
        "LiveTok.",
    )


def _apart(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < FAR_SKEWED_SECONDS else duration_words(seconds)


def check_requests() -> Iterator[Finding]:
    silence = silence_at(timezone.now())
    yield judged(
        "LiveTok",
        f"Last request {silence.words}{'' if silence.words == 'now' else ' ago'}; {silence.usual_words}."
        if silence.last
        else "No request has come yet.",
        # Where many come, a few seconds are unusual: nobody is woken for that.
        bad=silence.is_unusual and silence.minutes >= SILENT_MINUTES,
        look=silence.is_unusual or silence.last is None,
        remedy="Look whether LiveTok has the right address and key, and whether the address can be reached from "
        "outside: docs/webhook.md says how to try it.",
    )
    for channel, heard in sorted(newest_of_channels().items()):
        yield _of_channel(channel, heard)


def _of_channel(channel: str, heard: Heard) -> Finding:
    now = timezone.now()
    begin, end = (
        f"{duration_words(max(0.0, (now - moment).total_seconds()))} ago" if moment else "none"
        for moment in (heard.begin, heard.end)
    )
    begins_come = heard.begin is not None and now - heard.begin < NO_END_FOR
    ends_come = heard.end is not None and now - heard.end < NO_END_FOR
    return judged(
        f"channel {channel}",
        f"Last begin: {begin}. Last end: {end}.",
        look=begins_come and not ends_come and _misses_an_end(channel),
        remedy="Begins come and ends do not: look at the end URL in LiveTok's dashboard.",
    )


def _misses_an_end(channel: str) -> bool:
    """Whether a session of it should have ended within the last day, and did not: others may well go on."""
    now = timezone.now()
    waiting = Session.objects.filter(channel=channel, allowed=True, end_received_at__isnull=True)
    return waiting.filter(missing_from__lte=now, missing_from__gt=now - NO_END_FOR).exists()


def check_unknown_fields() -> Finding:
    bodies = WebhookEvent.objects.filter(body__isnull=False).order_by("-received_at").values_list("body", flat=True)
    found: Counter[str] = Counter()
    looked = 0
    for body in bodies[:BODIES]:
        looked += 1
        found.update(unknown_fields(bytes(body or b"")))
    named = ", ".join(f"{name} ({count})" for name, count in islice(found.most_common(), MOST_NAMED))
    return judged(
        "unknown fields",
        f"In the newest {looked} requests: {named or 'none'}.",
        look=bool(found),
        remedy="They are kept and do no harm. LiveTok may have learned something new: see whether a later Frontdesk "
        "reads them.",
    )


def check_ends() -> Finding:
    """Of sessions that are a day old, so that those which take long are not taken for missing ones."""
    now = timezone.now()
    known = Session.objects.filter(Q(end_received_at__isnull=False) | Q(missing_from__lte=now)).exclude(allowed=False)
    newest = known.filter(started_at__lt=now - NO_END_FOR).order_by("-started_at", "-pk")
    rows = list(newest.values_list("end_received_at", flat=True)[:ENDS_OF])
    missing = sum(end is None for end in rows)
    share = missing / len(rows) if rows else 0.0
    tells = len(rows) >= FEWEST_ENDS
    return judged(
        "missing ends",
        f"{missing:,} of the newest {len(rows):,} sessions that are a day old ({percent_words(share, 1)})."
        if rows
        else "No session is a day old yet.",
        bad=tells and share >= MOST_MISSING,
        look=tells and share >= MANY_MISSING,
        remedy="Look at the end URL in LiveTok's dashboard, and in the log for rejected ends.",
    )
