"""Whether somebody of this machine still lives: on SQLite, by a lock on a file beside the database.

The system frees it when a process dies, so that nobody has to wait until the dead one's time is up. Where several
machines share a database, nobody can tell.
"""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from django.db import connection

LONGEST_NAME = 100


class Life:
    """A lock for as long as the process lives, or until `end`; none where another one has it, or on PostgreSQL.

    `dead` is who had it before and certainly does not live; blank where nobody can tell.
    """

    def __init__(self, purpose: str) -> None:
        self.dead = ""
        self._file: int | None = None
        if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
            return
        folder = Path(f"{connection.settings_dict['NAME']}-lives")
        with suppress(OSError):  # whoever waits longer loses nothing
            folder.mkdir(mode=0o700, exist_ok=True)
            self._file = os.open(folder / re.sub(r"\W+", "-", purpose), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.dead = os.pread(self._file, LONGEST_NAME, 0).decode(errors="replace")
            except OSError:
                self.end()

    def is_of(self, name: str) -> None:
        """From now on, who gets the lock knows that `name` is dead. Names are of one length."""
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, name.encode(), 0)

    def end(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
