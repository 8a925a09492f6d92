"""A server's processes, and what they use, read from /proc (Linux)."""

import os
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def web_processes(serving: int) -> list[int]:
    """The processes that answer requests, among those that a server's process has started."""
    return [pid for pid in _descendants(serving) if "granian" in _command(pid) and not _descendants(pid)]


def web_server(serving: int) -> list[int]:
    """The process that starts and watches those that answer."""
    return [pid for pid in _children(serving) if "granian" in _command(pid)]


def worker(serving: int) -> list[int]:
    return [pid for pid in _children(serving) if "manage.py worker" in _command(pid)]


def with_children(pid: int) -> list[int]:
    """A process and all that it, and they, have started."""
    return [pid, *_descendants(pid)]


def memory_mb(pids: list[int]) -> float:
    """Of the largest one."""
    return max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids) / 1_000_000


def open_files(pid: int) -> list[str]:
    """What each of its file handles leads to: files, sockets and so on."""
    found = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.append(os.readlink(handle))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Of all together, since they started."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in fields) / _TICKS


def cpu_seconds_with_ended(pid: int) -> float:
    """Of a process, of all that run under it, and of all under it that have ended and were waited for."""
    ticks = 0
    for one in with_children(pid):
        with suppress(OSError):  # ended meanwhile
            ticks += sum(map(int, Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / _TICKS


def is_running(pid: int) -> bool:
    """Not gone, and more than an entry that waits for its parent to look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    """None of a process that is gone; a thread may end while they are read, and its children go to another one."""
    children: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (task / "children").read_text().split())
    return children


def _descendants(pid: int) -> list[int]:
    children = _children(pid)
    return children + [further for child in children for further in _descendants(child)]


def _command(pid: int) -> str:
    """Blank of a process that is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""
