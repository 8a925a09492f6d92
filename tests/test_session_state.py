"""No state of a PostgreSQL session outlives its transaction: behind a pooler, the next one is somebody else's."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("automations", "config", "customers", "sessions_app")
SESSION_STATE = {
    "a setting of the session": r"['\"](?:RESET|SET(?! LOCAL)(?! TRANSACTION))\s+(?:SESSION\s+)?\w+\s*(?:=|TO)\s",
    "a function that sets one": r"set_config\(",
    "a lock of the session": r"pg_(?:try_)?advisory_(?!xact_)\w+",
    "notifications": r"\b(?:UN)?LISTEN\s+\w|\bNOTIFY\s+\w",
    "a cursor that stays open": r"WITH HOLD|\bDECLARE\s+\w+|named_cursor|chunked_cursor|\.iterator\(|\.aiterator\(",
    "a temporary table": r"\bTEMP(?:ORARY)?\s+(?:TABLE|VIEW|SEQUENCE)",
    "a statement prepared by name": r"\bPREPARE\s+\w+\s|send_prepare|prepare=True",
}
# What is known to be right, and why.
ALLOWED = {
    ("sessions_app/database/prepared.py", "a statement prepared by name"): "only where DATABASE_PREPARE says so",
}


def found_in(text: str) -> set[str]:
    return {what for what, pattern in SESSION_STATE.items() if re.search(pattern, text)}


def test_no_code_keeps_state_in_a_session():
    found = {
        (str(path.relative_to(ROOT)), what)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "migrations" not in path.parts
        for what in found_in(path.read_text())
    }

    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "text, what",
    [
        ('execute("SET statement_timeout = 30000")', "a setting of the session"),
        ("execute(\"SET SESSION work_mem TO '1GB'\")", "a setting of the session"),
        ('execute("RESET work_mem = ")', "a setting of the session"),
        ("SELECT set_config('work_mem', '1GB', false)", "a function that sets one"),
        ("SELECT pg_advisory_lock(1)", "a lock of the session"),
        ("SELECT pg_try_advisory_lock(1)", "a lock of the session"),
        ("LISTEN sessions", "notifications"),
        ("DECLARE rows CURSOR WITH HOLD FOR SELECT 1", "a cursor that stays open"),
        ("Session.objects.iterator(chunk_size=20)", "a cursor that stays open"),
        ("CREATE TEMP TABLE found (id int)", "a temporary table"),
        ("server.send_prepare(name, statement)", "a statement prepared by name"),
    ],
)
def test_the_search_finds_each(text, what):
    assert what in found_in(text)


@pytest.mark.parametrize(
    "text",
    [
        'execute("SET LOCAL enable_seqscan = off")',
        'execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")',
        "UPDATE session SET ended_at = now()",
        "SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)",
        "it listens to what was prepared for it",
    ],
)
def test_the_search_leaves_alone_what_ends_with_the_transaction(text):
    assert found_in(text) == set()
