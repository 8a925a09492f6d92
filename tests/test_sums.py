"""The sums for reports: whatever comes in whatever order, and whenever the worker runs, pages equal a plain recount."""

import math
import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.models import Agent
from sessions_app.models import DayCell, DayPeak, HourSums, LateWrite, Session, SumsMark, WeekSums
from sessions_app.periods import ONE_WEEK, hour_of, hours_of, local_day, starts_at, week_of
from sessions_app.recording.by_staff import reassign_sessions
from sessions_app.sums.histogram import EDGES, bucket_of, by_step, percentile
from sessions_app.sums.keeping import keep_sums
from sessions_app.sums.proving import sum_differences
from sessions_app.sums.reading import callers_between, kept, parts_between, report_between, sums_between
from tests.builders import make_channel, make_livetok, make_tier, moment
from tests.examples import examples
from tests.test_order_free import customers, deliveries, traffic  # noqa: F401 - a fixture among them
from tests.test_reports import denied, make_session

FIRST, LAST = date(2024, 3, 29), date(2024, 4, 2)


# The plain recount: every session, one by one, with nothing of the code that it judges


def plain(start, end, zone, is_test=False):
    cells, days, hours, durations, callers = Counter(), Counter(), Counter(), [], set()
    for session in Session.objects.all():
        if not start <= session.started_at < end or session.is_test != is_test:
            continue
        took_place = session.allowed is False and 0 < (session.stated_seconds or 0) <= 86_400
        is_denied = session.allowed is False and not took_place
        has_ended = session.end_received_at is not None and not is_denied
        outcome = "denied" if is_denied else "ended" if has_ended else "no_end"
        seconds = session.duration_seconds
        counts = has_ended and seconds is not None and 0 <= seconds <= 86_400
        shared = session.tier_id or 0, session.channel_id or "", session.agent_id or "", outcome, session.reason or ""
        amounts = {"sessions": 1, "timed": int(counts), "seconds": seconds if counts else 0}
        for name, amount in amounts.items():
            cells[*shared, name] += amount
        day = local_day(session.started_at, zone)
        for name, amount in {"sessions": 1, "denied": int(is_denied), "seconds": amounts["seconds"]}.items():
            days[day, name] += amount
        hours[day, session.started_at.astimezone(zone).hour] += 1
        if counts:
            durations.append(seconds)
        caller = session.customer_id or session.phone_key or session.external_id
        if caller:
            callers.add(caller)
    return +cells, +days, +hours, sorted(map(bucket_of, durations)), len(callers)


def on_the_page(start, end, is_test=False):
    known = kept()
    report = report_between(start, end, known, is_test=is_test, by_hour=True)
    cells, days, hours, weekdays = Counter(), Counter(), Counter(), Counter()
    for cell, amounts in report.sums.cells.items():
        for name, amount in amounts._asdict().items():
            cells[*cell, name] += amount
    for day, totals in report.days.items():
        for name, amount in totals._asdict().items():
            days[day, name] += amount
    for (day, hour), amounts in report.hours.items():
        hours[day, hour] += amounts.sessions
        weekdays[day.weekday(), hour] += amounts.sessions
    assert +report.weekdays == +weekdays
    durations = sorted(report.sums.durations.elements())
    assert sums_between(start, end, known, is_test=is_test).total == report.sums.total
    return +cells, +days, +hours, durations, callers_between(start, end, known, is_test=is_test)


def assert_pages_are_right(zone, first=FIRST, last=LAST):
    """Of whole days, of a stretch that begins and ends within an hour, and of whole weeks and some days beside them."""
    start, end = starts_at(first, zone), starts_at(last, zone)
    within = start + timedelta(hours=30, minutes=20), end - timedelta(hours=7.3)
    weeks = starts_at(week_of(first) - timedelta(days=2), zone), starts_at(week_of(last) + ONE_WEEK, zone)
    for is_test in (False, True):
        for since, until in ((start, end), within, weeks):
            assert on_the_page(since, until, is_test) == plain(since, until, zone, is_test)


@pytest.mark.property
def test_pages_equal_a_recount_whatever_comes_and_whenever_the_worker_runs(customers, settings_of_zone):  # noqa: F811
    @settings(max_examples=examples(0.06))
    @given(data=st.data())
    def check(data):
        zone = settings_of_zone(data.draw(st.sampled_from(["Europe/Madrid", "Asia/Kathmandu"])))
        SumsMark.objects.all().delete()
        events = data.draw(deliveries(data.draw(traffic())))
        now = datetime(2024, 3, 30, 12, tzinfo=UTC)
        with transaction.atomic():
            for event in events:
                now += timedelta(minutes=data.draw(st.sampled_from([0, 1, 20, 70, 600])))
                with time_machine.travel(now, tick=False):
                    event.deliver()
                    if data.draw(st.booleans()):
                        keep_sums()
            assert_pages_are_right(zone)
            with time_machine.travel(now + timedelta(days=9), tick=False):
                keep_sums()
            assert WeekSums.objects.exists()
            assert LateWrite.objects.count() == 0
            assert_pages_are_right(zone)
            assert list(sum_differences()) == []
            transaction.set_rollback(True)

    check()


