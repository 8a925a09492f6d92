"""Rules that send a request, for a Frontdesk that is set up: `benchmarks.rules_made ADDRESS CUSTOMERS TRIGGER …`."""

import os
import sys
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.utils import timezone  # noqa: E402 - only once Django is set up

from automations.models import Action, Destination, Rule  # noqa: E402
from benchmarks.traffic import number_of  # noqa: E402
from customers.models import Customer  # noqa: E402

BODY = '{"session": "{{ session.id }}", "trigger": "{{ event.trigger }}", "rule": "{{ rule.name }}"}'

address, customers, *triggers = sys.argv[1:]
numbers = [number_of(index) for index in range(int(customers))]
destination = Destination.objects.create(name="bench", kind="http", address=address, at_once=20, per_second=1000)
for number, trigger in enumerate(triggers):
    since = timezone.now() - timedelta(days=1)
    rule = Rule.objects.create(name=f"rule {number}", trigger=trigger, is_active=True, active_since=since)
    rule.customers.set(Customer.objects.filter(numbers__number__in=numbers))
    Action.objects.create(rule=rule, destination=destination, body=BODY)
