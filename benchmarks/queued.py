"""Give a Frontdesk that is set up destinations, and deliveries that are due: `python -m benchmarks.queued JSON`."""

import json
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from automations.deliveries.making import Made, store_all  # noqa: E402 - only once Django is set up
from automations.models import Delivery, Destination  # noqa: E402
from sessions_app.database.pieces import bulk_transaction  # noqa: E402

AT_ONCE = 50


def main() -> None:
    asked = json.loads(sys.argv[1])
    destinations = [
        Destination.objects.create(kind="http", name=name, address=address, **asked["fields"])
        for name, address in asked["addresses"].items()
    ]
    a_second = asked["a_second"]
    at_once = len(destinations) if a_second else AT_ONCE
    started = time.monotonic()
    for number in range(0, asked["deliveries"], at_once):
        if a_second:
            time.sleep(max(0.0, started + number / a_second - time.monotonic()))
        some = range(number, min(number + at_once, asked["deliveries"]))
        with bulk_transaction():
            store_all([Made(_delivery(destinations[one % len(destinations)], one)) for one in some])


def _delivery(destination: Destination, number: int) -> Delivery:
    return Delivery(destination=destination, method="POST", body=json.dumps({"number": number}).encode())


main()
