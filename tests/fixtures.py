"""Fixtures for every test. Loaded once Django is set up."""

import pytest
from django.test import Client

from customers.defaults import make_defaults
from customers.keys import forget_keys
from tests.builders import LiveTok, make_livetok
from tests.staff import staff


@pytest.fixture(autouse=True)
def _no_remembered_keys() -> None:
    """A process remembers keys for seconds, across tests too."""
    forget_keys()


@pytest.fixture(scope="session")
def database_name(pytestconfig: pytest.Config) -> str:
    """`sqlite` or `postgresql`."""
    return str(pytestconfig.option.database)


@pytest.fixture
def livetok(db: None) -> LiveTok:
    """LiveTok with a webhook key, before a Frontdesk as its first run leaves it: everybody is served on `standard`."""
    make_defaults()
    return make_livetok()


@pytest.fixture
def viewer(db: None) -> Client:
    """The browser of somebody who may see reports, and no more."""
    return staff("viewers")
