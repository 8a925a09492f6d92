"""Writes to sessions of months that are over: the customers whom closing the next month has to look at again.

What counts in the month that is running needs no word: a month can be closed only once it is over.
"""

from collections.abc import Iterable

from django.utils import timezone

from customers.zones import company_zone
from sessions_app.models import PastMonthWrite
from sessions_app.periods import local_day
from sessions_app.usage.counting import UsageKey


def note_past_months(keys: Iterable[UsageKey], session_id: int | None = None) -> None:
    """Put the months of `keys` that are over on the list, in the transaction that writes the session or sessions.

    Of a session, the keys of what it counted before and of what it counts now (`usage.contribution`), also where they
    are the same: a statement rounds by the tier.
    """
    now = timezone.now()
    # The company's month. A customer's own may be another for some hours, for which `closing.LISTED_AFTER` makes up.
    running = local_day(now, company_zone()).replace(day=1)
    past = {(key.customer_id, key.day.replace(day=1)) for key in keys if key.day < running}
    PastMonthWrite.objects.bulk_create(
        PastMonthWrite(customer_number=customer_id, month=month, session_id=session_id, noted_at=now)
        for customer_id, month in sorted(past)
    )