@pytest.fixture
def settings_of_zone(settings):
    def of_zone(name):
        settings.TIME_ZONE = name
        return ZoneInfo(name)

    return of_zone


@pytest.mark.parametrize(
    "zone_name, day",
    [
        ("Europe/Madrid", date(2024, 3, 31)),
        ("Europe/Madrid", date(2024, 10, 27)),
        ("America/Santiago", date(2024, 4, 6)),
        ("America/Santiago", date(2024, 9, 8)),
        ("Australia/Lord_Howe", date(2024, 4, 7)),
        ("Asia/Kathmandu", date(2024, 2, 29)),
    ],
)
def test_pages_are_right_around_every_change_of_the_clock(db, settings_of_zone, monkeypatch, zone_name, day):
    monkeypatch.setattr("sessions_app.sums.keeping.SESSIONS_AT_ONCE", 10)
    zone = settings_of_zone(zone_name)
    chance = random.Random(zone_name)
    tiers = [make_tier("premium"), make_tier("basic"), None]
    channels = [make_channel("web"), make_channel("telephony"), None]
    agent = Agent.objects.create(livetok_id="7")
    start = starts_at(day - timedelta(days=1), zone)
    for number in range(0, 72 * 60, 24):
        at = start + timedelta(minutes=number)
        fields = {"tier": chance.choice(tiers), "channel": chance.choice(channels), "phone_key": f"+1{number % 40}"}
        kind = chance.choice(["ended", "ended", "denied", "open", "took place", "invalid", "end alone", "test"])
        if kind == "denied":
            denied(at, **fields)
        elif kind == "took place":
            denied(at, seconds=30, **fields)
        else:
            seconds = {"open": None, "invalid": -5}.get(kind, chance.randrange(4000))
            if kind == "end alone":
                fields |= {"begin_received_at": None, "allowed": None, "reason": None}
            make_session(at, seconds=seconds, agent=agent, is_test=kind == "test", **fields)

    for now in (start, start + timedelta(hours=31, minutes=17), start + timedelta(days=4)):
        with time_machine.travel(now, tick=False):
            keep_sums()
        assert_pages_are_right(zone, day - timedelta(days=1), day + timedelta(days=2))
    assert list(sum_differences()) == []
    assert DayCell.objects.exists()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_hours_fill_the_day_and_agree_with_the_clock_on_the_wall(zone):
    zone = ZoneInfo(zone)
    for number in range(366):
        day = date(2024, 1, 1) + timedelta(days=number)
        hours = hours_of(day, zone)
        assert hours[0].starts_at == starts_at(day, zone)
        assert [hour.ends_before for hour in hours] == [
            *(hour.starts_at for hour in hours[1:]),
            starts_at(day + timedelta(days=1), zone),
        ]
        for hour in hours:
            assert hour_of(hour.starts_at, zone) == hour_of(hour.ends_before - timedelta(seconds=1), zone) == hour
            assert hour.starts_at.astimezone(zone).hour == hour.hour


# The worker


def test_an_hour_is_summed_five_minutes_after_it_is_over(livetok):
    for now, until in (("11:04", None), ("11:05", "11:00"), ("13:10", "13:00")):
        with time_machine.travel(moment(f"2024-03-15T{now}:00+00:00"), tick=False):
            livetok.begin(timestamp="2024-03-15T10:30:00Z")
            keep_sums()
        mark = SumsMark.objects.get().until
        assert (mark and f"{mark:%H:%M}") == until


def test_only_writes_to_an_earlier_hour_are_noted(livetok):
    with time_machine.travel(moment("2024-03-15T10:59:59+00:00"), tick=False):
        livetok.begin(sessionId="early", timestamp="2024-03-15T10:00:00Z")
        livetok.begin(sessionId="over the hour", timestamp="2024-03-15T10:59:58Z")
        livetok.end(sessionId="early", timestamp="2024-03-15T10:59:58Z")
    assert LateWrite.objects.count() == 0
    with time_machine.travel(moment("2024-03-15T11:00:00+00:00"), tick=False):
        livetok.end(sessionId="over the hour", timestamp="2024-03-15T11:00:00Z")

    assert [f"{write.started_at:%H:%M}" for write in LateWrite.objects.all()] == ["10:59"]


