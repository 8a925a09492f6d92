"""What each app knows of a customer, and how it erases that: by dotted names in PERSONAL_DATA_PARTS."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from customers.models import Customer, Erasure
from customers.personal.traces import Traces

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Counted:
    """A kind of thing that is known of a customer. `stays` says what is left of it; blank: nothing."""

    what: str
    count: int
    stays: str = ""


def nothing_in_the_way() -> str:
    return ""


def none_of_sessions(session_ids: Sequence[int]) -> None:
    pass


@dataclass(frozen=True)
class Part:
    """What one app does.

    `counted` tells what there is, `known` gives it, by name, ready for JSON. `at_once` erases in the transaction that
    begins it, with the customer locked, what keeps nobody waiting; `further` the rest in short transactions, again and
    again until it says that nothing was left. In the `last` round, an hour later, it goes through all texts as well.
    `in_the_way` says in a sentence why nobody can be erased now. `of_sessions` erases what hangs on sessions, in the
    transaction that erases them.
    """

    counted: Callable[[Customer, Traces], Iterable[Counted]]
    known: Callable[[Customer, Traces], Mapping[str, Iterable[Any]]]
    at_once: Callable[[Customer, Traces], object]
    further: Callable[[Erasure, Traces, bool, ShouldStop], bool]
    in_the_way: Callable[[], str] = nothing_in_the_way
    of_sessions: Callable[[Sequence[int]], object] = none_of_sessions


def parts() -> list[Part]:
    return [import_string(name) for name in settings.PERSONAL_DATA_PARTS]
