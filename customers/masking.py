"""Numbers and e-mail addresses as whoever asks may see them: whole, or masked. All pages and files show them by this.

Who asks is kept as Django keeps a request's language and time zone, since what a customer is called may be a number.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SEE_NUMBERS = "customers.view_numbers"
MASK = "•••"
NOT_SHOWN = "You may not see numbers and e-mail addresses. The permission is “Can see numbers and e-mail addresses”."
# Of fewer digits, two would be too many to tell.
FEWEST_WITH_END = 7
_EMAIL = r"[^\s@<>()\[\]{}\"',;:=]+@[^\s@<>()\[\]{}\"',;]+"
# Seven digits or more, of any script, whatever stands before and after them, divided by whatever people divide them by.
_BETWEEN = r"(?:[^\w,;:\"'|=&?#@%*!\r\n]|_)"
_NUMBER = rf"(?:\+|\(\+?)?\d(?:{_BETWEEN}{{0,4}}\d){{6,}}"
# Days such as 2026-11-27, and ids as programs make them.
_NO_NUMBER = (
    r"(?<!\d)(?:19|20|21)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?<![^\W_])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![^\W_])"
)
_IN_TEXTS = re.compile(f"{_EMAIL}|(?P<other>{_NO_NUMBER})|{_NUMBER}")


@dataclass
class _Asking:
    user: Any

    @cached_property
    def may_see(self) -> bool:
        """Found out once: a file may have a million numbers."""
        return bool(self.user.has_perm(SEE_NUMBERS))


# The member of staff who asks; None where nobody does, as in the worker, at the webhook and for API keys.
_asking: ContextVar[_Asking | None] = ContextVar("asking", default=None)


@contextmanager
def shown_to(user: Any) -> Iterator[None]:
    """Within it, numbers are shown as the user may see them. `user` may be lazy: it is looked at only when needed."""
    token = _asking.set(_Asking(user))
    try:
        yield
    finally:
        _asking.reset(token)


def may_see_numbers() -> bool:
    asking = _asking.get()
    return asking is None or asking.may_see


def shown_number(number: str) -> str:
    """A number, SIP address or other text by which LiveTok knows a caller; of a masked number its last two digits."""
    if not number or may_see_numbers():
        return number
    digits = re.sub(r"\D", "", number)
    has_end = len(digits) >= FEWEST_WITH_END and not re.search(r"[^\d\s()+./-]", number)
    return f"{MASK}{digits[-2:]}" if has_end else MASK


def shown_email(email: str) -> str:
    return email if not email or may_see_numbers() else MASK


def shown_text(text: str) -> str:
    """A text that anybody may have written numbers and e-mail addresses into."""
    if not text or may_see_numbers():
        return text
    return _IN_TEXTS.sub(lambda found: found["other"] or MASK, text)
