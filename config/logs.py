"""Logs as JSON lines."""

import json
import logging
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


# Python's own advice (logging howto, "Optimization"): do not collect what no line shows.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

_encode = json.JSONEncoder(default=str).encode


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
