"""What each role may see and do, at every address with every method: docs/roles.md is what is measured here."""

import os
from itertools import pairwise

import pytest
from django.test import override_settings

from tests.installation_of_all import TOLD_BY
from tests.roles import LEADS_ON, MAY, NO_KEY, NO_METHOD, REFUSED, ROLES, SIGN_IN, STRANGER, Measured, measure
from tests.roles_table import PART, written

# By which pytest-django knows that the database is needed.
pytestmark = pytest.mark.django_db

HOW_TO_WRITE = (
    "{} is not what was measured. Look at the difference: does each role get what it should? Then write it anew with "
    "WRITE_ROLES=1 .venv/bin/python -m pytest --database sqlite tests/test_roles.py"
)
# What a stranger gets: how to sign in, that the installation is up, how the API is called. It is nobody's data.
OPEN = {
    "",
    "^healthz/?$",
    "^readyz/?$",
    "admin/login/",
    "accounts/login/",
    "accounts/logout/",
    "accounts/invitation/<uidb64>/<token>/",
    "accounts/second-factor/webauthn/login/",
}
OPEN_OF_API = {
    "^webhooks/livetok/?$",
    "^webhooks/livetok/begin/?$",
    "^webhooks/livetok/end/?$",
    "api/schema/",
    "api/docs/",
}
READS = {"GET", "HEAD"}
# A form that asks for a file, and what is their own: signing out, the password.
SENT_BY_VIEWERS = {"", "admin/customers/customer/export/", "admin/logout/", "admin/login/", "admin/password_change/"}


@pytest.fixture(scope="module")
def measured(django_db_setup, django_db_blocker, tmp_path_factory) -> Measured:
    """In a data folder of its own: erasing deletes uploads, which other processes' tests have."""
    with django_db_blocker.unblock(), override_settings(DATA_DIR=tmp_path_factory.mktemp("roles")):
        return measure()


def got(measured: Measured, who: str, *outcomes: str) -> set[tuple[str, str]]:
    return {
        (pattern, method)
        for (pattern, asking, method), outcome in measured.outcomes.items()
        if asking == who and outcome in outcomes
    }


def test_the_tables_are_what_was_measured(measured):
    for path, text in written(measured).items():
        if os.environ.get("WRITE_ROLES"):
            path.write_text(text)
        assert path.read_text() == text, HOW_TO_WRITE.format(path.name)


def test_the_page_of_a_group_has_the_table(measured):
    assert written(measured)[PART].partition("\n")[2] in measured.group_page  # its first line is a comment


def test_strangers_get_what_is_nobodys_and_are_else_asked_to_sign_in(measured):
    assert {pattern for pattern, _ in got(measured, STRANGER, MAY)} <= OPEN
    assert {pattern for pattern, _ in got(measured, NO_KEY, MAY, LEADS_ON)} == OPEN_OF_API
    assert got(measured, NO_KEY, MAY) <= {(pattern, method) for pattern in OPEN_OF_API for method in READS}
    leading = {pattern for pattern, _ in got(measured, STRANGER, LEADS_ON)} - OPEN
    assert leading <= {"admin/logout/"}
    refused = {pattern for pattern, _ in got(measured, STRANGER, SIGN_IN, REFUSED)}
    assert {"reports/sessions/", "admin/customers/customer/", "^metrics/?$"} <= refused


def test_viewers_change_nothing(measured):
    sent = {one for one in got(measured, "viewers", MAY, LEADS_ON) if one[1] not in READS}
    assert {pattern for pattern, _ in sent if not pattern.startswith("accounts/")} <= SENT_BY_VIEWERS
    assert not [key for key, may in measured.actions.items() if may and key[1] in ("viewers", STRANGER)]


def test_whoever_may_do_more_may_do_all_that_others_may(measured):
    for role, more in pairwise(ROLES):
        assert got(measured, role, MAY) <= got(measured, more, MAY, LEADS_ON)


def test_pages_have_no_methods_but_get_head_and_post(measured):
    for who in (*ROLES, STRANGER):
        others = {one for one in got(measured, who, MAY) if one[1] in ("PUT", "PATCH", "DELETE")}
        assert {pattern for pattern, _ in others if not pattern.startswith(("accounts/", "admin/login/"))} == set()
    assert ("admin/customers/customer/", "PUT") in got(measured, "administrators", NO_METHOD)


def test_no_page_or_file_shows_a_number_to_whoever_may_not_see_them(measured):
    shown = [
        (path, part)
        for path, body in measured.bodies.items()
        for part in TOLD_BY
        if part in body.decode(errors="replace")
    ]

    assert shown == []
    assert len(measured.bodies) > 150
    assert all(measured.bodies[path] for path in ("/reports/live/", "/reports/search/"))
    assert "•••77" in measured.bodies["/reports/sessions/?format=csv"].decode()
