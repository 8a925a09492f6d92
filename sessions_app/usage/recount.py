"""Recounting what is kept as a sum from the sessions: the proof that it is equal, and its repair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from customers.keyset import beyond
from customers.models import Customer
from sessions_app.database.pieces import in_pieces, keys_of
from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import DailyUsage, Session
from sessions_app.sums.pruned import first_whole_day, sessions_since
from sessions_app.usage.used import Amount, UsageKey, contribution, record_change

SESSIONS_AT_ONCE = 2000
# Counting needs none of these, and they are most of a row.
_UNCOUNTED = ("answer", "begin_body", "end_body", "facts", "trace", "would_deny", "flags")


@dataclass(frozen=True)
class Difference:
    """A sum that is not what its sessions add up to."""

    key: UsageKey
    kept: Amount
    counted: Amount

    def __str__(self) -> str:
        key = self.key
        where = f"customer {key.customer_id}, {key.day}, channel {key.channel or '–'}, agent {key.agent or '–'}"
        return f"{where}: kept {_words(self.kept)}, counted {_words(self.counted)}"


def differences(*, repair: bool = False) -> Iterator[Difference]:
    """Every sum that differs from its recount, customer by customer; with `repair`, each is set right.

    Sessions may begin and end meanwhile: a customer's sums and sessions are read in one snapshot, and a repair adds
    what was missing in it, which stays right whatever was added since. Days whose sessions were deleted by age are left
    out.
    """
    for customer_id in keys_of(Customer.objects.all()):
        with one_snapshot():
            since = sessions_since()
            found = [
                difference
                for difference in _of_customer(customer_id)
                if since is None or difference.key.day >= first_whole_day(since)
            ]
        if repair:
            in_pieces(found, _set_right)
        yield from found


def _set_right(some: Sequence[Difference]) -> None:
    record_change(
        {difference.key: difference.kept for difference in some},
        {difference.key: difference.counted for difference in some},
    )


def _of_customer(customer_id: int) -> Iterator[Difference]:
    kept = {
        UsageKey(row.customer_id, row.day, row.channel, row.agent): Amount(row.sessions, row.seconds, row.call_seconds)
        for row in DailyUsage.objects.filter(customer_id=customer_id)
    }
    counted: dict[UsageKey, Amount] = {}
    for session in _sessions_of(customer_id):
        for key, amount in contribution(session).items():
            counted[key] = counted.get(key, Amount()) + amount
    for key in sorted(kept.keys() | counted.keys(), key=lambda key: (key.day, key.channel, key.agent)):
        difference = Difference(key, kept.get(key, Amount()), counted.get(key, Amount()))
        if difference.kept != difference.counted:
            yield difference


def _sessions_of(customer_id: int) -> Iterator[Session]:
    """Some at a time, by where the last ones ended: no cursor stays open on the server."""
    order = ("started_at", "pk")
    sessions = Session.objects.filter(customer_id=customer_id).defer(*_UNCOUNTED).order_by(*order)
    some = list(sessions[:SESSIONS_AT_ONCE])
    while some:
        yield from some
        further = beyond(order, (some[-1].started_at, some[-1].pk))
        some = list(sessions.filter(further)[:SESSIONS_AT_ONCE]) if len(some) == SESSIONS_AT_ONCE else []


def _words(amount: Amount) -> str:
    return f"{amount.sessions} sessions, {amount.seconds} s, {amount.call_seconds} s of calls"
