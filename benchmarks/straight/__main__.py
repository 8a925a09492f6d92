"""Make its tables and customers, then serve it as `manage.py serve` serves Frontdesk."""

import os
import sys

import django
from django.core.management import call_command

from config.web_server import web_command

django.setup()

from benchmarks.straight.models import Customer, Tier  # noqa: E402 - models can be imported only once Django is set up
from benchmarks.traffic import AMOUNTS, TIERS, number_of  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
tiers = [
    Tier.objects.create(
        name=name,
        context={"custom_field": "value"},
        daily_messages=AMOUNTS["messages", "day"],
        daily_call_minutes=AMOUNTS["call_minutes", "day"],
        monthly_call_minutes=AMOUNTS["call_minutes", "month"],
        monthly_sessions=AMOUNTS["sessions", "month"],
        concurrent_sessions=AMOUNTS["concurrent_sessions", ""],
    )
    for name in TIERS
]
Customer.objects.bulk_create(
    (Customer(phone=number_of(index), tier=tiers[index % len(tiers)]) for index in range(int(sys.argv[1]))),
    batch_size=1000,
)
command = web_command("benchmarks.straight.wsgi:application")
os.execv(command[0], command)  # noqa: S606 - no shell is wanted
