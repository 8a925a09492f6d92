"""Nodes: each data folder whose worker runs. Their heartbeat, and who may join those that run already."""

import hashlib
import socket
import uuid
from datetime import timedelta
from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from automations.key_files import make_key_file
from automations.sealing import fingerprint_of, known_keys
from sessions_app.database.prepared import djangos_transaction
from sessions_app.models import Lease, Node

NODE_FILE = "node_id"
BEAT_EVERY = timedelta(seconds=1)
# A write there takes the turn, and every begin waits for it.
BEAT_EVERY_ON_SQLITE = timedelta(seconds=10)
KEPT_AFTER_DEATH = timedelta(days=1)
FROM_ENVIRONMENT = (
    "{name} does not come from the environment, so this node has made one for itself. Every node needs the same: set "
    "{name} on all of them to what the first one has, which is the content of `{file}` in its data folder unless it "
    "was set there; then start them again."
)


class MayNotJoin(Exception):
    """This node would not understand what the others sign or encrypt. Its text says why, and what to do."""


class Heartbeat:
    """One for a process: the worker's."""

    def __init__(self) -> None:
        self._has_joined = False
        self.refusal: MayNotJoin | None = None

    def beat(self) -> None:
        """Say that this node's worker runs. Raises MayNotJoin at the first time, where others run already."""
        mine = Node.objects.filter(pk=own_id())
        with djangos_transaction():
            is_known = self._has_joined and mine.update(beat_at=Now())
            if not is_known:
                _announce()
        if not self._has_joined:
            # Two that start at once see each other here: the earlier one stays.
            me = mine.get()
            earlier = Q(started_at__lt=me.started_at) | Q(started_at=me.started_at, pk__lt=me.pk)
            try:
                require_same_keys(_others().filter(earlier))
            except MayNotJoin as refusal:
                self.refusal = refusal
                mine.delete()
                raise
            self._has_joined = True

    def end(self) -> None:
        """Say that it stops. Another worker of the same folder says at its next beat that the node goes on."""
        if self._has_joined:
            self._has_joined = False
            with djangos_transaction():
                Node.objects.filter(pk=own_id()).delete()


heartbeat = Heartbeat()


def beat_every() -> timedelta:
    return BEAT_EVERY_ON_SQLITE if settings.IS_SQLITE else BEAT_EVERY


def require_may_join() -> None:
    """Raises MayNotJoin where other nodes run that this one would not understand. Writes nothing."""
    require_same_keys(_others())


def require_same_keys(others: "QuerySet[Node]") -> None:
    """SQLite has one node only: there, nobody else's data folder matters."""
    other = None if settings.IS_SQLITE else others.first()
    if other is None:
        return
    for name, file, is_given in (
        ("SECRET_KEY", "secret_key", settings.IS_SECRET_KEY_GIVEN),
        ("ENCRYPTION_KEYS", "encryption_key", bool(settings.ENCRYPTION_KEYS)),
    ):
        if not is_given:
            raise MayNotJoin(f"{_runs_already(other)} {FROM_ENVIRONMENT.format(name=name, file=file)}")
    if stranger := others.exclude(secret_key_fingerprint=secret_key_fingerprint()).first():
        raise MayNotJoin(
            f"{_runs_already(stranger)} Its SECRET_KEY is another one, so whoever signs in at one node would be signed "
            "out at the next. Set SECRET_KEY on every node to the same value. To change it, stop all nodes first."
        )
    known = ["", *map(fingerprint_of, settings.ENCRYPTION_KEYS)]
    if stranger := others.exclude(encryption_key_fingerprint__in=known).first():
        raise MayNotJoin(
            f"{_runs_already(stranger)} ENCRYPTION_KEYS lacks the key that it encrypts with, "
            f"{stranger.encryption_key_fingerprint}, so what it stores could not be opened here. Set ENCRYPTION_KEYS "
            "on every node to the same value. To change it, add the new key at the end on every node, and only then "
            "put it first."
        )


def forget_dead_nodes() -> None:
    """Delete those that were not heard for a day."""
    with djangos_transaction():
        Node.objects.filter(beat_at__lt=Now() - KEPT_AFTER_DEATH).delete()


def forget_nodes() -> None:
    """After a restore: whoever ran when the backup was made does not run on this database."""
    there = connection.introspection.table_names()
    for model in (Node, Lease):
        if model._meta.db_table in there:  # an older version has none
            model._default_manager.all().delete()


def own_id() -> uuid.UUID:
    """This node's, made once and kept in the data folder. Raises ImproperlyConfigured where the file is damaged."""
    return _id_in(settings.DATA_DIR / NODE_FILE)


@cache
def _id_in(path: Path) -> uuid.UUID:
    if not path.exists():
        make_key_file(path, str(uuid.uuid4()))
    try:
        return uuid.UUID(path.read_text(errors="replace").strip())
    except ValueError as error:
        raise ImproperlyConfigured(f"{path} is empty or cut short. Delete it: another is made then.") from error


def secret_key_fingerprint() -> str:
    """Names SECRET_KEY and gives nothing away of it."""
    return hashlib.sha256(b"frontdesk secret key " + settings.SECRET_KEY.encode()).hexdigest()[:16]


def _encryption_key_fingerprint() -> str:
    try:
        return next(map(fingerprint_of, known_keys()), "")
    except ImproperlyConfigured:  # the file is cut short, which is told where the key is needed
        return ""


def _announce() -> None:
    node = Node(
        id=own_id(),
        hostname=socket.gethostname()[:255],
        secret_key_fingerprint=secret_key_fingerprint(),
        encryption_key_fingerprint=_encryption_key_fingerprint(),
    )
    node.started_at = node.beat_at = Now()
    changed = [field.attname for field in Node._meta.concrete_fields if not field.primary_key]
    Node.objects.bulk_create([node], update_conflicts=True, unique_fields=["id"], update_fields=changed)


def _others() -> "QuerySet[Node]":
    return Node.objects.alive().exclude(pk=own_id())


def _runs_already(node: Node) -> str:
    return f"The node {node} already runs on this database."
