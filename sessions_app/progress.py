"""How far a long command is: a bar on a terminal, elsewhere a line every few seconds, which a log can keep."""

import time
from typing import Protocol

BAR_WIDTH = 40
LINE_EVERY_SECONDS = 5.0


class Output(Protocol):
    """A command's `stderr` (Django's OutputWrapper)."""

    def isatty(self) -> bool: ...
    def write(self, msg: str = "", *, ending: str | None = None) -> None: ...
    def flush(self) -> None: ...


class Bar:
    """Called with the share that is done, from 0 to 1, and a few words beside it; 1 ends it."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._shown: tuple[int, str] = (-1, "")
        self._shown_at = -LINE_EVERY_SECONDS
        self._width = 0

    def __call__(self, share: float, words: str = "") -> None:
        percent = 100 if share >= 1 else min(99, int(share * 100))
        if (percent, words) == self._shown:
            return
        now = time.monotonic()
        if not self._out.isatty():
            if percent < 100 and now - self._shown_at < LINE_EVERY_SECONDS:
                return
            self._out.write(f"{percent:3} %  {words}".rstrip())
        else:
            if percent == self._shown[0] and now - self._shown_at < 0.1:
                return
            filled = BAR_WIDTH * percent // 100
            text = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {percent:3} %  {words}"
            self._width = max(self._width, len(text))
            # Blanks cover what was longer before.
            self._out.write(f"\r{text:<{self._width}}", ending="\n" if percent == 100 else "")
        self._out.flush()
        self._shown, self._shown_at = (percent, words), now
