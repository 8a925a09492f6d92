"""What a page is filtered by is told where its form is out of sight: on paper, and where a phone folds it."""

import re

import pytest

from customers.models import Customer, Tier
from tests.staff import staff

# Each page that can be narrowed, all of its filters set, and their words.
NARROWED = {
    "/reports/?tier=standard&channel=(none)&agent=(none)": "tier Standard, channel No channel, agent No agent",
    "/reports/sessions/?customer={customer}&state=open&reason=(none)&q=ada&hour=9": (
        "state Open, reason Not decided, search “ada”, Ada, From 09:00 to 09:59"
    ),
    "/reports/customers/?q=ada&tier=standard&status=active&group=100": (
        "search “ada”, tier Standard, status Active, group 100 % and over, used of limit Today"
    ),
    "/reports/customers/?period=month": "",
    "/reports/statements/?month=2026-01&q=ada&only_over=on": "customer “ada”, over",
    "/reports/live/?tier=standard&short=on": "tier Standard, less than 5 min left",
    "/reports/changes/?person=people&day=2026-03-15&kind=customers.customer": (
        "by People, on Sun 15 Mar 2026, what Customer"
    ),
    "/reports/?tier=nothing": "",
}


@pytest.mark.django_db
def test_a_page_says_what_it_is_filtered_by_where_its_form_is_not_seen():
    client = staff("managers")
    customer = Customer.objects.create(name="Ada", tier=Tier.objects.get(slug="standard"))
    told = {}
    for address in NARROWED:
        shown = client.get(address.format(customer=customer.pk)).content.decode()
        on_paper = re.search(r'<p class="range on-paper">\s*<span class="only">Only: (.*?)</span>', shown)
        folded = re.search(r'<summary>Filters\s*(?:<span class="only">Only: (.*?)</span>)?\s*</summary>', shown)
        assert (folded[1] or "") == (on_paper[1] if on_paper else ""), address
        told[address] = folded[1] or ""
    assert told == NARROWED
