"""Checks of the installation: addresses, database, worker, disk, backups, keys, e-mail."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.template.defaultfilters import pluralize
from django.utils import timezone

from automations.deliveries.standstill import known_fingerprints, missing_keys, standstill, worker_seen_at
from automations.models import Delivery
from automations.outgoing.mail import has_mail_server
from automations.sealed import accounts_without_key
from config.disk import disk_problem
from config.doctor.findings import BAD, Finding, judged
from config.health import missing_migrations, unknown_migrations
from config.metrics.gauges import watched_folders
from config.metrics.spool import fed_bytes, set_aside, waiting_on_disk
from config.pooler import is_behind_pooler
from customers.keys import valid_keys
from customers.models import ApiKey
from sessions_app.database.replica import seen_replica
from sessions_app.database.standby import commits_in_vain, may_fail_over, waits_for_standby
from sessions_app.wording import duration_words

WORKER_UNSEEN = timedelta(minutes=3)
# A night's backup may take its time, and one night may be missed.
BACKUP_FRESH, BACKUP_OLD = timedelta(hours=26), timedelta(hours=50)
KEY_EXPIRES_SOON = timedelta(days=30)
EXPIRING = "keys that expire"
FEW_BYTES, VERY_FEW_BYTES = 2_000_000_000, 500_000_000
FEW_SHARE = 0.05
DUE_FOR_LONG = timedelta(hours=1)
MOST_NAMED = 5


def check_https() -> Finding:
    address = settings.PUBLIC_URL
    return judged(
        "https",
        f"PUBLIC_URL is {address}." if address else "PUBLIC_URL is not set: plain http, for this machine alone.",
        bad=bool(address) and not settings.IS_HTTPS,
        look=not address,
        remedy="Put a proxy with TLS in front, and set PUBLIC_URL to its address, such as https://frontdesk.example.com.",
    )


def check_migrations() -> Finding:
    missing = missing_migrations()
    if newer := unknown_migrations(MigrationRecorder(connection).applied_migrations()):
        return judged(
            "migrations",
            f"The database is of a newer version of Frontdesk: {', '.join(newer[:MOST_NAMED])}.",
            bad=True,
            remedy="Install that version again, or restore the backup from before the upgrade, as docs/deploy.md says.",
        )
    return judged(
        "migrations",
        f"{len(missing)} are missing: {', '.join(missing[:MOST_NAMED])}." if missing else "All are there.",
        bad=bool(missing),
        remedy="Run manage.py setup, then start Frontdesk again.",
    )


def check_pooler() -> Iterator[Finding]:
    """SQLite has none."""
    if settings.IS_SQLITE:
        return
    is_there, is_named = is_behind_pooler(), bool(settings.DATABASE_POOLER)
    yield judged(
        "pooler",
        f"{'One' if is_there else 'None'} stands before the database, and DATABASE_POOLER "
        f"{'names' if is_named else 'does not name'} one.",
        bad=is_there and not is_named,
        look=is_named and not is_there,
        remedy="Set DATABASE_POOLER=transaction, as docs/scale.md says: else statements fail that another connection "
        "has prepared."
        if is_there
        else "Leave DATABASE_POOLER out: without a pooler, LiveTok's statements are quicker.",
    )


def check_standby() -> Iterator[Finding]:
    """Where commits wait for a standby in vain, or another server may take over."""
    if settings.IS_SQLITE:
        return
    if waiting := commits_in_vain():
        yield Finding(
            "standby",
            BAD,
            f"Commits wait for a standby that does not answer: {waiting} just now.",
            "Bring the standby back: pg_stat_replication at the primary shows who follows it. Or take it out of "
            "synchronous_standby_names meanwhile, as docs/standby.md says.",
        )
        return
    if not may_fail_over():
        return
    waits = waits_for_standby()
    yield judged(
        "standby",
        "DATABASE_URL names several hosts, and commits "
        + (
            "wait for a standby."
            if waits
            else "wait for no standby: a failover may lose what LiveTok was told is stored."
        ),
        look=not waits,
        remedy="Set synchronous_standby_names (with Patroni: synchronous_mode: true) and leave synchronous_commit at "
        "on, as docs/standby.md says.",
    )


def check_replica() -> Iterator[Finding]:
    """Where reports have one."""
    seen = seen_replica()
    if seen is not None:
        yield judged(
            "replica",
            f"Reports read the main database, since {seen.problem}." if seen.problem else "Reports read it.",
            look=bool(seen.problem),
            remedy="Look at the replica, as docs/standby.md says. Reports are right meanwhile.",
        )


def check_worker() -> Finding:
    seen_at = worker_seen_at()
    ago = timezone.now() - seen_at if seen_at else None
    return judged(
        "worker",
        "None has been seen." if ago is None else f"Seen {duration_words(max(0.0, ago.total_seconds()))} ago.",
        bad=ago is None or ago > WORKER_UNSEEN,
        remedy="manage.py serve runs one beside the web server. Look in its log why it ended or hangs.",
    )


def check_disk() -> Iterator[Finding]:
    problem = disk_problem()
    yield judged(
        "disk: writing",
        f"{problem}." if problem else "A file was written and deleted again.",
        bad=bool(problem),
        remedy="Make room, or give the folder to the account that Frontdesk runs as: without it nothing can be kept "
        "while the database is away.",
    )
    for name, folder in watched_folders().items():
        if folder.is_dir():
            yield _room_in(name, folder)


def _room_in(name: str, folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total if usage.total else 0.0
    return judged(
        f"disk: {name}",
        f"{usage.free / 1e9:,.1f} GB of {usage.total / 1e9:,.1f} GB are free at {folder}.",
        bad=usage.free < VERY_FEW_BYTES,
        look=usage.free < FEW_BYTES or share < FEW_SHARE,
        remedy="Make room. Old copies from before upgrades (…-before-….sqlite3) may go, and EVENT_RETENTION_DAYS may "
        "be less.",
    )


def check_spool() -> Finding:
    waiting, _ = waiting_on_disk(fed_bytes())
    aside, _ = set_aside()
    return judged(
        "spool",
        f"{waiting:,} of LiveTok's requests wait on this machine's disk, {aside:,} were set aside.",
        bad=aside > 0,
        look=waiting > 0,
        remedy="The worker stores what waits once the database answers. For what was set aside, the log says what went "
        "wrong; docs/operations.md, When the database was away, says how to feed it again."
        if aside
        else "The worker stores it once the database answers. Where it stays, look in the log.",
    )


def check_backup() -> Finding:
    """The newest file of BACKUP_DIR, whatever its name; drafts aside."""
    folder = settings.BACKUP_DIR
    if folder is None:
        return judged(
            "backup",
            "Frontdesk knows of none.",
            look=True,
            remedy="Make one each night: set BACKUP_DIR, as docs/operations.md, Backups, says. If something else makes "
            "them already, this line is no trouble.",
        )
    remedy = f"Look in the worker's log why no backup is made, and whether it may write to {folder}."
    try:
        moments = [path.stat().st_mtime for path in folder.iterdir() if _is_backup(path)]
    except OSError as error:
        return judged("backup", f"{folder} cannot be read: {error.strerror}.", bad=True, remedy=remedy)
    if not moments:
        return judged("backup", f"{folder} holds none.", bad=True, remedy=remedy)
    age = timezone.now() - datetime.fromtimestamp(max(moments), UTC)
    return judged(
        "backup",
        f"The newest in {folder} is {duration_words(max(0.0, age.total_seconds()))} old.",
        bad=age > BACKUP_OLD,
        look=age > BACKUP_FRESH,
        remedy=remedy,
    )


def _is_backup(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix != ".part"


def check_api_keys() -> Iterator[Finding]:
    now = timezone.now()
    valid = valid_keys()
    for_livetok = [key for key in valid if ApiKey.Scope.WEBHOOK in key.scopes]
    count = len(for_livetok) + bool(settings.WEBHOOK_SECRET)
    yield judged(
        "webhook key",
        f"{count} valid.",
        bad=not count,
        remedy="Make a key with the scope webhook in the admin under API keys, and give it to LiveTok.",
    )
    soon = sorted(
        (key for key in valid if key.expires_at and key.expires_at - now < KEY_EXPIRES_SOON),
        key=lambda key: key.expires_at or now,
    )
    named = ", ".join(f"{key} on {key.expires_at:%Y-%m-%d}" for key in soon[:MOST_NAMED])
    yield judged(
        EXPIRING,
        f"{len(soon)} within {KEY_EXPIRES_SOON.days} days: {named}." if soon else "None within 30 days.",
        look=bool(soon),
        remedy="Make a second key, give it to whoever uses the first, see that it is used, then revoke the first.",
    )


def without_names(findings: list[Finding]) -> list[Finding]:
    """For whoever may not see API keys: how many expire, not which."""
    return [
        replace(finding, found=f"{finding.found.partition(':')[0].rstrip('.')}.")
        if finding.check == EXPIRING
        else finding
        for finding in findings
    ]


def check_email() -> Finding:
    is_set = has_mail_server()
    return judged(
        "e-mail",
        "Mail goes out by the server of EMAIL_URL." if is_set else "No mail server is set, so no mail is sent.",
        look=not is_set,
        remedy="Set EMAIL_URL, such as smtp+tls://user:password@mail.example.com:587.",
    )


def check_encryption_keys() -> Finding:
    missing, accounts = missing_keys(), accounts_without_key(known_fingerprints())
    named = "; ".join(f"{key.fingerprint}, for {', '.join(key.destinations)}" for key in missing[:MOST_NAMED])
    said = [f"{len(missing)} are missing: {named}."] if missing else []
    if accounts:
        said.append(f"The key of the second factors of {accounts} account{pluralize(accounts)} is missing.")
    return judged(
        "encryption keys",
        " ".join(said) or "Every secret's key is there.",
        bad=bool(said),
        remedy="Restore the file encryption_key of the data folder, or add the key to ENCRYPTION_KEYS. Where it is "
        "lost for good, enter those secrets again, and take away the second factors: in the list of users, or with "
        "manage.py reset_mfa NAME.",
    )


def check_deliveries() -> Finding:
    stands = standstill()
    if stands.is_copy:
        return judged(
            "deliveries",
            "This database looks like a copy, or one that was restored: nothing is sent.",
            bad=True,
            remedy="Where it is the real one, confirm that on Home.",
        )
    long_ago = timezone.now() - DUE_FOR_LONG
    waiting = Delivery.objects.filter(finished_at__isnull=True, next_attempt_at__lt=long_ago)
    if waiting.filter(destination__paused_at__isnull=True).exists():
        return judged(
            "deliveries",
            "Some have been due for more than an hour.",
            bad=True,
            remedy="Look in the admin under Deliveries, and in the worker's log.",
        )
    paused = ", ".join(one.name for one in stands.paused[:MOST_NAMED])
    return judged(
        "deliveries",
        f"Paused destinations: {paused}." if paused else "No destination is paused, and nothing is late.",
        look=bool(paused),
        remedy="Mend what the destination's page says, then resume it. Nothing is lost meanwhile.",
    )
