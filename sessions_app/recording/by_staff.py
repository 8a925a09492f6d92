"""What staff do to sessions."""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from customers.models import Customer
from sessions_app.billing.past_months import note_past_months
from sessions_app.database.prepared import djangos_transaction
from sessions_app.models import DailyUsage, Session
from sessions_app.sums.late import note_late_writes
from sessions_app.usage.counting import UsageKey
from sessions_app.usage.used import amount_of, record_change


def declare_missing(session_ids: Iterable[int], user: AbstractBaseUser) -> int:
    """Staff's word that the ends of these open sessions will not come. Returns how many were open.

    They hold nothing any more; a true end that comes later still wins.
    """
    declared = 0
    for pk in session_ids:
        with djangos_transaction():
            session = Session.objects.select_for_update(of=("self",), no_key=True).get(pk=pk)
            if session.state_at(timezone.now()) == Session.State.OPEN:
                session.declared_missing_at = timezone.now()
                session.declared_missing_by = user  # type: ignore[assignment]
                session.save(update_fields=["declared_missing_at", "declared_missing_by"])
                declared += 1
    return declared


def reassign_sessions(from_customer: Customer, to_customer: Customer) -> None:
    """Give a first-contact customer's sessions and usage to the customer who takes the record over.

    Part of the caller's transaction, with both customers locked. Top-ups came along before, with the customer's rows.
    """
    moved: set[UsageKey] = set()
    sessions = Session.objects.filter(customer=from_customer)
    # First: once they are updated, nobody can tell them from the customer's own.
    note_late_writes(sessions.values_list("started_at", flat=True))
    sessions.update(customer=to_customer)
    for row in DailyUsage.objects.filter(customer=from_customer):
        amount = amount_of(row)
        before, after = (UsageKey(who.pk, row.day, row.channel, row.agent) for who in (from_customer, to_customer))
        record_change({}, {after: amount})
        moved |= {before, after}
    note_past_months(moved)
    DailyUsage.objects.filter(customer=from_customer).delete()
