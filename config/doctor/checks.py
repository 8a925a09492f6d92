"""The list of checks that the command `doctor` and its page share. Each is quick however many sessions there are."""

import logging
from collections.abc import Callable, Iterable

from django.db import Error, connection

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
    check_spool,
    check_worker,
)
from config.doctor.livetok import check_clock, check_ends, check_requests, check_unknown_fields

logger = logging.getLogger("frontdesk.doctor")

# Another one is added here, in the order in which it is read.
CHECKS: tuple[Callable[[], Finding | Iterable[Finding]], ...] = (
    check_https,
    check_migrations,
    check_pooler,
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
)
AWAY = "Look whether the database runs, and whether DATABASE_URL names it. LiveTok is answered meanwhile."
FAILED = "This is a fault of Frontdesk's, and the log has the details: tell whoever maintains it."


def examine() -> list[Finding]:
    """What every check finds. One that fails says so, and the others go on."""
    findings: list[Finding] = []
    for check in CHECKS:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            found = check()
            findings += [found] if isinstance(found, Finding) else list(found)
        except Error as error:
            findings.append(Finding(name, BAD, f"The database does not answer: {str(error).strip()}.", AWAY))
            connection.close()
        except Exception:
            logger.exception("a check failed", extra={"check": name})
            findings.append(Finding(name, BAD, "It could not be looked at.", FAILED))
    return findings
