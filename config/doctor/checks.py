"""The list of checks that the command `doctor` and its page share. Each is quick however many sessions there are."""

import logging
from collections.abc import Callable, Iterable

from django.db import Error, ProgrammingError, connection

from config.doctor.findings import BAD, Finding
from config.doctor.installation import (
    check_api_keys,
    check_backup,
    check_deliveries,
    check_disk,
    check_email,
    check_encryption_keys,
    check_https,
    check_migrations,
    check_pooler,
    check_replica,
    check_spool,
    check_standby,
    check_worker,
)
from config.doctor.livetok import check_clock, check_ends, check_requests, check_unknown_fields
from config.doctor.sign_in import check_single_sign_on
from config.health import missing_migrations

logger = logging.getLogger("frontdesk.doctor")

# Another one is added here, in the order in which it is read.
CHECKS: tuple[Callable[[], Finding | Iterable[Finding]], ...] = (
    check_https,
    check_migrations,
    check_pooler,
    check_standby,
    check_replica,
    check_worker,
    check_requests,
    check_ends,
    check_clock,
    check_unknown_fields,
    check_spool,
    check_disk,
    check_backup,
    check_api_keys,
    check_encryption_keys,
    check_deliveries,
    check_email,
    check_single_sign_on,
)
WITHOUT_DATABASE = frozenset({check_https, check_disk, check_backup, check_email})
AWAY = "Look whether the database runs, and whether DATABASE_URL names it. LiveTok is answered meanwhile."
NOT_SET_UP = "Run manage.py setup, then start Frontdesk again."
FAILED = "This is a fault of Frontdesk's, and the log has the details: tell whoever maintains it."


def examine() -> list[Finding]:
    """What every check finds. One that fails says so, and the others go on: without the database, what needs none."""
    findings: list[Finding] = []
    unread: list[str] = []
    is_away = False
    for check in CHECKS:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        if is_away and check not in WITHOUT_DATABASE:  # each would wait for it again
            unread.append(name)
            continue
        try:
            found = check()
            findings += [found] if isinstance(found, Finding) else list(found)
        except Error as error:
            connection.close()
            is_away = not _answers()
            if not is_away and _is_of_a_missing_table(error) and missing_migrations():
                unread.append(name)
                continue
            said = " ".join(str(error).split()).rstrip(".?")
            findings.append(Finding(name, BAD, f"The database does not answer: {said}.", AWAY))
        except Exception:
            logger.exception("a check failed", extra={"check": name})
            findings.append(Finding(name, BAD, "It could not be looked at.", FAILED))
    if unread:
        findings.append(Finding("not looked at", BAD, f"{', '.join(unread)}.", AWAY if is_away else NOT_SET_UP))
    return findings


def _answers() -> bool:
    try:
        connection.ensure_connection()
    except Error:
        return False
    return connection.is_usable()  # a pooler takes connections for a database that is away


def _is_of_a_missing_table(error: Error) -> bool:
    """As before `setup`. PostgreSQL has a class of errors for that, SQLite words."""
    return isinstance(error, ProgrammingError) or str(error).startswith("no such ")
