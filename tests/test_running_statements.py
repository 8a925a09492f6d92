"""What `statements` hands to the driver by itself reads and writes as Django does, and is given up in time."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import IntegrityError, OperationalError, connection, connections
from django.db import transaction as django_transaction

from sessions_app.database import prepared
from sessions_app.database.prepared import IS_SQLITE, fetch
from sessions_app.models import WebhookEvent

TABLE = WebhookEvent._meta.db_table
WEST = timezone(timedelta(hours=-8))
INSERT = f"""INSERT INTO {TABLE} (received_at, event, session_id, is_test, verdict, status, error, took_ms, key,
address, route, body, processed_again_at)
VALUES (%(at)s, '', %(session)s, %(test)s, %(verdict)s, %(status)s, '', %(ms)s, '', '', '', %(body)s, %(again)s)
RETURNING id"""
VALUES = {
    "at": datetime(2024, 3, 31, 1, 59, 59, 999999, tzinfo=WEST),
    "session": "Grüß 'Gott' %s $1 :name \\ \U0001f600",
    "test": True,
    "verdict": WebhookEvent.Verdict.ACCEPTED,
    "status": 200,
    "ms": 0.125,
    "body": bytes(range(256)),
    "again": None,
}


def write(**changes) -> WebhookEvent:
    ((pk,),) = fetch(INSERT, VALUES | changes)
    return WebhookEvent.objects.get(pk=int(pk))


def test_every_kind_of_value_is_stored_as_django_stores_it(db):
    row = write()

    twin = WebhookEvent.objects.create(
        received_at=VALUES["at"],
        session_id=VALUES["session"],
        is_test=True,
        verdict="accepted",
        status=200,
        took_ms=0.125,
        body=VALUES["body"],
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {TABLE} ORDER BY id")
        stored, djangos = ([bytes(v) if isinstance(v, memoryview) else v for v in row] for row in cursor.fetchall())
    assert stored[1:] == djangos[1:]
    assert (row.received_at, bytes(row.body), row.session_id) == (VALUES["at"], VALUES["body"], VALUES["session"])
    assert twin.received_at == row.received_at


@pytest.mark.parametrize(
    "at", [datetime(2024, 3, 31, 9, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=WEST)]
)
def test_moments_with_and_without_a_fraction_are_found_by_django(db, at):
    row = write(at=at)

    assert WebhookEvent.objects.get(received_at=at) == row


def test_texts_and_nothing_are_read(db):
    select = "SELECT CAST(%(text)s AS varchar(90)), CAST(%(nothing)s AS varchar(9)), CAST(%(number)s AS integer)"

    ((text, nothing, number),) = fetch(select, {"text": "Grüß 'Gott'", "nothing": None, "number": -7})

    assert (text, nothing, int(number)) == ("Grüß 'Gott'", None, -7)


def test_a_parameter_may_stand_in_several_places(db):
    ((a, b, c),) = fetch(
        "SELECT CAST(%(a)s AS varchar(9)), CAST(%(b)s AS varchar(9)), CAST(%(a)s AS varchar(9))", {"a": "x", "b": "y"}
    )

    assert (a, b, c) == ("x", "y", "x")


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_is_raised_as_djangos_error_and_the_connection_goes_on():
    with pytest.raises(IntegrityError):
        write(verdict=None)

    assert write().pk


@pytest.mark.django_db(transaction=True)
def test_it_is_part_of_a_transaction_of_djangos():
    with pytest.raises(ZeroDivisionError), django_transaction.atomic():  # noqa: PT012 - what is undone
        write()
        raise ZeroDivisionError

    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_somebody_elses_lock_holds_up_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(prepared, "STATEMENT_SECONDS", 0.2)
    row = write()
    if IS_SQLITE:
        fetch("PRAGMA busy_timeout = 200", {})
    held, done = threading.Event(), threading.Event()

    def hold():
        with django_transaction.atomic():
            WebhookEvent.objects.filter(pk=row.pk).update(status=500)
            held.set()
            done.wait(10)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    update = f"UPDATE {TABLE} SET status = 400 WHERE id = %(id)s RETURNING id"
    try:
        with pytest.raises(OperationalError):
            fetch(update, {"id": row.pk})
    finally:
        done.set()
        holder.join()
        if IS_SQLITE:
            fetch("PRAGMA busy_timeout = 5000", {})

    assert len(fetch(update, {"id": row.pk})) == 1
