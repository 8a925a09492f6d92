"""Who holds a port. The real look is in `test_serve.py`; here is what a machine may show or hide."""

import os

import pytest

from config.port_holder import port_holder

pytestmark = pytest.mark.pure

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(port, state, owner, inode):
    return (
        f"   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {owner} 0 {inode} 1\n"
    )


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "net").mkdir()
    return tmp_path


def holds(proc, process, name, inode):
    (proc / process / "fd").mkdir(parents=True)
    (proc / process / "comm").write_text(f"{name}\n")
    os.symlink(f"socket:[{inode}]", proc / process / "fd" / "3")


def test_the_process_that_listens_is_named(proc):
    (proc / "net/tcp").write_text(
        HEAD + line(8000, "01", 0, 70) + line(8001, "0A", 0, 71) + line(8000, "0A", 0, 72) + line(8000, "06", 0, 0)
    )
    for process, name, inode in (("9", "curl", 70), ("10", "other", 71), ("12", "nginx", 72)):
        holds(proc, process, name, inode)

    assert port_holder(8000, proc) == "Process 12 (nginx) holds it."


def test_whoever_uses_the_port_otherwise_is_named_where_nobody_listens(proc):
    (proc / "net/tcp6").write_text(HEAD + line(8000, "01", 0, 70))
    holds(proc, "9", "curl", 70)

    assert port_holder(8000, proc) == "Process 9 (curl) holds it."


def test_what_cannot_be_seen_is_said(proc):
    assert port_holder(8000, proc).startswith("This system does not say who holds it; `sudo lsof -nP -iTCP:8000`")
    (proc / "net/tcp").write_text(HEAD + line(8000, "06", 0, 0))
    assert "it may be in another container" in port_holder(8000, proc)
    (proc / "net/tcp").write_text(HEAD + line(8000, "0A", 0, 70) + line(8000, "0A", 123456, 71))
    said = port_holder(8000, proc)
    assert said.startswith("A process of the account number 123456 or root holds it, of which this account cannot see")
    assert "lsof" in said
