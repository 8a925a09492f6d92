"""Lists of the API page by page: each row that is there all the time comes exactly once, forward and back."""

import json
from base64 import urlsafe_b64encode
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.models import Customer, Tier
from sessions_app.models import Session
from tests.api import Api
from tests.builders import make_tier
from tests.test_reports import bare_session

pytestmark = pytest.mark.django_db
START = datetime(2024, 3, 15, 10, 30, 0, 123456, tzinfo=UTC)
numbers = count()


@pytest.fixture
def api():
    return Api("read")


def add_session(instant):
    session = bare_session(START + timedelta(microseconds=instant))
    session.save()
    return session.pk


def add_customer(_):
    return Customer.objects.create(tier=Tier.objects.first() or make_tier()).pk


def add_tier(_):
    name = f"t{next(numbers)}"
    tier = Tier.objects.create(name=name, slug=name)
    Tier.objects.filter(pk=tier.pk).update(context={"pk": tier.pk})  # the API tells no tier's id
    return tier.pk


LISTS = {"sessions": (Session, add_session), "customers": (Customer, add_customer), "tiers": (Tier, add_tier)}
CHANGES = {
    Session: lambda: {"flags": "begins_differ", "duration_seconds": 7},
    Customer: lambda: {"name": "Aaron", "status": "paused"},
    Tier: lambda: {"name": f"A{next(numbers)}", "slug": f"a{next(numbers)}"},
}


def pks_of(page):
    return [row["id"] if "id" in row else row["context"]["pk"] for row in page["results"]]


def walk(api, page, link, meanwhile):
    """The primary keys of a page and of all that follow by `link`, and the last page."""
    pks = pks_of(page)
    while page[link]:
        meanwhile()
        page = api.get(page[link])
        pks += pks_of(page)
        assert len(pks) < 500, "this list never ends"
    return Counter(pks), page


@pytest.mark.parametrize("name", LISTS)
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    instants=st.lists(st.integers(0, 2), max_size=12),
    size=st.integers(1, 5),
    events=st.lists(st.tuples(st.sampled_from(["add", "delete", "change"]), st.integers(0, 30)), max_size=20),
)
def test_each_row_that_is_there_all_the_time_comes_exactly_once_both_ways(api, name, instants, size, events):
    model, add = LISTS[name]
    for kind in (Session, Customer, Tier):
        kind.objects.all().delete()
    rows, happening = [add(instant) for instant in instants], iter(events)

    def meanwhile():
        what, which = next(happening, ("nothing", 0))
        if what == "add":
            rows.append(add(which % 3))
        elif rows and what == "delete":
            model.objects.filter(pk=rows[which % len(rows)]).delete()
        elif rows and what == "change":
            model.objects.filter(pk=rows[which % len(rows)]).update(**CHANGES[model]())

    def there():
        return set(model.objects.values_list("pk", flat=True))

    before = there()
    seen, page = walk(api, api.get(f"/api/v1/{name}/?page_size={size}"), "next", meanwhile)
    stayed = before & there()
    assert {pk: seen[pk] for pk in stayed} == dict.fromkeys(stayed, 1)
    assert set(seen.values()) <= {1}

    before = there()
    back, _ = walk(api, page, "previous", meanwhile)
    stayed = before & there()
    assert {pk: back[pk] for pk in stayed} == dict.fromkeys(stayed, 1)
    assert set(back.values()) <= {1}


def test_a_thousand_sessions_of_one_start_end_and_can_be_gone_through_backwards(api):
    Session.objects.bulk_create(bare_session(START) for _ in range(1002))
    stored = list(Session.objects.order_by("-pk").values_list("pk", flat=True))

    pages = [api.get("/api/v1/sessions/?page_size=400")]
    while pages[-1]["next"]:
        pages.append(api.get(pages[-1]["next"]))

    assert [pk for page in pages for pk in pks_of(page)] == stored
    assert pages[0]["previous"] is None
    assert [api.get(page["previous"])["results"] for page in pages[1:]] == [page["results"] for page in pages[:-1]]


def test_a_page_keeps_its_filters_and_its_size(api):
    for instant in range(3):
        add_session(instant)
    Session.objects.filter(started_at=START).update(is_test=True)

    page = api.get("/api/v1/sessions/?page_size=1&test=false")

    assert len(api.get(page["next"])["results"]) == 1
    assert api.get(page["next"])["next"] is None


def test_where_all_rows_of_a_page_are_gone_the_way_back_is_not(api):
    rows = [add_customer(0) for _ in range(4)]
    first = api.get("/api/v1/customers/?page_size=2")
    Customer.objects.filter(pk__in=rows[2:]).delete()

    second = api.get(first["next"])

    assert (second["results"], second["next"]) == ([], None)
    assert pks_of(api.get(second["previous"])) == rows[:2]
    before = Customer.objects.filter(pk__in=rows[:2])
    assert api.get(first["next"])["previous"] == second["previous"]
    before.delete()
    gone = api.get(second["previous"])
    assert (gone["results"], gone["previous"]) == ([], None)


def cursor(*values):
    return urlsafe_b64encode(json.dumps(values).encode()).decode()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "%00",
        "bm9uZQ==",
        "/w==",
        "A" * 5000,
        cursor(),
        cursor(2, 1),
        cursor(0, "\0"),
        cursor(0, -1),
        cursor(0, 2**63),
        cursor(0, 1.5),
        cursor(0, True),
        cursor(0, None),
        cursor(0, [1]),
        cursor(0, {"a": 1}),
        cursor(0, 1, 1),
        cursor(0, "yesterday", 1),
        cursor(0, "2024-03-15T10:30:00", 1),
        cursor(0, "2024-03-15T10:30:00+02:00", 1),
        cursor(0, "2024-03-15T10:30:00+00:00"),
        cursor(0, "2024-03-15T10:30:00+00:00", "1"),
        urlsafe_b64encode(b"[" * 190).decode(),
        urlsafe_b64encode(b"[0," + b"9" * 180 + b"]").decode(),
        urlsafe_b64encode(b"{}").decode(),
        urlsafe_b64encode(b"7").decode(),
    ],
)
def test_a_cursor_that_is_none_is_refused_by_name(api, name, text):
    assert list(api.get(f"/api/v1/{name}/?cursor={text}", status=400)) == ["cursor"]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"])
def test_the_ends_of_time_are_places_too(api, text):
    add_session(0)

    for backwards in (0, 1):
        page = api.get(f"/api/v1/sessions/?cursor={cursor(backwards, text, 1)}")
        assert len(page["results"]) in (0, 1)
