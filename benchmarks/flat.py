"""Whether a begin costs the same with millions of sessions stored, and for a customer with ten thousand this month."""

from collections.abc import Callable, Iterator
from statistics import median

from benchmarks.filled import CUSTOMERS, TIME_ZONE, filled
from benchmarks.servers import database_server, driven, frontdesk
from tests.live import LiveServer

DRIVEN_CUSTOMERS = 10_000
ROUNDS = 7
SECONDS = 3

Say = Callable[[str], None]


def flatness(database: str, sessions: int, say: Say) -> list[tuple[str, float]]:
    """The goals, on a server that is filled for them."""
    with database_server(database), filled(database, sessions, say) as server:
        return list(flat_goals(database, server, say))


def flat_goals(database: str, server: LiveServer, say: Say) -> Iterator[tuple[str, float]]:
    """A begin's median on the filled server against an empty one's, by one connection, in turn."""
    full = driven(server, DRIVEN_CUSTOMERS)
    with frontdesk(database, CUSTOMERS, TIME_ZONE=TIME_ZONE) as empty:
        for one in (empty, full):
            one.load(2, customers=DRIVEN_CUSTOMERS)
        medians: dict[str, list[float]] = {"empty": [], "full": [], "busy": []}
        for number in range(ROUNDS + 1):
            measured = {
                "empty": empty.load(SECONDS, connections=1, customers=DRIVEN_CUSTOMERS).median_ms,
                "full": full.load(SECONDS, connections=1).median_ms,
                "busy": full.load(SECONDS, connections=1, customers=1).median_ms,
            }
            say(f"round {number}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in measured.items()))
            if number:  # the first one brings what is read often into memory
                for name, ms in measured.items():
                    medians[name].append(ms)
    yield "flat_with_many_sessions", _ratio(medians["full"], medians["empty"])
    yield "flat_for_a_busy_customer", _ratio(medians["busy"], medians["empty"])


def _ratio(ours: list[float], others: list[float]) -> float:
    return median(mine / other for mine, other in zip(ours, others, strict=True))
