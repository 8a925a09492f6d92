"""Requests that wait on disk for the database: `DATA_DIR/spool`, one append-only file per process, one line a request.

A line is a JSON object with its CRC-32 in hex before it. Whoever appends to a file or deletes it holds its lock; once
all of a file is in the database it is deleted, and its process begins another.
"""

import fcntl
import json
import os
import secrets
import threading
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from sessions_app.decision.answer import AnswerGiven, DecisionGiven
from sessions_app.decision.rules import Reason

ENDING = ".spool"
LONGEST_LINE = 1024 * 1024
# A decision takes a few milliseconds.
LOOK_EVERY_SECONDS = 0.001


@dataclass(frozen=True)
class SpooledRequest:
    """One of LiveTok's requests as it came, with what it was answered. `body` is None where it was too large to keep.

    `reason`, `answer` and `decision` are a begin's (`answer.AnswerGiven`). `encoding` is as in `Delivery`.
    """

    received_at: datetime
    route: str
    body: bytes | None
    status: int
    key: str
    address: str
    took_ms: float
    reason: str | None = None
    answer: bytes | None = None
    decision: DecisionGiven | None = None
    encoding: str = ""

    @property
    def given(self) -> AnswerGiven | None:
        if self.reason is None or self.answer is None:
            return None
        return AnswerGiven(Reason(self.reason), self.answer, self.decision)


class Unreadable(Exception):
    """A line that does not stand as it was written."""


@dataclass(frozen=True)
class Line:
    """A line of a file, up to byte `end`. One that was never finished was never acknowledged."""

    path: Path
    end: int
    content: bytes

    @property
    def is_finished(self) -> bool:
        return self.content.endswith(b"\n")

    def request(self) -> SpooledRequest:
        """Raises Unreadable."""
        return _decoded(self.content)


class Spool:
    """The file that this process appends to. It begins another where there is none, or the last one failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._owner: tuple[int, Path] | None = None

    def append(self, request: SpooledRequest) -> None:
        """Keep the request: on disk for good when this returns. Raises OSError where the disk does not take it."""
        self.write(request)()

    def write(self, request: SpooledRequest) -> Callable[[], None]:
        """Write the request where others see it. It is on disk for good once what this returns was called, in the end.

        Both raise OSError where the disk does not take it.
        """
        content = _encoded(request)
        with self._lock:
            descriptor = self._locked_file()
            with _closed_on_error(descriptor):
                self._write(descriptor, content)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return partial(_sync_and_close, descriptor)  # outside of all locks, so that the disk takes many at once

    def _locked_file(self) -> int:
        while True:
            descriptor = self._opened()
            with _closed_on_error(descriptor):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_nlink:
                    return descriptor
            os.close(descriptor)  # it was deleted between opening and locking

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        owner = os.getpid(), spool_folder()
        # A fork inherits the path, but begins a file of its own.
        if self._path is not None and self._owner == owner:
            with suppress(FileNotFoundError):
                return os.open(self._path, flags)
        self._path, path = None, _new_path()
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        with _closed_on_error(descriptor):
            _sync_folder(path.parent)
        self._path, self._owner = path, owner
        return descriptor

    def _write(self, descriptor: int, content: bytes) -> None:
        before = os.fstat(descriptor).st_size
        try:
            written = 0
            while written < len(content):
                written += os.write(descriptor, content[written:])
        except OSError:
            self._path = None
            # Half a line would run into the next one.
            os.ftruncate(descriptor, before)
            raise


spool = Spool()


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class NotAlone(Exception):
    """Others did not let us decide in time."""


@contextmanager
def deciding_alone(is_patient: Callable[[], bool]) -> Iterator[None]:
    """Be the only one on this machine in the block: whoever decides by reading sees what was decided so before.

    Raises NotAlone.
    """
    _make_folder(spool_folder())
    with open(spool_folder() / "deciding", "ab", opener=_private) as file:
        while not _locked_at_once(file):
            if not is_patient():
                raise NotAlone
            time.sleep(LOOK_EVERY_SECONDS)
        yield


def _locked_at_once(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def spool_folder() -> Path:
    return _spool_in(settings.DATA_DIR)


@cache
def _spool_in(data_folder: Path) -> Path:
    return data_folder / "spool"  # every begin asks, and putting a path together takes longer than a look at the folder


def set_aside_folder() -> Path:
    return spool_folder() / "set-aside"


def spool_files() -> list[Path]:
    """The files that wait to be fed to the database, oldest first."""
    # Names begin with the time at which the file was begun.
    return sorted(spool_folder().glob(f"*{ENDING}"))


def files_set_aside() -> list[Path]:
    return sorted(set_aside_folder().glob(f"*{ENDING}"))


def lines_of(path: Path, start: int = 0) -> Iterator[Line]:
    """The file's lines from byte `start` on, as it stands now; appending goes on meanwhile."""
    with path.open("rb") as file:
        # Whoever appends holds the lock until the line is whole, so the size found with it ends behind a whole line.
        fcntl.flock(file, fcntl.LOCK_SH)
        size = os.fstat(file.fileno()).st_size
        fcntl.flock(file, fcntl.LOCK_UN)
        file.seek(start)
        while file.tell() < size:
            content = file.readline(LONGEST_LINE)
            yield Line(path, file.tell(), content)


def delete_if_finished(path: Path, end: int) -> bool:
    """Delete the file unless something was appended after byte `end`."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_size > end:
            return False
        path.unlink()
    return True


def set_aside(line: Line) -> Path:
    """Keep a line out of the way, in a file of its own: moved back beside the others, it is fed again."""
    folder = set_aside_folder()
    _make_folder(folder)
    path = folder / f"{line.path.stem}-{line.end}{ENDING}"
    with open(path, "wb", opener=_private) as file:
        file.write(line.content)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(folder)
    return path


@contextmanager
def _closed_on_error(descriptor: int) -> Iterator[None]:
    try:
        yield
    except OSError:
        os.close(descriptor)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _new_path() -> Path:
    folder = spool_folder()
    _make_folder(folder)
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}-{secrets.token_hex(4)}{ENDING}"


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A file survives a power cut only once its folder does know of it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encoded(request: SpooledRequest) -> bytes:
    values: dict[str, Any] = vars(request) | {
        "received_at": request.received_at.isoformat(),
        "body": _as_text(request.body),
        "answer": _as_text(request.answer),
        "decision": request.decision and vars(request.decision),
    }
    content = json.dumps(values, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _decoded(line: bytes) -> SpooledRequest:
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(content):
            raise Unreadable("its checksum is another one")
        values = json.loads(content)
        return SpooledRequest(
            **values
            | {
                "received_at": _as_moment(values["received_at"]),
                "body": _as_bytes(values["body"]),
                "answer": _as_bytes(values["answer"]),
                "decision": DecisionGiven(**values["decision"]) if values.get("decision") else None,
            }
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def _as_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("its time has no zone")
    return moment.astimezone(UTC)


def _as_text(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()


def _as_bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text, validate=True)
