"""Who shares the database: nodes with their heartbeat, and leases of what only one of them does at a time."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

# A node whose worker was not heard for so long is taken for dead.
ALIVE = timedelta(seconds=60)


class NodeQuerySet(models.QuerySet["Node"]):
    def alive(self) -> "NodeQuerySet":
        """Those whose worker runs, by the database's clock."""
        return self.filter(beat_at__gt=Now() - ALIVE)


class Node(models.Model):
    """A data folder whose worker runs. Deleted when it stops; the row of one that was killed stays for a day.

    Times are the database's. `beat_at` is written each second on PostgreSQL, every ten seconds on SQLite.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    hostname = models.CharField(max_length=255)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    # Of SECRET_KEY, and of the newest of ENCRYPTION_KEYS; the latter is blank where there is none yet.
    secret_key_fingerprint = models.CharField(max_length=16)
    encryption_key_fingerprint = models.CharField(max_length=16, blank=True)

    objects = NodeQuerySet.as_manager()

    class Meta:
        ordering = ["started_at", "id"]

    def __str__(self) -> str:
        return f"{self.hostname} ({self.id.hex[:8]})"


class Lease(models.Model):
    """What one process at a time does, of all nodes: who does it, until when that holds, and when it is due again.

    Times are the database's. Who holds it renews it; where it ran out, the next one takes it over.
    """

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.UUIDField(null=True)
    held_until = models.DateTimeField()
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
