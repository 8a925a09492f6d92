"""Secrets at rest: encrypted with the newest key, each beside the fingerprint of the key that opens it.

A key that is gone is never replaced while it is needed: what it sealed could not be told from what is damaged.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from automations.key_files import make_key_file

KEY_FILE = "encryption_key"


@dataclass(frozen=True)
class Sealed:
    """What is stored of a secret: 16 hexadecimal digits that name the key, and ASCII text that only it opens."""

    fingerprint: str
    token: str = field(repr=False)


class SealingError(Exception):
    """A secret that cannot be opened or sealed. Its text is for staff, and says how to mend it."""


class KeyMissingError(SealingError):
    """The key is gone. `fingerprint` names it, where one certain key is missed."""

    def __init__(self, text: str, fingerprint: str = "") -> None:
        super().__init__(text)
        self.fingerprint = fingerprint


def seal(text: str, *, has_old_secrets: Callable[[], bool]) -> Sealed:
    """Encrypt a text with the newest key; the first one is made here. Raises KeyMissingError, as `made_key` does."""
    keys = known_keys() or [made_key(settings.DATA_DIR, has_old_secrets)]
    return Sealed(fingerprint_of(keys[0]), Fernet(keys[0]).encrypt(text.encode()).decode())


def open_sealed(sealed: Sealed) -> str:
    """The text. Raises KeyMissingError, or SealingError where the key is there but the token was changed."""
    try:
        return _box(sealed).decrypt(sealed.token).decode()
    except InvalidToken as error:
        raise SealingError(_damaged(sealed)) from error


def reseal(sealed: Sealed) -> Sealed:
    """The same text under the newest key, and the same object where it is under it already. Raises as `open_sealed`."""
    newest = fingerprint_of((known_keys() or [""])[0])
    if sealed.fingerprint == newest:
        return sealed
    try:
        return Sealed(newest, _box(sealed).rotate(sealed.token).decode())
    except InvalidToken as error:
        raise SealingError(_damaged(sealed)) from error


def has_key(sealed: Sealed) -> bool:
    """Whether the key that sealed it is there. Opens nothing."""
    return sealed.fingerprint in map(fingerprint_of, known_keys())


def known_keys() -> list[str]:
    """The keys, newest first: ENCRYPTION_KEYS, else the one in the data folder, else none. Makes none."""
    return list(settings.ENCRYPTION_KEYS) or _key_in_file(settings.DATA_DIR / KEY_FILE)


def made_key(data_dir: Path, has_old_secrets: Callable[[], bool]) -> str:
    """The key in `data_dir/encryption_key`, made on first use; several processes may ask at once.

    Raises KeyMissingError where the file is gone while there are secrets that it sealed.
    """
    path = data_dir / KEY_FILE
    if not path.exists():
        if has_old_secrets():
            raise KeyMissingError(
                f"{path} is missing, and there are secrets that need it: no other key is made over them. Restore it "
                "from a backup, or set ENCRYPTION_KEYS; where the key is lost for good, delete the secrets first."
            )
        make_key_file(path, Fernet.generate_key().decode())
    return _key_in_file(path)[0]


def fingerprint_of(key: str) -> str:
    """Names a key and gives nothing away of it: the key is random, so its hash cannot be searched."""
    return hashlib.sha256(b"frontdesk encryption key " + key.encode()).hexdigest()[:16]


def _key_in_file(path: Path) -> list[str]:
    try:
        key = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return []
    try:
        Fernet(key)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{path} is empty or cut short. Restore it from a backup: the secrets of destinations and sources need it."
        ) from error
    return [key]


def _box(sealed: Sealed) -> MultiFernet:
    try:
        keys = known_keys()
    except ImproperlyConfigured as error:  # the key's file is damaged
        raise SealingError(str(error)) from error
    if sealed.fingerprint not in map(fingerprint_of, keys):
        raise KeyMissingError(
            f"The encryption key {sealed.fingerprint} is missing. Restore {settings.DATA_DIR / KEY_FILE} from a "
            "backup, or add that key to ENCRYPTION_KEYS; where it is lost for good, enter the secret again.",
            sealed.fingerprint,
        )
    return MultiFernet([Fernet(key) for key in keys])


def _damaged(sealed: Sealed) -> str:
    return f"A secret sealed with the key {sealed.fingerprint} was changed since. Enter it again."
