"""What a replay shows, added up customer by customer. It is kept as JSON between the pieces. Pure: no database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from heapq import nlargest
from typing import Any, NamedTuple

from sessions_app.replay.engine import Replayed, Verdict

# What the page lists; beyond these it tells how many.
MOST_CHANGED, MOST_CUSTOMERS = 1000, 100


@dataclass
class Line:
    """What one set of limits decides. `reasons` count its denials; `customers` are those who met one."""

    let_in: int = 0
    denied: int = 0
    call_seconds: int = 0
    customers: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class Turned:
    """Sessions that the change turns one way; `guessed` are those that nobody knows the length of."""

    sessions: int = 0
    customers: int = 0
    call_seconds: int = 0
    guessed: int = 0


class Changed(NamedTuple):
    """A session that is decided otherwise. `reason` is that of the denial that comes or goes; seconds come or go."""

    started_at: str
    session: int
    customer: int
    is_let_in: bool
    reason: str
    call_seconds: int
    is_guessed: bool

    @property
    def began_at(self) -> datetime:
        return datetime.fromisoformat(self.started_at)


class Touched(NamedTuple):
    """A customer with sessions that are decided otherwise, and by how many call seconds its use differs."""

    changed: int
    customer: int
    denied: int
    let_in: int
    call_seconds: int


@dataclass
class Summary:
    """`now` and `then` are the tier's limits and the changed ones; `unlike` is how many sessions the limits of now
    decide otherwise than was decided. `changed` has the newest first, `touched` who is touched most."""

    sessions: int = 0
    customers: int = 0
    unlike: int = 0
    now: Line = field(default_factory=Line)
    then: Line = field(default_factory=Line)
    denied: Turned = field(default_factory=Turned)
    let_in: Turned = field(default_factory=Turned)
    changed: list[Changed] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    touched_customers: int = 0

    def add(self, customer_id: int, verdicts: Sequence[tuple[Replayed, Sequence[Verdict]]]) -> None:
        """One customer's sessions, each with its verdict by the limits of now and by the changed ones."""
        self.customers += 1
        self.sessions += len(verdicts)
        _add(self.now, [now for _, (now, _) in verdicts])
        _add(self.then, [then for _, (_, then) in verdicts])
        self.unlike += sum(session.allowed is not now.allowed for session, (now, _) in verdicts)
        changed = [
            _changed(customer_id, session, now, then)
            for session, (now, then) in verdicts
            if now.allowed is not then.allowed
        ]
        if not changed:
            return
        self.touched_customers += 1
        for turned, some in (
            (self.denied, [one for one in changed if not one.is_let_in]),
            (self.let_in, [one for one in changed if one.is_let_in]),
        ):
            turned.sessions += len(some)
            turned.customers += bool(some)
            turned.call_seconds += sum(one.call_seconds for one in some)
            turned.guessed += sum(one.is_guessed for one in some)
        let_in = sum(one.is_let_in for one in changed)
        seconds = sum(one.call_seconds if one.is_let_in else -one.call_seconds for one in changed)
        of_customer = Touched(len(changed), customer_id, len(changed) - let_in, let_in, seconds)
        self.changed = nlargest(MOST_CHANGED, [*self.changed, *changed])
        self.touched = nlargest(MOST_CUSTOMERS, [*self.touched, of_customer])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Summary":
        """From what `as_json` gave; nothing where nothing was stored."""
        if not stored:
            return cls()
        lines = {name: Line(**stored[name]) for name in ("now", "then")}
        turned = {name: Turned(**stored[name]) for name in ("denied", "let_in")}
        changed = [Changed(*row) for row in stored["changed"]]
        touched = [Touched(*row) for row in stored["touched"]]
        return cls(**{**stored, **lines, **turned, "changed": changed, "touched": touched})


def _add(line: Line, verdicts: Sequence[Verdict]) -> None:
    denials = Counter(verdict.reason.value for verdict in verdicts if not verdict.allowed)
    denied = sum(denials.values())
    line.denied += denied
    line.let_in += len(verdicts) - denied
    line.call_seconds += sum(verdict.call_seconds for verdict in verdicts)
    line.customers += bool(denied)
    for reason, count in denials.items():
        line.reasons[reason] = line.reasons.get(reason, 0) + count


def _changed(customer_id: int, session: Replayed, now: Verdict, then: Verdict) -> Changed:
    let_in, denial = (then, now) if then.allowed else (now, then)
    return Changed(
        session.started_at.astimezone(UTC).isoformat(),
        session.pk,
        customer_id,
        then.allowed,
        denial.reason.value,
        let_in.call_seconds - denial.call_seconds,
        let_in.is_guessed,
    )
