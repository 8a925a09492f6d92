"""Give a Frontdesk that is set up rules that send a request: `python -m benchmarks.rules_made ADDRESS TRIGGER ...`."""

import os
import sys
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.utils import timezone  # noqa: E402 - only once Django is set up

from automations.models import Action, Destination, Rule  # noqa: E402

BODY = '{"session": "{{ session.id }}", "trigger": "{{ event.trigger }}", "rule": "{{ rule.name }}"}'

address, *triggers = sys.argv[1:]
destination = Destination.objects.create(name="bench", kind="http", address=address, at_once=20, per_second=1000)
for number, trigger in enumerate(triggers):
    since = timezone.now() - timedelta(days=1)
    rule = Rule.objects.create(name=f"rule {number}", trigger=trigger, is_active=True, active_since=since)
    Action.objects.create(rule=rule, destination=destination, body=BODY)
