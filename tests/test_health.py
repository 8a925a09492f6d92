"""`/healthz` and `/readyz`."""

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config import disk
from config.health import unknown_migrations
from tests.test_spool import largest_file

NOTHING_WAITS = {"spool": "empty", "set_aside": 0}


def test_healthz_answers_without_the_database(client):
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz", "/readyz/"])
def test_health_answers_under_any_host_and_never_redirects(client, path, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path, headers={"host": "anything.example"}).status_code == 200
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


@pytest.mark.django_db
def test_readyz_is_one_query(client, django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok", **NOTHING_WAITS}


@pytest.mark.django_db
def test_readyz_names_the_migrations_that_are_missing(client):
    name = "0001_first_squashed_0009_tier_price"
    MigrationRecorder.Migration.objects.filter(app="customers", name=name).delete()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["missing_migrations"] == [f"customers.{name}"]


def test_a_database_that_came_by_the_steps_is_not_of_a_newer_version():
    steps = [("customers", "0001_first"), ("sessions_app", "0018_statement_sums")]
    assert unknown_migrations([*steps, ("customers", "9999_later")]) == ["customers.9999_later"]


@pytest.mark.django_db(transaction=True)
def test_readyz_says_that_the_database_is_away(client):
    here = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "/nowhere/at/all"
    try:
        response = client.get("/readyz")
    finally:
        connection.close()
        connection.settings_dict["NAME"] = here
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "database": "unreachable", **NOTHING_WAITS}


@pytest.mark.django_db
def test_readyz_says_that_the_disk_is_full(client, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "LOOK_EVERY_SECONDS", 0)
    settings.DATA_DIR = tmp_path
    assert client.get("/readyz").status_code == 200
    with largest_file(4096):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "database": "ok", "disk": "full", **NOTHING_WAITS}
    assert list((tmp_path / "spool").iterdir()) == []
    assert client.get("/readyz").status_code == 200


def test_paths_below_are_not_found(client, db):
    assert client.get("/healthz/more").status_code == 404
