"""Recounting what is kept as a sum from the sessions: the proof that it is equal, and its repair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from customers.keyset import beyond
from customers.models import Customer
from sessions_app.database.pieces import in_pieces, keys_of
from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import LONG_FIELDS, DailyUsage, Session, TopUpUse
from sessions_app.sums.pruned import first_whole_day, sessions_since
from sessions_app.usage.counting import Amount, Draw, UsageKey, contribution, drawn_by
from sessions_app.usage.drawn import record_drawn
from sessions_app.usage.used import amount_of, record_change

SESSIONS_AT_ONCE = 2000


@dataclass(frozen=True)
class DrawnDifference:
    """What is kept of a top-up, and is not what its sessions draw."""

    customer_id: int
    top_up_id: int
    kept: Draw
    counted: Draw

    def __str__(self) -> str:
        kept, counted = (f"{draw.sessions} sessions, {draw.call_seconds} s" for draw in (self.kept, self.counted))
        return f"customer {self.customer_id}, top-up {self.top_up_id}: kept {kept}, counted {counted}"


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


def differences(*, repair: bool = False) -> Iterator[Difference | DrawnDifference]:
    """Every sum that differs from its recount, customer by customer; with `repair`, each is set right.

    Sessions may begin and end meanwhile: a customer's sums and sessions are read in one snapshot, and a repair adds
    what was missing in it, which stays right whatever was added since. Days whose sessions were deleted by age are left
    out.
    """
    for customer_id in keys_of(Customer.objects.all()):
        with one_snapshot():
            since = sessions_since()
            used, drawn = _of_customer(customer_id)
            found = [one for one in used if since is None or one.key.day >= first_whole_day(since)]
        if repair:
            in_pieces(found, _set_right)
            in_pieces(drawn, _set_drawn_right)
        yield from found
        yield from drawn


def _set_right(some: Sequence[Difference]) -> None:
    record_change(
        {difference.key: difference.kept for difference in some},
        {difference.key: difference.counted for difference in some},
    )


def _set_drawn_right(some: Sequence[DrawnDifference]) -> None:
    record_drawn(
        {difference.top_up_id: difference.kept for difference in some},
        {difference.top_up_id: difference.counted for difference in some},
    )


def _of_customer(customer_id: int) -> tuple[list[Difference], list[DrawnDifference]]:
    counted: dict[UsageKey, Amount] = {}
    drawn: dict[int, Draw] = {}
    for session in _sessions_of(customer_id):
        for key, amount in contribution(session).items():
            counted[key] = counted.get(key, Amount()) + amount
        for pk, draw in drawn_by(session).items():
            drawn[pk] = drawn.get(pk, Draw()) + draw
    return list(_of_usage(customer_id, counted)), list(_of_top_ups(customer_id, drawn))


def _of_usage(customer_id: int, counted: Mapping[UsageKey, Amount]) -> Iterator[Difference]:
    kept = {
        UsageKey(row.customer_id, row.day, row.channel, row.agent): amount_of(row)
        for row in DailyUsage.objects.filter(customer_id=customer_id)
    }
    for key in sorted(kept.keys() | counted.keys(), key=lambda key: (key.day, key.channel, key.agent)):
        difference = Difference(key, kept.get(key, Amount()), counted.get(key, Amount()))
        if difference.kept != difference.counted:
            yield difference


def _of_top_ups(customer_id: int, drawn: Mapping[int, Draw]) -> Iterator[DrawnDifference]:
    """What sessions drew that were deleted by age is counted as it was kept."""
    kept: dict[int, Draw] = {}
    counted = dict(drawn)
    for row in TopUpUse.objects.filter(top_up__customer=customer_id):
        kept[row.pk] = Draw(row.sessions, row.call_seconds)
        counted[row.pk] = drawn.get(row.pk, Draw()) + Draw(row.deleted_sessions, row.deleted_call_seconds)
    for pk in sorted(counted):
        difference = DrawnDifference(customer_id, pk, kept.get(pk, Draw()), counted[pk])
        if difference.kept != difference.counted:
            yield difference


def _sessions_of(customer_id: int) -> Iterator[Session]:
    """Some at a time, by where the last ones ended: no cursor stays open on the server."""
    order = ("started_at", "pk")
    sessions = Session.objects.filter(customer_id=customer_id).defer(*LONG_FIELDS, "flags").order_by(*order)
    some = list(sessions[:SESSIONS_AT_ONCE])
    while some:
        yield from some
        further = beyond(order, (some[-1].started_at, some[-1].pk))
        some = list(sessions.filter(further)[:SESSIONS_AT_ONCE]) if len(some) == SESSIONS_AT_ONCE else []


def _words(amount: Amount) -> str:
    words = f"{amount.sessions} sessions, {amount.seconds} s, {amount.call_seconds} s of calls"
    if amount.drawn_sessions or amount.drawn_call_seconds:
        words += f" (drawn: {amount.drawn_sessions} sessions, {amount.drawn_call_seconds} s)"
    return words