def test_a_merge_changes_how_many_callers_the_past_had(livetok):
    with time_machine.travel(moment("2024-03-15T10:31:00+00:00"), tick=False):
        livetok.begin(sessionId="one", phoneNumber="+15550001")
        livetok.begin(sessionId="two", phoneNumber="+15550002")
    start, end = moment("2024-03-01T00:00:00+00:00"), moment("2024-04-01T00:00:00+00:00")
    with time_machine.travel(moment("2024-03-17T00:00:00+00:00"), tick=False):
        keep_sums()
        assert callers_between(start, end, kept()) == 2
        first, second = (session.customer for session in Session.objects.order_by("session_id"))
        reassign_sessions(first, second)
        assert callers_between(start, end, kept()) == 1
        keep_sums()
        assert callers_between(start, end, kept()) == 1
        assert LateWrite.objects.count() == 0


def test_sums_that_differ_are_told_and_set_right(livetok, capsys):
    livetok.begin()
    livetok.end()
    livetok.begin(sessionId="the day after", timestamp="2024-03-16T10:30:00Z")
    keep_sums()
    HourSums.objects.filter(day="2024-03-15").update(denied=3)
    DayCell.objects.update(seconds=1)

    with pytest.raises(CommandError):
        call_command("verify_usage")
    call_command("verify_usage", "--repair")
    call_command("verify_usage")

    printed = capsys.readouterr().out
    assert "reports, 2024-03-15, the hour 10:00: the sums differ from a recount" in printed
    assert "reports, 2024-03-15, the whole day: the sums differ from a recount" in printed


def test_a_week_is_read_as_a_whole_until_one_of_its_days_changes(livetok):
    livetok.begin(timestamp="2024-03-12T10:30:00Z")
    start, end = moment("2024-03-10T00:00:00+00:00"), moment("2024-03-20T00:00:00+00:00")
    week = [date(2024, 3, 11)]

    with time_machine.travel("2024-03-18T00:04:59Z", tick=False):
        keep_sums()
        assert not WeekSums.objects.exists()
    with time_machine.travel("2024-03-18T00:05:00Z", tick=False):
        keep_sums()
        assert parts_between(start, end, kept()).weeks == week
        assert parts_between(start, moment("2024-03-17T23:59:00+00:00"), kept()).weeks == []
        assert parts_between(start, end, kept()).days_apart == [date(2024, 3, 10)]
        livetok.end(timestamp="2024-03-12T10:35:00Z")
        assert parts_between(start, end, kept()).weeks == []
        keep_sums()
        assert parts_between(start, end, kept()).weeks == week
        assert report_between(start, end, kept()).sums.total == (1, 1, 300)


def test_the_weeks_of_days_that_were_summed_before_there_were_weeks_are_made_up_for(livetok):
    livetok.begin()
    for now in ("2024-03-25T12:00:00Z", "2024-04-08T12:00:00Z"):
        with time_machine.travel(now, tick=False):
            keep_sums()
        assert {row.starts_on for row in WeekSums.objects.all()} == {date(2024, 3, 11)}
        WeekSums.objects.all().delete()


def test_sums_of_a_week_that_differ_are_told_and_set_right(livetok, capsys):
    livetok.begin()
    with time_machine.travel("2024-03-20T12:00:00Z", tick=False):
        keep_sums()
        WeekSums.objects.filter(is_test=False).update(callers=b"")

        with pytest.raises(CommandError):
            call_command("verify_usage")
        call_command("verify_usage", "--repair")
        call_command("verify_usage")

    printed = capsys.readouterr().out
    assert "reports, 2024-03-11, the whole week: the sums differ from a recount" in printed
    assert printed.endswith("Every sum equals its recount.\n")


def test_sums_are_rebuilt_from_the_sessions_alone(livetok):
    livetok.begin()
    livetok.end()
    HourSums.objects.create(starts_at=moment("2020-01-01T00:00:00+00:00"), day=date(2020, 1, 1), hour=0, sessions=5)

    call_command("rebuild_sums")

    assert [row.sessions for row in HourSums.objects.all()] == [1]
    assert list(sum_differences()) == []


def test_another_time_zone_of_the_companys_sums_everything_anew(livetok, settings):
    livetok.begin()
    keep_sums()
    settings.TIME_ZONE = "Pacific/Auckland"
    zone = ZoneInfo("Pacific/Auckland")
    assert_pages_are_right(zone, date(2024, 3, 14), date(2024, 3, 18))

    keep_sums()

    assert HourSums.objects.get().day == date(2024, 3, 15)
    assert HourSums.objects.get().hour == 23
    assert_pages_are_right(zone, date(2024, 3, 14), date(2024, 3, 18))


