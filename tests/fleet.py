"""Nodes as their heartbeats show them."""

import uuid
from datetime import timedelta

from django.utils import timezone

from automations.sealing import fingerprint_of
from config.nodes import secret_key_fingerprint
from sessions_app.models import Node

KEY = "a" * 43 + "="
OTHER_KEY = "b" * 43 + "="


def heard_of(hostname: str, *, secret_key: str = "", encryption_key: str = "", **ago: float) -> Node:
    """A node whose worker beat so long `ago` (such as `seconds=5`). Its keys are ours, unless others are given."""
    at = timezone.now() - timedelta(**ago)
    node, _ = Node.objects.update_or_create(
        id=uuid.uuid5(uuid.NAMESPACE_DNS, hostname),
        defaults={
            "hostname": hostname,
            "started_at": at,
            "beat_at": at,
            "secret_key_fingerprint": secret_key or secret_key_fingerprint(),
            "encryption_key_fingerprint": encryption_key and fingerprint_of(encryption_key),
        },
    )
    return node
