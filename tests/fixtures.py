"""Fixtures for every test. Loaded once Django is set up."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.template.base import Template
from django.template.context import Context
from django.test import Client
from pytest_django import DjangoDbBlocker

from automations.context.provider import active_recipes, forget_recipes
from config.backups.places import scratch_database, working_on
from config.first_run import make_groups
from config.sign_in.guesses import failed_sign_ins
from customers.defaults import make_defaults
from customers.downloads import AT_ONCE
from customers.keys import forget_keys
from sessions_app.webhook.refused import refused_requests
from tests.builders import LiveTok, make_livetok
from tests.databases import SERVER_URL, make_database, server_binaries
from tests.migrated import migrated_database, migrated_file
from tests.staff import staff


@pytest.fixture(scope="session", autouse=True)
def _note_whole_pages(django_test_environment: None) -> Iterator[None]:
    """Tests look at what a whole page was given. Django notes it again for every field's own template.

    A page has hundreds, and for each of them it copies everything: a tenth of the time of the admin's tests.
    """
    noting, inside = Template._render, threading.local()

    def render(template: Template, context: Context) -> str:
        if getattr(inside, "a_page", False):
            return template.nodelist.render(context)
        inside.a_page = True
        try:
            return noting(template, context)
        finally:
            inside.a_page = False

    with patch.object(Template, "_render", render):
        yield


@pytest.fixture(autouse=True)
def _no_remembered_keys() -> None:
    """A process remembers keys for seconds, across tests too."""
    forget_keys()


@pytest.fixture(autouse=True)
def _no_counted_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process counts requests without a key, and wrong passwords, for a minute before it writes them."""
    for counter in (refused_requests, failed_sign_ins):
        monkeypatch.setattr(counter, "_pending", {})
        monkeypatch.setattr(counter, "_written_at", None)


@pytest.fixture(autouse=True)
def _no_taken_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that nobody has read to its end takes its place until Python collects it, across tests too."""
    places: SimpleQueue[None] = SimpleQueue()
    for _ in range(AT_ONCE):
        places.put(None)
    monkeypatch.setattr("customers.downloads._places", places)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, database_name: str) -> None:
    """pytest-django's last step before it makes the test database: here that one is copied, with its tables."""
    name = connection.creation._get_test_db_name()
    if database_name == "postgresql":
        server_url = os.environ[SERVER_URL]
        make_database(server_url, name, migrated_database(server_url))
    else:
        shutil.copy(migrated_file(), name)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The copy is used as it is; it goes with the run's folder or server."""
    return True


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The groups of a first run are there: `staff()` makes them anew only after a test that empties every table."""
    with django_db_blocker.unblock():
        make_groups()


@pytest.fixture(scope="session")
def database_name(pytestconfig: pytest.Config) -> str:
    """`sqlite` or `postgresql`."""
    return str(pytestconfig.option.database)


@pytest.fixture
def pg_programs(database_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore, beside the server that the tests run on, are found."""
    if database_name == "postgresql":
        monkeypatch.setenv("PATH", f"{server_binaries()}:{os.environ['PATH']}")


@pytest.fixture
def livetok(db: None, monkeypatch: pytest.MonkeyPatch) -> LiveTok:
    """LiveTok with a webhook key, before a Frontdesk as its first run leaves it: everybody is served on `standard`."""
    make_defaults()
    forget_recipes()
    # As a process knows them that has answered a begin lately, however long the test takes: statements are counted.
    monkeypatch.setattr("automations.context.provider.REMEMBERED_SECONDS", 3600)
    active_recipes()
    return make_livetok()


@pytest.fixture
def viewer(db: None) -> Client:
    """The browser of somebody who may see reports and numbers, and no more."""
    return staff("viewers", sees_numbers=True)


@pytest.fixture
def empty_database(transactional_db, database_name, tmp_path):
    """This thread's connection is to an empty database of its own."""
    if database_name == "sqlite":
        name = str(tmp_path / "empty" / "frontdesk.sqlite3")
        Path(name).parent.mkdir()
        with working_on({"NAME": name}):
            yield name
    else:
        with scratch_database() as name, working_on({"NAME": name}):
            yield name


@pytest.fixture
def own_cache(settings: Any, tmp_path: Path) -> None:
    """Counts of guesses and of begun sign-ins that other tests have no part in."""
    if connection.vendor == "sqlite":  # elsewhere it is rolled back with the test
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": tmp_path / "cache"}}
