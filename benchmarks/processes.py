"""What the web processes use, read from /proc (Linux)."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def web_processes(serving: int) -> list[int]:
    """The processes that answer requests, among those that a server's process has started."""
    return [pid for pid in _descendants(serving) if "granian" in _command(pid) and not _descendants(pid)]


def memory_mb(pids: list[int]) -> float:
    """Of the largest one."""
    return max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids) / 1_000_000


def cpu_seconds(pids: list[int]) -> float:
    """Of all together, since they started."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in fields) / _TICKS


def _descendants(pid: int) -> list[int]:
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return children + [further for child in children for further in _descendants(child)]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
