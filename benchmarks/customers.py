"""Give a Frontdesk that is set up its tiers and customers: `python -m benchmarks.customers COUNT`."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from benchmarks.traffic import AMOUNTS, TIERS, number_of  # noqa: E402
from customers.models import Customer, PhoneNumber, Tier, TierLimit  # noqa: E402 - only once Django is set up
from customers.search.keeping import keep_search_keys  # noqa: E402

tiers = [Tier.objects.create(slug=slug, name=slug.title(), context={"custom_field": "value"}) for slug in TIERS]
for tier in tiers:
    for (metric, period), amount in AMOUNTS.items():
        TierLimit.objects.create(tier=tier, metric=metric, period=period, amount=amount)
customers = Customer.objects.bulk_create(
    (Customer(name=f"Customer {index}", tier=tiers[index % len(tiers)]) for index in range(int(sys.argv[1]))),
    batch_size=1000,
)
PhoneNumber.objects.bulk_create(
    (
        PhoneNumber(customer=customer, number=number_of(index), key=number_of(index))
        for index, customer in enumerate(customers)
    ),
    batch_size=1000,
)
keep_search_keys(customer.pk for customer in customers)
