"""Health: whether the process answers, and whether it can do its work."""

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.disk import disk_problem
from config.minutes import minutes
from sessions_app.database.patience import Patience, limited
from sessions_app.spool.files import files_set_aside, spool_files

logger = logging.getLogger("frontdesk.health")


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers; touches nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 once the database answers and has every migration; else 503 with what is missing or full."""
    disk: dict[str, Any] = {"spool": "waiting" if spool_files() else "empty", "set_aside": len(files_set_aside())}
    if counts := {name: count for name, count in minutes.now().items() if name.endswith(("waited", "turned away"))}:
        disk["last_minutes_of_this_process"] = counts
    try:
        with limited(Patience()):
            missing = missing_migrations()
    except Error:
        # Else the next look would use a connection that may be dead.
        connection.close()
        return JsonResponse({"status": "unavailable", "database": "unreachable", **disk}, status=503)
    if missing:
        missing_ones = {"database": "ok", "missing_migrations": missing}
        return JsonResponse({"status": "unavailable", **missing_ones, **disk}, status=503)
    if problem := disk_problem():
        logger.error("the disk cannot be written", extra={"problem": problem})
        return JsonResponse({"status": "unavailable", "database": "ok", "disk": "full", **disk}, status=503)
    return JsonResponse({"status": "ok", "database": "ok", **disk})


def missing_migrations() -> list[str]:
    """The migrations of this code that the database lacks, such as `customers.0002_name`. One query."""
    applied = MigrationRecorder(connection).applied_migrations()
    return [f"{app}.{name}" for app, name in sorted(set(_migrations().graph.nodes) - applied.keys())]


def unknown_migrations(applied: Iterable[tuple[str, str]]) -> list[str]:
    """Those that a newer version of this code made. Steps that one migration has replaced are known."""
    return [f"{app}.{name}" for app, name in sorted(set(applied) - _migrations().disk_migrations.keys())]


@cache
def _migrations() -> MigrationLoader:
    return MigrationLoader(None, ignore_no_migrations=True)
