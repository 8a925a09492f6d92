"""`verify_usage`: finds what differs, sets it right, and is not misled by sessions that come meanwhile."""

import json
import threading
import time
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import close_old_connections, connections

from customers.defaults import make_defaults
from sessions_app.livetok.delivery import Delivery
from sessions_app.models import DailyUsage
from sessions_app.usage.recount import differences
from sessions_app.webhook.reception import receive
from tests.builders import LiveTok, begin_body, end_body, make_customer, make_tier


def test_a_sum_that_differs_is_told_with_status_1_and_set_right(livetok: LiveTok, capsys):
    make_customer(time_zone="Europe/Madrid")
    livetok.begin()
    livetok.end()
    call_command("verify_usage")
    DailyUsage.objects.update(sessions=7, call_seconds=0)
    DailyUsage.objects.create(customer_id=DailyUsage.objects.get().customer_id, day="2020-01-01", sessions=1)

    with pytest.raises(CommandError) as error:
        call_command("verify_usage")
    call_command("verify_usage", "--repair")
    call_command("verify_usage")

    assert error.value.returncode == 1
    printed = capsys.readouterr().out
    assert "2024-03-15, channel whatsapp, agent 1: kept 7 sessions, 300 s, 0 s of calls, counted 1 sessions" in printed
    assert "2020-01-01" in printed
    assert DailyUsage.objects.get(day="2024-03-15").call_seconds == 300


def send(body: dict) -> None:
    receive(json.dumps(body).encode(), route="", received_at=datetime.now(UTC), delivery=Delivery())


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_sessions_that_come_meanwhile_make_no_difference():
    make_defaults()
    make_customer(make_tier())
    send(begin_body(sessionId="before"))
    deadline = time.monotonic() + 4
    counted, broken = [], []

    def traffic(name: int) -> None:
        number = 0
        try:
            while time.monotonic() < deadline:
                number += 1
                send(begin_body(sessionId=f"{name}-{number}"))
                send(end_body(sessionId=f"{name}-{number}"))
                close_old_connections()
            counted.append(number)
        except Exception as error:
            broken.append(error)
            raise
        finally:
            connections.close_all()

    threads = [threading.Thread(target=traffic, args=[name]) for name in range(3)]
    for thread in threads:
        thread.start()
    rounds = 0
    found = []
    while time.monotonic() < deadline:
        found += differences(repair=rounds % 2 == 1)
        rounds += 1
    for thread in threads:
        thread.join()

    assert broken == []
    assert (found, list(differences())) == ([], [])
    assert rounds > 3
    assert sum(counted) > 3
