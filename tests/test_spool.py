"""Files of requests that wait for the database: what they survive."""

import errno
import os
import resource
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sessions_app.spool.files import (
    Spool,
    SpooledRequest,
    Unreadable,
    delete_if_finished,
    lines_of,
    set_aside,
    spool_files,
)
from tests.live import ROOT

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_data_folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


def request(number=0, **changes) -> SpooledRequest:
    ordinary = {
        "received_at": NOON + timedelta(seconds=number),
        "route": "begin",
        "body": b'{"n": %d}' % number,
        "status": 200,
        "key": "LiveTok (abc)",
        "address": "10.0.0.1",
        "took_ms": 1.5,
        "reason": "fallback_allow",
        "answer": b'{"allowed":true}',
    }
    return SpooledRequest(**ordinary | changes)


def read(path):
    return [line.request() for line in lines_of(path)]


@contextmanager
def largest_file(size):
    """No file may grow beyond that, as if the disk were full. Python ignores the signal and sees the error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("body", [b"{}", b"\x00\xff\n\r\n", "ünïcode\u2028".encode(), b"", None, b"x" * 65536])
def test_a_request_is_read_as_it_was_written(body):
    kept = request(body=body, reason=None, answer=None)
    Spool().append(kept)

    assert read(*spool_files()) == [kept]


def test_a_request_that_was_written_before_encodings_were_is_read():
    Spool().append(request())
    (path,) = spool_files()
    content = path.read_bytes().rstrip(b"\n").partition(b" ")[2].replace(b',"encoding":""', b"")
    assert b"encoding" not in content
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(content), content))

    assert read(path) == [request()]


def test_requests_of_a_process_stand_in_one_file_in_their_order():
    spool = Spool()
    for number in range(5):
        spool.append(request(number))

    [path] = spool_files()
    assert read(path) == [request(number) for number in range(5)]


def test_many_threads_at_once_lose_nothing():
    spool = Spool()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(spool.append, map(request, range(200))))

    assert sorted(kept.received_at for path in spool_files() for kept in read(path)) == [
        request(number).received_at for number in range(200)
    ]


def test_nobody_else_may_look_into_the_spool():
    before = os.umask(0)
    try:
        Spool().append(request())
        set_aside(next(lines_of(*spool_files())))
    finally:
        os.umask(before)

    [path] = spool_files()
    aside = path.parent / "set-aside"
    assert [oct(each.stat().st_mode & 0o777) for each in (path.parent, aside)] == ["0o700", "0o700"]
    assert [oct(each.stat().st_mode & 0o777) for each in (path, *aside.iterdir())] == ["0o600", "0o600"]


def test_a_line_that_a_power_cut_left_unfinished_is_recognised():
    spool = Spool()
    spool.append(request(1))
    spool.append(request(2))
    [path] = spool_files()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1

    for length in range(first + 1, len(whole)):
        path.write_bytes(whole[:length])
        finished, torn = lines_of(path)
        assert finished.request() == request(1)
        assert not torn.is_finished
        if length < len(whole) - 1:
            with pytest.raises(Unreadable):
                torn.request()


def test_a_line_with_a_wrong_bit_is_recognised():
    Spool().append(request())
    [path] = spool_files()
    whole = path.read_bytes()

    for position in range(len(whole) - 1):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(Unreadable):
            read(path)


def test_a_file_is_read_from_a_place_while_it_is_appended_to():
    spool = Spool()
    spool.append(request(1))
    [path] = spool_files()
    [first] = lines_of(path)
    spool.append(request(2))

    [second] = lines_of(path, first.end)
    assert second.request() == request(2)
    assert not delete_if_finished(path, first.end)
    assert delete_if_finished(path, second.end)


def test_a_process_whose_file_was_deleted_begins_another():
    spool = Spool()
    spool.append(request(1))
    [path] = spool_files()
    assert delete_if_finished(path, path.stat().st_size)
    spool.append(request(2))

    [other] = spool_files()
    assert other != path
    assert read(other) == [request(2)]


def test_a_file_deleted_while_appending_waits_for_it_takes_no_request_along():
    spool = Spool()
    spool.append(request(-1))
    with ThreadPoolExecutor(5) as pool:
        appended = [pool.submit(spool.append, request(number)) for number in range(300)]
        kept = []
        while not all(each.done() for each in appended) or spool_files():
            for path in spool_files():
                lines = list(lines_of(path))
                if delete_if_finished(path, lines[-1].end if lines else 0):
                    kept += [line.request().received_at for line in lines]
    for each in appended:
        each.result()

    assert sorted(kept) == [request(number).received_at for number in range(-1, 300)]


def test_a_full_disk_is_an_error_and_leaves_no_half_line():
    spool = Spool()
    spool.append(request(1))
    [path] = spool_files()
    size = path.stat().st_size
    with largest_file(size + 10), pytest.raises(OSError) as error:
        spool.append(request(2))
    spool.append(request(3))

    assert error.value.errno == errno.EFBIG
    assert sorted(kept.received_at for path in spool_files() for kept in read(path)) == [
        request(1).received_at,
        request(3).received_at,
    ]


def test_nothing_is_kept_in_a_file_of_which_its_folder_may_not_know(monkeypatch, tmp_path):
    """A power cut would take the whole file along, with whatever else was acknowledged in it."""
    spool, fsync = Spool(), os.fsync
    (tmp_path / "spool").mkdir()

    def fail_for_folders(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, "the disk failed")
        fsync(descriptor)

    opened = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail_for_folders)
        for number in range(3):
            with pytest.raises(OSError, match="the disk failed"):
                spool.append(request(number))
    spool.append(request(3))

    assert [kept for path in spool_files() for kept in read(path)] == [request(3)]
    assert len(os.listdir("/proc/self/fd")) == opened


def test_a_child_process_has_a_file_of_its_own():
    spool = Spool()
    spool.append(request(1))
    child = os.fork()
    if child == 0:
        try:
            spool.append(request(2))
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert len(spool_files()) == 2


def test_every_request_is_forced_to_disk_before_it_is_acknowledged(tmp_path):
    """Seen from outside: a process that is killed right after `append` returns loses nothing."""
    code = f"""
import os, django
django.setup()
from django.conf import settings
from tests.test_spool import request
from sessions_app.spool.files import Spool
settings.DATA_DIR = type(settings.DATA_DIR)({str(tmp_path)!r})
called = []
fsync = os.fsync
os.fsync = lambda descriptor: (called.append(os.readlink(f"/proc/self/fd/{{descriptor}}")), fsync(descriptor))
Spool().append(request(7))
assert [name.rpartition(".")[2] for name in called][-1] == "spool", called
assert {str(tmp_path / "spool")!r} in called and {str(tmp_path)!r} in called, called
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == -9, done.stderr
    assert read(*spool_files()) == [request(7)]
