"""Whatever stands in an address of the admin, the reports or the API: it is answered, and never by a 500."""

import re
from itertools import cycle, islice

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.urls import URLResolver, get_resolver

from sessions_app.reports.frame.range_filters import RangeFilters
from sessions_app.reports.list.filters import SessionFilters
from tests.api import Api
from tests.builders import LiveTok
from tests.staff import staff

HUGE = "9" * 25
MANY = ",".join(map(str, range(100_000)))
# Percent-encoded: NUL, a lone surrogate, half a character, and what no column holds.
VALUES = [
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF",
    "x" * 5000,
    HUGE,
    f"-{HUGE}",
    "1e999",
    "NaN",
    "",
    "%2C" * 1000,
    "%27%22%3C",
]
PARTS = ["x", HUGE, "-1", "1e999", "%00", "_00", "_FF", "%ED%A0%80", "x" * 5000]
ON_LISTS = ["q", "o", "p", "all", "e", "_facets", "_popup", "_to_field", "_changelist_filters", "id__range", "pk"]
AUTOCOMPLETE = ["app_label", "model_name", "field_name", "term", "page"]
OF_THE_API = [
    "page_size",
    "cursor",
    "phone",
    "external_id",
    "status",
    "tier",
    "since",
    "until",
    "customer",
    "at",
    "date",
]
OF_REPORTS = [*RangeFilters.base_fields, *SessionFilters.base_fields, "format", "month", "page"]


def addresses(patterns=None, above="/"):
    """Every route of people and scripts, with the names of its parts."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = above + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        elif route.startswith(("/admin/", "/reports/", "/api/")) and "(?P" not in route and "logout" not in route:
            yield route.partition("^")[0].removesuffix("$")


def parameters_of(route):
    if route.startswith("/api/"):
        return OF_THE_API
    if route.startswith("/reports/"):
        return OF_REPORTS
    if "autocomplete" in route:
        return AUTOCOMPLETE
    names = ["_to_field", "_changelist_filters", "_popup"]
    for model, model_admin in admin.site._registry.items():
        if route.endswith(f"/{model._meta.app_label}/{model._meta.model_name}/"):
            names += ON_LISTS
            names += [f"{field.name}__exact" for field in model._meta.concrete_fields]
            names += [one.parameter_name for one in model_admin.list_filter if hasattr(one, "parameter_name")]
            names += getattr(model_admin, "linked_lookups", ())
    return names


def hostile_addresses():
    """Each route with each odd part, and with each of its parameters; the values are dealt out in turn."""
    values, parts_in_turn = cycle(VALUES), cycle(PARTS)
    for route in sorted(set(addresses())):
        parts = re.findall(r"<[^>]+>", route)
        for _ in range(3 if parts else 0):
            yield re.sub(r"<[^>]+>", next(parts_in_turn), route)
        known = re.sub(r"<[^>]+>", "1", route)
        names = parameters_of(route)
        for name in names if route == known else names[:3]:
            yield f"{known}?{name}={next(values)}"
    for name in ("id__in", "is_test__exact", "q"):
        yield f"/admin/sessions_app/session/?{name}={MANY}"
    yield f"/admin/sessions_app/session/?{'&'.join(['is_test__exact=1'] * 900)}"
    yield f"/reports/sessions/?{'&'.join(['state=open'] * 900)}"


@pytest.fixture
def everybody(livetok: LiveTok):
    livetok.begin()
    livetok.end()
    administrator, script = staff("administrators"), Api("read", "manage")
    User.objects.filter(pk=administrator.user.pk).update(is_superuser=True)
    administrator.raise_request_exception = script.client.raise_request_exception = False
    return administrator, script


def test_no_address_is_an_error_of_ours(everybody):
    administrator, script = everybody
    wrong, tried = [], 0
    # Of each parameter one of the values is tried in any case, so each database has every other address.
    for address in islice(hostile_addresses(), int(connection.vendor == "postgresql"), None, 2):
        with transaction.atomic():
            is_script = address.startswith("/api/")
            response = script.request("GET", address) if is_script else administrator.get(address)
            if response.status_code >= 500:
                wrong.append((response.status_code, address[:200]))
            transaction.set_rollback(True)
        tried += 1

    assert wrong == []
    assert tried > 400


def test_what_the_database_cannot_hold_is_told_in_words(everybody):
    administrator, _ = everybody

    with transaction.atomic():
        response = administrator.get("/admin/customers/channel/_00/change/")
        transaction.set_rollback(True)

    assert response.status_code in (302, 400)
