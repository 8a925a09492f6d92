"""What strangers can repeat at will is counted, not kept one by one."""

import io
import json
import logging

import pytest
from django.conf import settings
from django.test import Client

from config.logs import JsonFormatter, Seldom
from customers import keys
from customers.keys import key_holder
from sessions_app.models import RefusedRequests
from sessions_app.webhook.refused import refused_requests

pytestmark = pytest.mark.django_db


@pytest.fixture
def written_lines():
    """What the log of a server would hold."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Seldom())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in handler.stream.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def test_a_wrong_host_is_logged_once_a_minute(written_lines, monkeypatch):
    for _ in range(50):
        assert Client().get("/admin/", headers={"host": "elsewhere.example"}).status_code == 400
    first = written_lines()
    monkeypatch.setattr(Seldom, "every_seconds", 0)
    Client().get("/admin/", headers={"host": "elsewhere.example"})

    assert [line["times"] for line in first] == [1]
    assert "traceback" not in first[0]
    assert written_lines()[-1]["times"] == 50


def test_the_servers_log_has_that_filter():
    assert settings.LOGGING["handlers"]["stderr"]["filters"] == ["seldom"]


@pytest.mark.parametrize("path", ["/api/v1/tiers/", "/api/v1/sessions/"])
def test_wrong_keys_at_the_api_are_counted_as_at_the_webhook(path, monkeypatch):
    for key in ("", "wrong", "fd_12345678_wrong"):
        assert Client().get(path, headers={"X-API-Key": key}, REMOTE_ADDR="203.0.113.9").status_code == 401
    monkeypatch.setattr(refused_requests, "_written_at", None)
    refused_requests.write_when_due()

    row = RefusedRequests.objects.get()
    assert (row.count, row.last_address) == (3, "203.0.113.9")


def test_a_wrong_key_that_comes_again_is_not_looked_for_again(django_assert_num_queries):
    secret = f"fd_12345678_{'x' * 43}"

    with django_assert_num_queries(1):
        assert [key_holder(secret) for _ in range(3)] == [None] * 3


def test_a_flood_of_wrong_keys_keeps_no_more_of_them_than_a_thousand():
    for number in range(1001):
        key_holder(f"wrong {number}")

    assert len(keys._wrong) == 1
