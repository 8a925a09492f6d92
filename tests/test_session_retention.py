"""Sessions that are too old are deleted; what was summed and billed of them stays."""

from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from automations.models import Delivery, Firing
from automations.rules.judging import judge
from config.checks import check_session_retention
from sessions_app.billing.closing import MonthIsGone, close_month
from sessions_app.billing.statements import Month
from sessions_app.models import (
    DailyUsage,
    DayCell,
    HourSums,
    LateWrite,
    PastMonthWrite,
    Session,
    StatementLine,
    SumsMark,
    SupersededEnd,
    WebhookEvent,
)
from sessions_app.recording import pruning
from sessions_app.recording.pruning import LEAST_RETENTION_DAYS, prune_sessions
from sessions_app.sums.keeping import keep_sums
from tests.builders import make_customer
from tests.following import make_destination, make_rule
from tests.personal import hours_ago
from tests.staff import staff, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _hundred_days(settings, monkeypatch):
    settings.SESSION_RETENTION_DAYS = 100
    monkeypatch.setattr(pruning.clock, "may_be_believed", lambda: True)


def call(livetok, session_id, days_ago, **changes):
    """A call then, heard then, whose end was corrected."""
    began = hours_ago(24 * days_ago)
    with time_machine.travel(began):
        livetok.begin(sessionId=session_id, timestamp=began.isoformat(), **changes)
        for seconds in (60, 90):
            ended = (began + timedelta(seconds=seconds)).isoformat()
            livetok.end(sessionId=session_id, timestamp=ended, duration=seconds, **changes)
        judge.judge()


def verified() -> str:
    out = StringIO()
    call_command("verify_usage", stdout=out)
    return out.getvalue()


def test_old_sessions_go_with_all_that_hangs_on_them_and_sums_stay(livetok, monkeypatch):
    monkeypatch.setattr(pruning, "SESSIONS_AT_ONCE", 2)
    customer = make_customer()
    make_rule("ended", make_destination(), active_since=hours_ago(24 * 400))
    for number, days in enumerate((300, 200, 150, 120, 95, 1)):
        call(livetok, f"s{number}", days)
    Delivery.objects.update(finished_at=timezone.now(), state="delivered")
    sums = list(DailyUsage.objects.order_by("pk").values()), DayCell.objects.count
    assert prune_sessions() == 0, "nothing goes that is not summed"
    keep_sums()
    days = sums[1]()

    assert prune_sessions() == 4
    keep_sums()

    assert set(Session.objects.values_list("session_id", flat=True)) == {"s4", "s5"}
    for model in (WebhookEvent, SupersededEnd, Firing, Delivery):
        assert model.objects.count() == {WebhookEvent: 6, SupersededEnd: 2, Firing: 2, Delivery: 2}[model]
    assert list(DailyUsage.objects.order_by("pk").values()) == sums[0]
    assert DayCell.objects.count() == days
    said = verified()
    assert "were deleted by age" in said
    assert "Every sum equals its recount." in said
    page = text_of(staff("viewers").get(f"/reports/customers/{customer.pk}/"))
    assert "deleted by age" not in page


def test_reports_of_days_whose_sessions_are_gone_still_show_sums_and_say_so(livetok, viewer):
    make_customer()
    call(livetok, "old", 150)
    keep_sums()
    day = hours_ago(24 * 150).date()
    address = f"/reports/?first_day={day}&last_day={day}"
    before = text_of(viewer.get(address))

    prune_sessions()

    after = text_of(viewer.get(address))
    assert "were deleted by age" in after
    assert HourSums.objects.filter(day=day).get().sessions == 1
    assert ("deleted by age" in before, Session.objects.count()) == (False, 0)


def test_what_comes_late_of_then_changes_no_sum_that_cannot_be_counted_again(livetok):
    make_customer()
    call(livetok, "old", 150)
    call(livetok, "old too", 150)
    keep_sums()
    prune_sessions()
    began = hours_ago(24 * 150)

    livetok.begin(sessionId="replayed", timestamp=began.isoformat())
    keep_sums()

    assert sum(row.sessions for row in HourSums.objects.all()) == 2
    assert not LateWrite.objects.exists()
    # Heard just now, so it stays, whenever it is said to have begun.
    assert (prune_sessions(), Session.objects.count()) == (0, 1)
    assert "Every sum equals its recount." in verified()
    call_command("rebuild_sums", stdout=StringIO())
    assert sum(row.sessions for row in HourSums.objects.all()) == 2
    assert "Every sum equals its recount." in verified()


def test_closed_statements_stay_and_months_that_are_gone_are_neither_closed_nor_corrected(livetok, viewer):
    make_customer()
    boss = User.objects.create_user("boss")
    call(livetok, "s1", 190)
    call(livetok, "s2", 150)
    first, second = (Month.holding(hours_ago(24 * days).date()) for days in (190, 150))
    with time_machine.travel(hours_ago(24 * 110)):
        close_month(first, boss)
    keep_sums()
    # What nobody has billed waits, where months are closed.
    prune_sessions()
    assert list(Session.objects.values_list("session_id", flat=True)) == ["s2"]
    with time_machine.travel(hours_ago(24)):
        close_month(second, boss)
    assert prune_sessions() == 1

    lines = list(StatementLine.objects.order_by("pk").values())
    for address in (f"?month={second.first_day:%Y-%m}", f"{lines[-1]['customer_number']}/{second.first_day:%Y-%m}/"):
        assert "−" not in text_of(viewer.get(f"/reports/statements/{address}"))  # as a correction would have
    with pytest.raises(MonthIsGone):
        close_month(first.previous, boss)
    PastMonthWrite.objects.create(
        customer_number=lines[0]["customer_number"], month=first.first_day, noted_at=timezone.now()
    )
    close_month(Month.holding(hours_ago(24 * 40).date()), boss)
    assert list(StatementLine.objects.order_by("pk").values()) == lines
    assert {line["of_month"] for line in lines} == {first.first_day, second.first_day}


@pytest.mark.parametrize("days, is_wrong", [(0, False), (1, True), (LEAST_RETENTION_DAYS - 1, True), (100, False)])
def test_a_number_of_days_that_promises_cannot_live_with_is_refused(settings, days, is_wrong):
    settings.SESSION_RETENTION_DAYS = days

    assert bool(check_session_retention()) == is_wrong


def test_nothing_is_deleted_unless_it_is_asked_for(livetok, settings):
    settings.SESSION_RETENTION_DAYS = 0
    call(livetok, "old", 900)
    keep_sums()

    assert (prune_sessions(), Session.objects.count(), SumsMark.objects.get().sessions_since) == (0, 1, None)
