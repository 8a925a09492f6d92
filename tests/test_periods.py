"""Days, weeks and months in time zones, through every change of the clock."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customers.limits import Period
from sessions_app.periods import local_day, same_time_on, seconds_by_day, span_of, starts_at
from tests.builders import moment

pytestmark = pytest.mark.pure

ZONES = sorted(available_timezones() - {"Factory", "localtime"})
# Clocks that skip midnight, skip a whole day, go back over midnight, or change by odd amounts.
ODD_ZONES = [
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Apia",
    "America/St_Johns",
    "Asia/Gaza",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Kwajalein",
    "Asia/Kathmandu",
    "Europe/Berlin",
]
zones = st.one_of(st.sampled_from(ODD_ZONES), st.sampled_from(ZONES)).map(ZoneInfo)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))


def hours_of(day: str, zone: str) -> float:
    first, zone_info = date.fromisoformat(day), ZoneInfo(zone)
    return (starts_at(first + timedelta(days=1), zone_info) - starts_at(first, zone_info)) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "zone", "start"),
    [
        ("2024-03-15", "UTC", "2024-03-15T00:00:00Z"),
        ("2024-03-15", "Europe/Berlin", "2024-03-14T23:00:00Z"),
        ("2024-07-15", "Europe/Berlin", "2024-07-14T22:00:00Z"),
        ("2024-03-15", "America/New_York", "2024-03-15T04:00:00Z"),
        ("2024-03-15", "Asia/Kathmandu", "2024-03-14T18:15:00Z"),
        # 00:00 is skipped, the day starts at 01:00.
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        ("2024-03-10", "America/Havana", "2024-03-10T05:00:00Z"),
        ("2024-03-31", "Asia/Beirut", "2024-03-30T22:00:00Z"),
        ("2024-04-26", "Africa/Cairo", "2024-04-25T22:00:00Z"),
        # The clock went from 23:30 to 00:30; none has done so since 1970, and one may again.
        ("1919-03-31", "America/Toronto", "1919-03-31T04:30:00Z"),
        # 00:00 comes twice, the day starts with the first.
        ("2024-11-03", "America/Havana", "2024-11-03T04:00:00Z"),
        # The clock goes back from 00:01 to yesterday's 23:01.
        ("2010-11-07", "America/St_Johns", "2010-11-07T02:30:00Z"),
        # No 30 December 2011.
        ("2011-12-29", "Pacific/Apia", "2011-12-29T10:00:00Z"),
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ],
)
def test_midnight_is_the_first_instant_of_the_local_day(day, zone, start):
    assert starts_at(date.fromisoformat(day), ZoneInfo(zone)) == moment(start)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2024-03-30", "Europe/Berlin", 24),
        ("2024-03-31", "Europe/Berlin", 23),
        ("2024-10-27", "Europe/Berlin", 25),
        ("2018-11-04", "America/Sao_Paulo", 23),
        ("2018-02-17", "America/Sao_Paulo", 25),
        ("2024-03-10", "America/Havana", 23),
        ("2024-11-03", "America/Havana", 25),
        ("2024-03-31", "Asia/Beirut", 23),
        ("2024-10-26", "Asia/Beirut", 25),
        ("2024-04-07", "Australia/Lord_Howe", 24.5),
        ("2011-12-29", "Pacific/Apia", 24),
        ("2011-12-30", "Pacific/Apia", 0),
        ("2010-11-07", "America/St_Johns", 25),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(day, zone, hours):
    assert hours_of(day, zone) == hours


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        ("2024-03-14T22:59:59Z", "Europe/Berlin", "2024-03-14"),
        ("2024-03-14T23:00:00Z", "Europe/Berlin", "2024-03-15"),
        ("2018-11-04T02:59:59.999999Z", "America/Sao_Paulo", "2018-11-03"),
        ("2018-11-04T03:00:00Z", "America/Sao_Paulo", "2018-11-04"),
        ("2011-12-30T09:59:59Z", "Pacific/Apia", "2011-12-29"),
        ("2011-12-30T10:00:00Z", "Pacific/Apia", "2011-12-31"),
        # The wall shows 6 November once more; the 7th has begun and stays.
        ("2010-11-07T02:30:30Z", "America/St_Johns", "2010-11-07"),
        ("2010-11-07T02:31:30Z", "America/St_Johns", "2010-11-07"),
        ("2010-11-07T02:29:59Z", "America/St_Johns", "2010-11-06"),
    ],
)
def test_a_moment_belongs_to_the_day_whose_first_instant_came_last(at, zone, day):
    assert local_day(moment(at), ZoneInfo(zone)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("period", "at", "first", "after_last", "start", "reset"),
    [
        (Period.DAY, "2024-03-15T10:30Z", "2024-03-15", "2024-03-16", "2024-03-14T23:00Z", "2024-03-15T23:00Z"),
        (Period.WEEK, "2024-03-15T10:30Z", "2024-03-11", "2024-03-18", "2024-03-10T23:00Z", "2024-03-17T23:00Z"),
        (Period.WEEK, "2024-03-11T00:00Z", "2024-03-11", "2024-03-18", "2024-03-10T23:00Z", "2024-03-17T23:00Z"),
        (Period.WEEK, "2024-03-10T22:59:59Z", "2024-03-04", "2024-03-11", "2024-03-03T23:00Z", "2024-03-10T23:00Z"),
        (Period.WEEK, "2024-03-31T12:00Z", "2024-03-25", "2024-04-01", "2024-03-24T23:00Z", "2024-03-31T22:00Z"),
        (Period.MONTH, "2024-03-15T10:30Z", "2024-03-01", "2024-04-01", "2024-02-29T23:00Z", "2024-03-31T22:00Z"),
        (Period.MONTH, "2024-12-31T22:59Z", "2024-12-01", "2025-01-01", "2024-11-30T23:00Z", "2024-12-31T23:00Z"),
        (Period.MONTH, "2024-12-31T23:00Z", "2025-01-01", "2025-02-01", "2024-12-31T23:00Z", "2025-01-31T23:00Z"),
        (Period.MONTH, "2024-02-29T12:00Z", "2024-02-01", "2024-03-01", "2024-01-31T23:00Z", "2024-02-29T23:00Z"),
    ],
)
def test_weeks_start_on_monday_and_months_on_the_first(period, at, first, after_last, start, reset):
    span = span_of(period, moment(at), ZoneInfo("Europe/Berlin"))

    assert (span.first_day, span.after_last_day) == (date.fromisoformat(first), date.fromisoformat(after_last))
    assert (span.starts_at, span.resets_at) == (moment(start), moment(reset))
    assert span.holds(span.first_day)
    assert span.holds(span.after_last_day - timedelta(days=1))
    assert not span.holds(span.first_day - timedelta(days=1))
    assert not span.holds(span.after_last_day)


def test_concurrent_sessions_have_no_period():
    with pytest.raises(ValueError, match="no period"):
        span_of(Period.NONE, moment("2024-03-15T10:30Z"), ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("start", "seconds", "zone", "days"),
    [
        ("2024-03-15T10:30:00Z", 300, "UTC", {"2024-03-15": 300}),
        ("2024-03-15T10:30:00Z", 0, "UTC", {}),
        ("2024-03-15T23:58:00Z", 300, "UTC", {"2024-03-15": 120, "2024-03-16": 180}),
        ("2024-03-15T23:58:00Z", 120, "UTC", {"2024-03-15": 120}),
        ("2024-03-16T00:00:00Z", 60, "UTC", {"2024-03-16": 60}),
        ("2024-03-15T22:58:00Z", 300, "Europe/Berlin", {"2024-03-15": 120, "2024-03-16": 180}),
        ("2024-02-29T23:59:00Z", 120, "UTC", {"2024-02-29": 60, "2024-03-01": 60}),
        ("2024-03-14T23:30:00Z", 86400, "UTC", {"2024-03-14": 1800, "2024-03-15": 84600}),
        # A second across midnight belongs to the day on which it ends.
        ("2024-03-15T23:59:59.5Z", 1, "UTC", {"2024-03-16": 1}),
        ("2024-03-15T23:59:58.5Z", 2, "UTC", {"2024-03-15": 1, "2024-03-16": 1}),
        # A day of 23 hours lies wholly inside 24 hours.
        (
            "2024-03-30T22:30:00Z",
            86400,
            "Europe/Berlin",
            {"2024-03-30": 1800, "2024-03-31": 23 * 3600, "2024-04-01": 1800},
        ),
        ("2024-10-26T22:00:00Z", 86400, "Europe/Berlin", {"2024-10-27": 86400}),
        ("2018-11-04T02:59:00Z", 120, "America/Sao_Paulo", {"2018-11-03": 60, "2018-11-04": 60}),
        ("2011-12-30T09:59:00Z", 120, "Pacific/Apia", {"2011-12-29": 60, "2011-12-31": 60}),
    ],
)
def test_a_session_is_split_at_local_midnight(start, seconds, zone, days):
    split = seconds_by_day(moment(start), seconds, ZoneInfo(zone))

    assert {str(day): part for day, part in split.items()} == days


@given(moments, st.integers(0, 24 * 3600), zones)
@example(moment("2011-12-30T09:00:00Z"), 86400, ZoneInfo("Pacific/Apia"))
@example(moment("2010-11-07T02:00:00.5Z"), 86400, ZoneInfo("America/St_Johns"))
def test_the_seconds_of_the_days_add_up_to_the_seconds(start, seconds, zone):
    days = seconds_by_day(start, seconds, zone)

    assert sum(days.values()) == seconds
    assert all(part > 0 for part in days.values())
    assert list(days) == sorted(days)
    end = start + timedelta(seconds=seconds)
    for day, part in days.items():
        overlap = min(end, starts_at(day + timedelta(days=1), zone)) - max(start, starts_at(day, zone))
        assert abs(overlap.total_seconds() - part) < 1


@given(st.dates(date(1971, 1, 1), date(2199, 1, 1)), zones)
@example(date(2011, 12, 29), ZoneInfo("Pacific/Apia"))
@example(date(2018, 11, 3), ZoneInfo("America/Sao_Paulo"))
def test_days_tile_time(day, zone):
    """Each day begins where the one before it ends, and its first and last instants are its own."""
    start, end = starts_at(day, zone), starts_at(day + timedelta(days=1), zone)

    assert start <= end
    assert end - start <= timedelta(hours=48)
    if start < end:
        assert local_day(start, zone) == local_day(end - timedelta(microseconds=1), zone) == day
        assert local_day(start - timedelta(microseconds=1), zone) < day


@given(moments, st.sampled_from([Period.DAY, Period.WEEK, Period.MONTH]), zones)
@example(moment("2011-12-30T10:00:00Z"), Period.DAY, ZoneInfo("Pacific/Apia"))
@example(moment("2010-11-07T02:31:30Z"), Period.DAY, ZoneInfo("America/St_Johns"))
def test_a_period_holds_its_moment_and_the_next_one_follows_without_a_gap(at, period, zone):
    span = span_of(period, at, zone)

    assert span.starts_at <= at < span.resets_at
    assert span.holds(local_day(at, zone))
    assert span_of(period, span.starts_at, zone) == span
    assert span_of(period, span.resets_at, zone).starts_at == span.resets_at
    if period is Period.WEEK:
        assert span.first_day.weekday() == 0
        assert (span.after_last_day - span.first_day).days == 7
    if period is Period.MONTH:
        assert span.first_day.day == span.after_last_day.day == 1


@given(moments, zones)
def test_the_wall_clock_agrees_with_the_day_but_where_it_goes_back_over_midnight(at, zone):
    wall = at.astimezone(zone).date()

    assert local_day(at, zone) in (wall, wall + timedelta(days=1))


@pytest.mark.parametrize(
    "now, then",
    [
        ("2026-03-29T12:00:00+02:00", "2026-03-22T12:00:00+01:00"),
        ("2026-04-05T12:00:00+02:00", "2026-03-29T12:00:00+02:00"),
        ("2026-04-05T23:30:00+02:00", "2026-03-29T23:30:00+02:00"),
        ("2026-11-01T23:45:00+01:00", "2026-10-25T23:45:00+01:00"),
    ],
)
def test_the_same_time_a_week_ago_is_what_the_wall_showed(now, then):
    zone = ZoneInfo("Europe/Berlin")
    day = local_day(moment(now), zone) - timedelta(weeks=1)

    assert same_time_on(day, moment(now), zone) == moment(then)


@given(moments, moments, zones)
def test_the_same_time_is_within_the_day(at, other, zone):
    day = local_day(other, zone)

    assert starts_at(day, zone) <= same_time_on(day, at, zone) <= starts_at(day + timedelta(days=1), zone)
