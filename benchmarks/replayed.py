"""Replay the database that the environment names: `python -m benchmarks.replayed DAYS`. Prints sessions a second.

Of the tier with most sessions, with today's limits and with half of them. It counts the CPU that this process takes.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from dataclasses import replace  # noqa: E402

from django.db.models import Count, Max  # noqa: E402 - only once Django is set up

from customers.models import Customer, TierLimit  # noqa: E402
from sessions_app.models import Session  # noqa: E402
from sessions_app.replay.reading import Asked, pieces, replayed_customers, usual_seconds  # noqa: E402

until = Session.objects.aggregate(latest=Max("started_at"))["latest"]
since = until - timedelta(days=int(sys.argv[1]))
stored = Session.objects.filter(customer__isnull=False)
tier_id = stored.order_by().values_list("tier_id").annotate(found=Count("pk")).order_by("-found")[0][0]
# A year's sessions are spread over tiers by chance; customers seldom change theirs.
Customer.objects.update(tier=tier_id)
stored.update(tier=tier_id)
today = tuple(row.as_limit() for row in TierLimit.objects.filter(tier_id=tier_id))
draft = tuple(replace(limit, amount=limit.amount and limit.amount // 2) for limit in today)
asked = Asked(tier_id, since, until, (today, draft))

began, used = time.perf_counter(), time.process_time()
customers = sessions = denied = 0
guess = usual_seconds(asked)
for piece in pieces(asked, after=0):
    for customer in replayed_customers(asked, piece, guess):
        customers += 1
        for _, (_, by_draft) in customer.verdicts:
            sessions += 1
            denied += not by_draft.allowed
took, used = time.perf_counter() - began, time.process_time() - used
status = Path("/proc/self/status").read_text()
memory = int(status.split("RssAnon:")[1].split()[0]) / 1024  # without the database file that SQLite maps
sys.stderr.write(
    f"{sessions:,} sessions of {customers:,} customers, {len(today)} limits, in {took:,.1f} s, {used:,.1f} s of CPU; "
    f"half the limits deny {denied:,}; {memory:,.0f} MB\n"
)
sys.stdout.write(f"{sessions / used}\n")