@pytest.mark.only("sqlite")
def test_summing_reads_no_more_sessions_however_many_are_stored(db):
    """Each hour's and day's sessions by an index that leads to them alone: never all durations, nor the whole table."""
    make_session(moment("2024-03-15T09:30:00+00:00"), seconds=60)
    make_session(moment("2024-03-15T09:40:00+00:00"), seconds=None)
    with CaptureQueriesContext(connection) as captured, time_machine.travel("2024-03-16T11:00:00Z", tick=False):
        keep_sums()

    plans = set()
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if 'FROM "sessions_app_session"' in query["sql"]:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plans |= {row[3] for row in cursor.fetchall() if "sessions_app_session" in row[3]}
    assert plans
    for plan in plans:
        by_start_or_end = "started_at>" in plan or "started_at<" in plan or "session_without_end" in plan
        assert by_start_or_end or plan.endswith("COVERING INDEX session_by_start"), plan


@pytest.mark.serial
@pytest.mark.only("postgresql")
@pytest.mark.django_db(transaction=True)
def test_an_hour_waits_for_transactions_that_may_still_take_it_for_the_running_one():
    livetok, now = make_livetok(), datetime.now(UTC)
    livetok.begin(timestamp=now.isoformat())
    known = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: known[name] for name in names if known.get(name)}) as other:
        other.execute("UPDATE sessions_app_session SET duration_seconds = 7")

        with time_machine.travel(now + timedelta(hours=5)):
            keep_sums()
            assert not HourSums.objects.exists()
            other.rollback()
            keep_sums()
            assert HourSums.objects.get().sessions == 1


# Durations


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_within_two_per_cent_of_the_exact_ones(seed):
    chance = random.Random(seed)
    spread = chance.choice([0.3, 1, 2])
    durations = sorted(
        min(86_400, int(chance.lognormvariate(5, spread))) for _ in range(chance.choice([1, 2, 19, 5000]))
    )
    buckets = Counter(map(bucket_of, durations))

    for share in (0, 0.05, 0.5, 0.95, 0.99, 1):
        place = share * (len(durations) - 1)
        low, high = durations[math.floor(place)], durations[math.ceil(place)]
        exact = low + (high - low) * (place - math.floor(place))
        assert percentile(buckets, share) == pytest.approx(exact, rel=0.02)


def test_every_duration_has_a_bucket_and_the_steps_are_exact():
    for seconds in [*range(4000), 86_399, 86_400]:
        bucket = bucket_of(seconds)
        assert EDGES[bucket] <= seconds < EDGES[bucket + 1]
    durations = [0, 9, 10, 29, 30, 59, 60, 179, 180, 299, 300, 599, 600, 1799, 1800, 86_400]

    assert [count for _, _, count in by_step(Counter(map(bucket_of, durations)))] == [2] * 8
    assert percentile({}, 0.5) is None


# Sessions at once


def test_where_one_ends_as_another_begins_they_are_not_at_once(db):
    begins = [moment(f"2024-03-15T09:{minute}:00Z") for minute in ("10", "20", "20", "30")]
    for at in begins:
        make_session(at, seconds=600)

    with time_machine.travel("2024-03-16T11:00:00Z", tick=False):
        keep_sums()

    peak = DayPeak.objects.get(day=date(2024, 3, 15), is_test=False, channel="")
    assert (peak.most, peak.reached_at) == (2, begins[1])


def test_the_most_at_once_equals_a_count_at_every_begin(db, settings_of_zone):
    zone = settings_of_zone("Europe/Madrid")
    chance = random.Random(3)
    channels = [make_channel("web"), make_channel("telephony")]
    day = date(2024, 3, 15)
    start = starts_at(day, zone)
    for _ in range(150):
        at = start + timedelta(minutes=chance.randrange(-900, 1500))
        kind = chance.choice(["ended"] * 6 + ["none", "denied"])
        fields = {"channel": chance.choice(channels), "is_test": chance.random() < 0.3}
        if kind == "denied":
            denied(at, **fields)
        else:
            seconds = None if kind == "none" else chance.choice([0, 60, 600, 7200, 50_000])
            make_session(at, seconds=seconds, **fields)
    now = start + timedelta(days=2)

    with time_machine.travel(now, tick=False):
        keep_sums()

    found = {(peak.is_test, peak.channel): peak.most for peak in DayPeak.objects.filter(day=day)}
    until = starts_at(day + timedelta(days=1), zone)
    expected = defaultdict(int)
    sessions = [session for session in Session.objects.all() if session.allowed]
    for instant in {start, *(session.started_at for session in sessions)}:
        if start <= instant < until:
            at_once = Counter()
            for session in sessions:
                end = min(session.open_until, now)
                if session.has_end:
                    end = session.started_at + timedelta(seconds=session.duration_seconds)
                if session.started_at <= instant < end:
                    at_once.update([(session.is_test, ""), (session.is_test, session.channel_id)])
            for place, count in at_once.items():
                expected[place] = max(expected[place], count)
    assert found == expected
