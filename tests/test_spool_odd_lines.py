"""Lines of the spool with a right checksum that nobody can have written: they are set aside, and block nothing."""

import json
import zlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sessions_app.models import Session
from sessions_app.spool.files import Spool, SpooledRequest, files_set_aside, spool_files, spool_folder
from sessions_app.webhook.feeding import Feeder
from tests.builders import payload

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
ORDINARY = {
    "received_at": NOON.isoformat(),
    "route": "begin",
    "body": "e30=",
    "status": 200,
    "key": "LiveTok",
    "address": "10.0.0.1",
    "took_ms": 1.5,
    "reason": None,
    "answer": None,
}
LATEST = datetime.max.replace(tzinfo=timezone(-timedelta(hours=23)))
ODD = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep body": json.dumps(ORDINARY).encode()[:-1] + b',"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "no zone": json.dumps(ORDINARY | {"received_at": "2024-03-15T12:00:00"}).encode(),
    "beyond time": json.dumps(ORDINARY | {"received_at": LATEST.isoformat()}).encode(),
    "no object": b"[1]",
    "a number as time": json.dumps(ORDINARY | {"received_at": 5}).encode(),
    "digits": b"9" * 10_000,
    "no text": b"\xff\xfe",
    "unknown field": json.dumps(ORDINARY | {"more": 1}).encode(),
    "odd body": json.dumps(ORDINARY | {"body": [1]}).encode(),
    "odd time taken": json.dumps(ORDINARY | {"took_ms": "x"}).encode(),
    "odd route": json.dumps(ORDINARY | {"route": {"a": 1}}).encode(),
    "odd key": json.dumps(ORDINARY | {"key": "a\0b" * 1000, "address": None}).encode(),
}


@pytest.mark.django_db(transaction=True)
def test_what_stands_behind_an_odd_line_is_fed(livetok, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    good = SpooledRequest(NOON, "begin", payload("session_begin"), 200, "LiveTok", "10.0.0.1", 1.5)
    Spool().append(good)
    with spool_files()[0].open("r+b") as file:
        fine = file.read()
        file.seek(0)
        for content in ODD.values():
            file.write(b"%08x %s\n" % (zlib.crc32(content), content))
        file.write(fine)
    (spool_folder() / "another.spool").write_bytes(fine)
    feeder = Feeder()

    for _ in range(2 + 3 * len(ODD)):
        feeder.feed()

    assert spool_files() == []
    assert Session.objects.count() == 1
    assert len(files_set_aside()) >= 10
