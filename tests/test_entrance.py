"""The entrance before Django: whole bodies, and places that are given back."""

import io

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from config import rooms
from config.entrance import LARGEST_BODY, LARGEST_SIGN_IN, Entrance
from config.minutes import Minutes
from config.rooms import KNOCKING, PEOPLE, TAKING, THREADS
from customers.keys import create_key, forget_keys, learn_keys

pytestmark = pytest.mark.django_db  # the end of a request looks after connections


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(rooms, "LINE_SECONDS", 0.01)
    monkeypatch.setattr(rooms, "minutes", Minutes())  # else other tests' health would tell of these


def ask(application, body=b"", path="/admin/", **environ):
    """The status, and the answer that is still to be taken."""
    environ = {
        "PATH_INFO": path,
        "REQUEST_METHOD": "POST",
        "REMOTE_ADDR": "192.0.2.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    } | environ
    statuses = []
    answer = Entrance(application)(environ, lambda status, headers: statuses.append(status))
    return int(statuses[0][:3]) if statuses else None, answer


def django_answers(environ, start_response):
    start_response("200 OK", [])
    return HttpResponse(environ["wsgi.input"].read())


def django_streams(environ, start_response):
    start_response("200 OK", [])
    return StreamingHttpResponse([b"one", b"two"])


def django_fails(environ, start_response):
    raise ZeroDivisionError


def test_a_body_is_there_before_a_place_is_taken():
    status, answer = ask(django_answers, b"x" * 300_000)

    assert (status, b"".join(answer)) == (200, b"x" * 300_000)
    answer.close()


def test_a_body_in_chunks_too():
    status, answer = ask(django_answers, b"x" * 300_000, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="Chunked")

    assert (status, b"".join(answer)) == (200, b"x" * 300_000)
    answer.close()


def test_a_body_that_is_cut_short_is_not_worked_on():
    assert ask(django_fails, b"half", CONTENT_LENGTH="8")[0] == 408


@pytest.mark.parametrize(
    "changes",
    [
        {"CONTENT_LENGTH": str(LARGEST_BODY + 1)},
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(b"x" * (LARGEST_BODY + 1))},
    ],
)
def test_a_body_that_is_too_large_is_not_worked_on(changes):
    assert ask(django_fails, **changes)[0] == 413


def test_pages_wait_for_a_place_and_are_turned_away_where_none_comes():
    taken = [ask(django_answers)[1] for _ in range(PEOPLE.at_once)]

    assert ask(django_answers)[0] == 503
    taken.pop().close()
    taken.append(ask(django_answers)[1])
    assert ask(django_answers)[0] == 503
    for answer in taken:
        answer.close()


@pytest.mark.parametrize("path", ["/webhooks/livetok", "/webhooks/livetok/begin", "/healthz", "/readyz"])
def test_full_pages_keep_neither_livetok_nor_health_out(path):
    taken = [ask(django_answers)[1] for _ in range(PEOPLE.at_once)]

    status, answer = ask(django_answers, path=path)

    assert status == 200
    for one in [*taken, answer]:
        one.close()


def at_the_webhook(**environ):
    return ask(django_answers, path="/webhooks/livetok/begin", **environ)


@pytest.mark.parametrize("scope", [None, "read"])
def test_who_knocks_without_a_known_key_keeps_livetok_not_out(scope):
    _, secret = create_key("LiveTok", ["webhook"])
    key = create_key("A script", [scope])[1] if scope else "wrong"
    knocking = [at_the_webhook(HTTP_X_API_KEY=key)[1] for _ in range(KNOCKING.at_once)]
    assert at_the_webhook(HTTP_X_API_KEY=secret)[0] == 503, "this process does not know the key yet"
    learn_keys()

    answers = [at_the_webhook(HTTP_X_API_KEY=secret), at_the_webhook(HTTP_AUTHORIZATION=f"Bearer {secret}")]

    assert [status for status, _ in answers] == [200, 200]
    assert at_the_webhook(REQUEST_METHOD="GET")[0] == 503
    for answer in [*knocking, *(answer for _, answer in answers)]:
        answer.close()
    forget_keys()


@pytest.mark.parametrize("path", ["/webhooks/livetok/none", "/webhooks/livetoken", "/healthz-x", "/readyz/more"])
def test_only_the_addresses_themselves_have_a_room(path):
    taken = [ask(django_answers)[1] for _ in range(PEOPLE.at_once)]

    assert ask(django_answers, path=path)[0] == 503
    for answer in taken:
        answer.close()


def test_a_sign_in_takes_no_more_than_a_name_and_a_password():
    assert ask(django_fails, path="/accounts/login/", CONTENT_LENGTH=str(LARGEST_SIGN_IN + 1))[0] == 413


def test_a_sign_in_has_places_of_its_own():
    taken = [ask(django_answers)[1] for _ in range(PEOPLE.at_once)]

    status, answer = ask(django_answers, path="/accounts/login/")

    assert status == 200
    for one in [*taken, answer]:
        one.close()


def test_what_fails_gives_its_place_back():
    for _ in range(PEOPLE.at_once + 1):
        with pytest.raises(ZeroDivisionError):
            ask(django_fails)

    status, answer = ask(django_answers)
    assert status == 200
    answer.close()


@pytest.mark.parametrize("is_taken_whole", [True, False])
def test_while_a_client_takes_a_part_another_has_the_place(is_taken_whole):
    answers = [ask(django_streams)[1] for _ in range(PEOPLE.at_once)]
    parts = [iter(answer) for answer in answers]
    assert [next(one) for one in parts] == [b"one"] * PEOPLE.at_once

    status, page = ask(django_answers)
    assert status == 200
    page.close()
    for answer, rest in zip(answers, parts, strict=True):
        assert not is_taken_whole or list(rest) == [b"two"]
        answer.close()

    taken = [ask(django_answers)[1] for _ in range(PEOPLE.at_once)]
    assert ask(django_answers)[0] == 503
    for answer in taken:
        answer.close()
    assert not TAKING._inside


def test_an_address_keeps_few_of_the_places_for_who_is_slow():
    assert [TAKING.enter("a") for _ in range(TAKING.per_address + 1)] == [True] * TAKING.per_address + [False]
    assert TAKING.enter("b")
    TAKING.leave("a")
    assert TAKING.enter("a")
    for address in ["a"] * TAKING.per_address + ["b"]:
        TAKING.leave(address)


def test_a_begin_finds_a_thread_when_all_others_are_taken():
    others = [room for room in rooms.ROOMS if room is not rooms.LIVETOK]

    assert sum(room.most_inside for room in others) + rooms.LIVETOK.at_once < THREADS
