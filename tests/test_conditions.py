"""Which of a rule's conditions does not hold."""

from datetime import datetime, time, timedelta

import pytest

from automations.rules.conditions import Conditions, Subject, failed_condition

pytestmark = pytest.mark.pure

FRIDAY = datetime(2024, 3, 15, 10, 30)
NOBODY = Subject(FRIDAY)
SESSION = Subject(FRIDAY, tier=1, channel="web", agent="7", customer=3, reason="sessions_day", duration_seconds=60)


@pytest.mark.parametrize(
    ("asked", "subject", "failed"),
    [
        (Conditions(), NOBODY, ""),
        (Conditions(), Subject(FRIDAY, is_test=True), "test"),
        (Conditions(covers_tests=True), Subject(FRIDAY, is_test=True), ""),
        (Conditions(tiers=[1, 2]), SESSION, ""),
        (Conditions(tiers=[2]), SESSION, "tier"),
        (Conditions(tiers=[2]), NOBODY, "tier"),
        (Conditions(channels=["web"]), SESSION, ""),
        (Conditions(channels=["telephony"]), SESSION, "channel"),
        (Conditions(agents=["7"]), SESSION, ""),
        (Conditions(agents=["8"]), SESSION, "agent"),
        (Conditions(customers=[3]), SESSION, ""),
        (Conditions(customers=[4]), SESSION, "customer"),
        (Conditions(reasons=["sessions_day"]), SESSION, ""),
        (Conditions(reasons=["emergency_deny"]), SESSION, "reason"),
        (Conditions(least_duration_seconds=60), SESSION, ""),
        (Conditions(least_duration_seconds=61), SESSION, "shorter"),
        (Conditions(least_duration_seconds=0), NOBODY, "no duration"),
        (Conditions(weekdays=[4]), NOBODY, ""),
        (Conditions(weekdays=[0, 5]), NOBODY, "day of the week"),
        (Conditions(from_time=time(10, 30)), NOBODY, ""),
        (Conditions(from_time=time(10, 31)), NOBODY, "time of day"),
        (Conditions(until_time=time(10, 30)), NOBODY, "time of day"),
        (Conditions(until_time=time(10, 31)), NOBODY, ""),
        (Conditions(from_time=time(9), until_time=time(17)), NOBODY, ""),
        (Conditions(from_time=time(22), until_time=time(6)), NOBODY, "time of day"),
    ],
)
def test_the_first_condition_that_does_not_hold_is_told(asked, subject, failed):
    told = failed_condition(asked, subject)

    assert failed in told
    assert bool(failed) == bool(told)


@pytest.mark.parametrize(("hours", "holds"), [(-1, False), (0, True), (7, True), (8, False), (24, False)])
def test_hours_over_midnight_belong_to_the_day_they_began_on(hours, holds):
    asked = Conditions(weekdays=[4], from_time=time(22), until_time=time(6))
    at = datetime(2024, 3, 15, 22) + timedelta(hours=hours)

    assert (failed_condition(asked, Subject(at)) == "") is holds
