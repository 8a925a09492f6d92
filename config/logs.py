"""Logs as JSON lines."""

import json
import logging
import math
import threading
import time
from collections import Counter
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


# Python's own advice (logging howto, "Optimization"): do not collect what no line shows.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

_encode = json.JSONEncoder(default=str).encode


class Seldom(logging.Filter):
    """Lets one line a minute through of what strangers can cause at will, with how many there were since the last."""

    every_seconds = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._count: Counter[str] = Counter()
        self._shown_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        name = record.name
        if not name.startswith("django.security."):
            return True
        with self._lock:
            self._count[name] += 1
            now = time.monotonic()
            if now - self._shown_at.get(name, -math.inf) < self.every_seconds:
                return False
            self._shown_at[name] = now
            record.times = self._count.pop(name)
        record.exc_info = None
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and whatever came as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in vars(record).items() if name not in _STANDARD and name != "request"}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return _encode(entry)
