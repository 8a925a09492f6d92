"""API keys: making them, and telling whether a presented secret is one.

A secret is 256 random bits, so one round of SHA-256 is enough to store it by; a slow hash would cost every request.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.db.models import Q
from django.utils import timezone

from customers.models import ApiKey

# How long a process believes what it has read of a key: a revoked one may live this much longer.
BELIEVED_SECONDS = 5.0
# While the database is away, for as long.
KNOWN_SECONDS = 3600.0
LAST_USED_EVERY = timedelta(minutes=5)
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class KeyHolder:
    """Who presented a valid key. `label` is what logs and histories say; it tells nothing of the secret."""

    label: str
    scopes: frozenset[str]
    expires_at: datetime | None = None

    is_authenticated = True

    def may(self, scope: str) -> bool:
        """Whether the key has a scope; `manage` includes `read`."""
        return scope in self.scopes or (scope == ApiKey.Scope.READ and ApiKey.Scope.MANAGE in self.scopes)


_HOLDER_OF_WEBHOOK_SECRET = KeyHolder("WEBHOOK_SECRET", frozenset({ApiKey.Scope.WEBHOOK.value}))


def create_key(name: str, scopes: Iterable[str], **fields: Any) -> tuple[ApiKey, str]:
    """Make a key. Returns its row and its secret, which cannot be shown again."""
    prefix = secrets.token_hex(4)
    secret = _made_secret(prefix)
    key = ApiKey.objects.create(
        name=name, prefix=prefix, secret_sha256=_sha256(secret), scopes=sorted(set(scopes)), **fields
    )
    return key, secret


def exchange_secret(key: ApiKey, instead_of: str) -> str | None:
    """A new secret for a key whose secret has the hash `instead_of`. None where it has another: this is done once."""
    secret = _made_secret(key.prefix)
    its_own = ApiKey.objects.filter(pk=key.pk, secret_sha256=instead_of)
    return secret if its_own.update(secret_sha256=_sha256(secret)) else None


def _made_secret(prefix: str) -> str:
    return f"fd_{prefix}_{secrets.token_urlsafe(32)}"


def key_holder(secret: str) -> KeyHolder | None:
    """Who holds this secret; None where no valid key has it. By our clock; at most five seconds out of date."""
    holder = _holder_of_webhook_secret(secret)
    if holder is not None:
        return holder
    digest = _sha256(secret)
    if time.monotonic() - _wrong.get(digest, -BELIEVED_SECONDS) < BELIEVED_SECONDS:
        return None
    holder = _remembered(digest, BELIEVED_SECONDS)
    if holder is None:
        holder = _read(secret, digest)
        _remember(digest, holder)
    return _unless_expired(holder)


def valid_keys() -> list[ApiKey]:
    """Those that are neither revoked nor expired. WEBHOOK_SECRET is none of them."""
    unrevoked = ApiKey.objects.filter(revoked_at__isnull=True)
    return list(unrevoked.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())))


def known_holder(secret: str) -> KeyHolder | None:
    """Who holds this secret as far as this process knows without the database: from within the last hour."""
    return _holder_of_webhook_secret(secret) or _unless_expired(_remembered(_sha256(secret), KNOWN_SECONDS))


def learn_keys() -> None:
    """Have this process know every valid key, as if each had just been presented."""
    for key in ApiKey.objects.filter(revoked_at__isnull=True)[:_MOST_REMEMBERED]:
        _remember(key.secret_sha256, _holder(key))


def may_be_a_key(secret: str) -> bool:
    """Whether only the database can tell that it is none."""
    return _prefix(secret) is not None


def _unless_expired(holder: KeyHolder | None) -> KeyHolder | None:
    if holder is not None and holder.expires_at is not None and holder.expires_at <= timezone.now():
        return None
    return holder


def _holder_of_webhook_secret(secret: str) -> KeyHolder | None:
    if settings.WEBHOOK_SECRET and hmac.compare_digest(_sha256(secret), _sha256(settings.WEBHOOK_SECRET)):
        return _HOLDER_OF_WEBHOOK_SECRET
    return None


def _prefix(secret: str) -> str | None:
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != "fd" or not parts[1].isalnum() or not parts[1].isascii():
        return None
    return parts[1]


def _read(secret: str, digest: str) -> KeyHolder | None:
    # Most wrong secrets are seen to be none by their shape, without a query.
    prefix = _prefix(secret)
    if prefix is None:
        return None
    key = ApiKey.objects.filter(prefix=prefix, revoked_at__isnull=True).first()
    if key is None or not hmac.compare_digest(key.secret_sha256, digest):
        return None
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_EVERY:
        with suppress(OperationalError):  # a key is valid, whether or not we can note that it was used
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return _holder(key)


def _holder(key: ApiKey) -> KeyHolder:
    return KeyHolder(f"{key.name} ({key.prefix})", frozenset(key.scopes), key.expires_at)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


_memory: dict[str, tuple[float, KeyHolder]] = {}
# Secrets that no key has, and when that was read. Who floods us with one shall not have the database asked each time.
_wrong: dict[str, float] = {}
_memory_lock = threading.Lock()


def _remembered(digest: str, seconds: float) -> KeyHolder | None:
    read_at, holder = _memory.get(digest, (0.0, None))
    return holder if holder and time.monotonic() - read_at < seconds else None


def _remember(digest: str, holder: KeyHolder | None) -> None:
    with _memory_lock:
        if holder is None:
            _memory.pop(digest, None)
            if len(_wrong) >= _MOST_REMEMBERED:
                _wrong.clear()
            _wrong[digest] = time.monotonic()
            return
        if len(_memory) >= _MOST_REMEMBERED and digest not in _memory:
            _memory.clear()
        _memory[digest] = (time.monotonic(), holder)


def forget_keys() -> None:
    """Make this process read every key afresh."""
    with _memory_lock:
        _memory.clear()
        _wrong.clear()
