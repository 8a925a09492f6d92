"""A page's statement that takes too long is stopped, and somebody is told so."""

import pytest
from django.db import connection
from django.http import HttpResponse
from django.urls import path

from config import time_limit, urls
from tests.builders import LiveTok
from tests.staff import text_of

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT count(*) FROM n"

handler500 = urls.handler500
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def counting(request):
    with connection.cursor() as cursor:
        cursor.execute(ENDLESS.format(request.GET["to"]))
        return HttpResponse(str(cursor.fetchone()[0]))


urlpatterns = [path("counting/", counting), path("api/counting/", counting), *urls.urlpatterns]


@pytest.fixture
def impatient(client, monkeypatch):
    monkeypatch.setattr(time_limit, "STATEMENT_SECONDS", 0.2)
    client.raise_request_exception = False
    return client


def test_a_page_that_takes_too_long_is_answered_in_words(impatient):
    response = impatient.get("/counting/?to=10000000000")

    assert response.status_code == 503
    assert "worked on this for 30 seconds and was stopped" in text_of(response)


def test_a_script_gets_the_same_as_json(impatient):
    response = impatient.get("/api/counting/?to=10000000000")

    assert response.status_code == 503
    assert "Choose a shorter period" in response.json()["detail"]


def test_a_quick_page_and_what_follows_it_are_left_alone(impatient, livetok: LiveTok):
    assert impatient.get("/counting/?to=100000").content == b"100000"
    assert livetok.begin()["allowed"]


@pytest.mark.only("sqlite")
def test_what_is_not_asked_for_a_page_has_no_limit(impatient):
    assert impatient.get("/counting/?to=10").status_code == 200

    with connection.cursor() as cursor:
        cursor.execute(ENDLESS.format(3_000_000))  # some seconds' tenths

        assert cursor.fetchone()[0] == 3_000_000
