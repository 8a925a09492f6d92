"""Fixtures for every test. Loaded once Django is set up."""

import pytest

from customers.keys import forget_keys


@pytest.fixture(autouse=True)
def _no_remembered_keys() -> None:
    """A process remembers keys for seconds, across tests too."""
    forget_keys()


@pytest.fixture(scope="session")
def database_name(pytestconfig: pytest.Config) -> str:
    """`sqlite` or `postgresql`."""
    return str(pytestconfig.option.database)
