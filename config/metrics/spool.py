"""How much waits on disk: requests and bytes. Files are read on from where they were read last."""

from pathlib import Path
from threading import Lock

from sessions_app.models import SpoolPlace
from sessions_app.spool.files import files_set_aside, spool_files

PIECE = 1 << 20


class LineCounts:
    """Whole lines of files that only grow, up to any byte."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._read: dict[tuple[Path, str], tuple[int, int]] = {}  # up to which byte, and the lines until there

    def until(self, path: Path, end: int, mark: str) -> int:
        """`mark` names what `end` is: of each, only what is new since the last time is read."""
        with self._lock:
            start, lines = self._read.get((path, mark), (0, 0))
            with path.open("rb") as file:
                file.seek(start)
                while start < end and (piece := file.read(min(PIECE, end - start))):
                    lines += piece.count(b"\n")
                    start += len(piece)
            self._read[path, mark] = start, lines
            return lines

    def forget_all_but(self, paths: list[Path]) -> None:
        with self._lock:
            self._read = {key: read for key, read in self._read.items() if key[0] in paths}


_counts = LineCounts()


def waiting_on_disk(fed_bytes: dict[str, int]) -> tuple[int, int]:
    """Requests and bytes that wait to be fed. `fed_bytes`: how far each file is in the database already."""
    files = spool_files()
    _counts.forget_all_but(files)
    requests = size = 0
    for path in files:
        fed = fed_bytes.get(path.name, 0)
        try:
            end = path.stat().st_size
            requests += _counts.until(path, end, "end") - _counts.until(path, fed, "fed")
        except FileNotFoundError:  # fed and deleted meanwhile
            continue
        size += end - fed
    return requests, size


def set_aside() -> tuple[int, int]:
    """Requests and bytes that could not be fed: each has a file of its own."""
    sizes = []
    for path in files_set_aside():
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:  # moved back meanwhile
            continue
    return len(sizes), sum(sizes)


def fed_bytes() -> dict[str, int]:
    return dict(SpoolPlace.objects.values_list("name", "fed_bytes"))
