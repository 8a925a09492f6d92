"""What other systems bring for the agent, from when, and what a begin does without."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from automations.context import asking, breaker
from automations.context.breaker import Breaker
from automations.context.cache import delete_old_contexts
from automations.context.provider import forget_recipes
from automations.context.recipes import LARGEST_BYTES, check_source, parse_pointers, recipe_of, values_of
from automations.context.refreshing import refresh_contexts
from automations.models import CachedContext, Secret, Source
from automations.outgoing.addresses import parse_allowed_hosts
from automations.texts.liquid import TextError
from customers.models import Customer, PhoneNumber
from sessions_app.webhook.preview import preview
from tests.builders import LiveTok, begin_body, limit, make_customer, make_tier, the_session
from tests.following import add_secret, make_source
from tests.standins import HttpStandin, Reply, http_standin
from tests.test_payloads import envelope

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = Reply(body=b'{"orders": ["Blue kettle", "Toaster"], "vip": true}')
PATIENCE_SECONDS = 10


@pytest.fixture(autouse=True)
def _as_in_a_new_process(settings):
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["127.0.0.0/8"])
    settings.OUTGOING_ALLOW_HTTP = True
    breaker.breaker.forget()
    forget_recipes()
    yield
    wait_for(lambda: asking.pool._free == asking.THREADS)
    forget_recipes()
    breaker.breaker.forget()


@pytest.fixture
def shop(livetok: LiveTok):
    with http_standin(ORDERS) as server:
        yield server


@pytest.fixture
def ada(livetok: LiveTok) -> Customer:
    return make_customer(make_tier("premium"), external_id="crm 7")


def wait_for(is_so: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at, "it does not come to pass"
        time.sleep(0.01)


def source_of(shop: HttpStandin, **fields: Any) -> Source:
    # A busy machine may take its time; what a begin waits for at most has tests of its own.
    fields = {"limit_ms": 600, **fields}
    return make_source(f"{shop.url}/customers/{{{{ customer.external_id }}}}", **fields)


def aged(**age: float) -> None:
    CachedContext.objects.update(fetched_at=timezone.now() - timedelta(**age))


def context_of(livetok: LiveTok, session_id: str, **changes: Any) -> dict[str, Any]:
    return livetok.begin(sessionId=session_id, **changes)["context"]


def missing(session_id: str) -> list[str]:
    return [entry["why"] for entry in the_session(session_id).facts.get("context_missing", [])]


def test_a_source_is_asked_with_what_is_known_of_the_customer(livetok, shop, ada):
    source = source_of(
        shop, headers="Authorization: Bearer {{ secrets.token }}", pointers="last = /orders/0\nvip = /vip"
    )
    add_secret(source, "token", "s3cret")

    context = context_of(livetok, "a")

    assert (context["last"], context["vip"]) == ("Blue kettle", True)
    [request] = shop.requests
    assert (request.method, request.path) == ("GET", "/customers/crm%207")
    assert request.headers["Authorization"] == "Bearer s3cret"


def test_what_is_fresh_is_used_without_asking_and_costs_one_statement(livetok, shop, ada):
    plain = statements(livetok, "before")
    source_of(shop)
    context_of(livetok, "a")
    wait_for(CachedContext.objects.exists)

    assert statements(livetok, "b") == plain + 1
    assert json.loads(the_session("b").answer)["context"]["last_order"] == "Blue kettle"
    assert len(shop.requests) == 1


def statements(livetok: LiveTok, session_id: str) -> int:
    livetok.begin(sessionId=f"{session_id} warm")
    with CaptureQueriesContext(connection) as captured:
        livetok.begin(sessionId=session_id)
    return len(captured)


def test_what_is_stale_is_used_and_the_worker_asks_again(livetok, shop, ada):
    source_of(shop)
    context_of(livetok, "a")
    wait_for(CachedContext.objects.exists)
    aged(minutes=6)
    shop.answer = Reply(body=b'{"orders": ["Grill"]}')

    assert context_of(livetok, "b")["last_order"] == "Blue kettle"
    wait_for(lambda: CachedContext.objects.filter(wanted_at__isnull=False).exists())
    assert len(shop.requests) == 1
    assert refresh_contexts() == 1
    assert refresh_contexts() == 0
    assert context_of(livetok, "c")["last_order"] == "Grill"
    assert len(shop.requests) == 2


def test_what_is_too_old_is_asked_for_anew_and_deleted(livetok, shop, ada):
    source_of(shop)
    context_of(livetok, "a")
    wait_for(CachedContext.objects.exists)
    aged(hours=23)
    assert delete_old_contexts() == 0
    aged(hours=25)
    shop.answer = Reply(body=b'{"orders": ["Grill"]}')

    assert context_of(livetok, "b")["last_order"] == "Grill"
    wait_for(lambda: CachedContext.objects.get().values == {"last_order": "Grill"})
    aged(hours=25)
    assert delete_old_contexts() == 1


def test_an_edit_of_the_source_leaves_what_is_cached_unused(livetok, shop, ada):
    source = source_of(shop)
    context_of(livetok, "a")
    wait_for(CachedContext.objects.exists)
    source.pointers = "newest = /orders/0"
    source.save()
    forget_recipes()

    assert context_of(livetok, "b")["newest"] == "Blue kettle"


def test_a_late_answer_is_missing_and_fills_the_cache(livetok, shop, ada, viewer):
    late = threading.Event()

    def answer(request):
        late.wait(PATIENCE_SECONDS)
        return ORDERS

    shop.answer = answer
    source_of(shop, limit_ms=300)
    context = context_of(livetok, "a")
    late.set()
    wait_for(CachedContext.objects.exists)

    assert "last_order" not in context
    assert missing("a") == ["no answer within 300 ms"]
    page = viewer.get(reverse("reports:session", args=[the_session("a").pk])).content.decode()
    assert "Shop: no answer within 300 ms" in page
    assert context_of(livetok, "b")["last_order"] == "Blue kettle"
    assert missing("b") == []


def test_redelivered_and_denied_begins_ask_nothing(livetok, shop):
    make_customer(make_tier("premium", limit("sessions", 1)), external_id="7")
    source_of(shop)
    context_of(livetok, "a")
    wait_for(CachedContext.objects.exists)
    CachedContext.objects.all().delete()
    context_of(livetok, "a")
    denied = livetok.begin(sessionId="denied")

    assert denied["allowed"] is False
    assert len(shop.requests) == 1


def test_a_first_contact_is_asked_for_by_the_callers_number(livetok, shop):
    make_source(f"{shop.url}/by-number/{{{{ customer.number }}}}", limit_ms=600)

    assert context_of(livetok, "a", phoneNumber="+4915112345678")["last_order"] == "Blue kettle"
    assert shop.requests[0].path == "/by-number/%2B4915112345678"


def test_whoever_has_a_number_next_is_not_told_what_was_said_of_the_one_before(livetok, shop):
    make_source(f"{shop.url}/{{{{ customer.external_id }}}}", pointers="path = /path", limit_ms=600)
    shop.answer = lambda received: Reply(body=json.dumps({"path": received.path}).encode())

    def path_told_to(caller_id):
        caller = {"id": caller_id, "phone": "+15557771"}
        response = livetok.send(envelope("begin", id=caller_id, session_id=caller_id, customer=caller))
        wait_for(lambda: CachedContext.objects.filter(values__path=f"/{caller_id}").exists())
        return json.loads(response.content)["context"]["path"]

    assert path_told_to("X1") == "/X1"
    PhoneNumber.objects.all().delete()
    assert path_told_to("Y2") == "/Y2"


def test_who_lacks_what_a_source_is_asked_by_is_not_asked_for(livetok, shop):
    make_customer()
    source_of(shop)
    context_of(livetok, "a")

    assert shop.requests == []
    assert missing("a") == ["the caller lacks what it is asked by (customer.external_id)"]


def test_a_customer_with_two_numbers_is_two_where_the_address_names_the_number(livetok, shop):
    make_customer(None, "+1234567890", "+1234567891")
    make_source(f"{shop.url}/{{{{ session.number }}}}", limit_ms=600)
    context_of(livetok, "a")
    context_of(livetok, "b", phoneNumber="+1234567891")

    assert [request.path for request in shop.requests] == ["/%2B1234567890", "/%2B1234567891"]


def test_tiers_and_agents_that_a_source_is_not_for(livetok, shop, ada):
    source_of(shop, tiers=[make_tier("other")])
    context_of(livetok, "a")

    assert (shop.requests, missing("a")) == ([], [])


def test_five_failures_in_a_row_switch_it_off_then_one_probe_decides(livetok, shop, ada, monkeypatch):
    shop.answer = Reply(500)
    source_of(shop)
    for number in range(7):
        context_of(livetok, f"f{number}")

    assert len(shop.requests) == 5
    assert missing("f0") == ["it answered 500"]
    assert missing("f6") == ["it failed too often, and is left alone for half a minute"]
    wait_for(lambda: Source.objects.get().last_failure == "it answered 500")


def test_the_breaker_lets_exactly_one_probe_through(monkeypatch):
    monkeypatch.setattr("automations.context.breaker.OFF_SECONDS", 0.1)
    tried = Breaker()
    for _ in range(5):
        assert tried.may_ask("shop")
        tried.note("shop", is_good=False)
    assert not tried.may_ask("shop")
    time.sleep(0.15)
    assert [tried.may_ask("shop") for _ in range(3)] == [True, False, False]
    tried.note("shop", is_good=False)
    assert not tried.may_ask("shop")
    time.sleep(0.15)
    assert tried.may_ask("shop")
    tried.note("shop", is_good=True)
    assert [tried.may_ask("shop") for _ in range(3)] == [True, True, True]


def test_a_caller_whom_the_source_does_not_know_is_no_failure(livetok, shop, ada):
    shop.answer = Reply(404)
    source_of(shop)
    for number in range(6):
        context_of(livetok, f"s{number}")
        wait_for(CachedContext.objects.exists)

    assert len(shop.requests) == 1
    assert missing("s5") == ["it knows no such caller (404)"]


def test_where_no_thread_is_free_the_begin_goes_without_at_once(livetok, shop, ada):
    release = threading.Event()
    for _ in range(asking.THREADS):
        assert asking.pool.start(release.wait)
    source_of(shop)
    context_of(livetok, "a")
    release.set()

    assert missing("a") == ["too many other questions were under way"]


def test_no_secret_stands_in_facts_logs_or_the_cache(livetok, shop, ada, caplog):
    source = source_of(shop, headers="X-Key: {{ secrets.key }}")
    add_secret(source, "key", "hunter2-hunter2")
    for reply in (Reply(500, body=b"hunter2-hunter2"), Reply(body=b"hunter2-hunter2 no json")):
        shop.answer = reply
        context_of(livetok, f"s{len(shop.requests)}")

    session = the_session("s0")
    wait_for(lambda: Source.objects.get().last_failed_at)
    told = json.dumps([session.facts, session.trace]) + caplog.text + Source.objects.get().last_failure
    assert missing("s1") == ["its answer is no JSON of at most 64 KB"]
    assert "hunter2" not in told


def test_the_preview_says_where_each_key_is_from_and_how_old_it_is(livetok, shop, ada):
    source_of(shop)
    ada.context = {"city": "London"}
    ada.save()
    body = json.dumps(begin_body()).encode()
    first = preview(body, timezone.now())
    wait_for(CachedContext.objects.exists)
    aged(minutes=3)
    second = preview(body, timezone.now())

    assert {key.key: (key.source, key.age_seconds) for key in first.context_sources}["last_order"] == ("Shop", None)
    found = {key.key: key for key in second.context_sources}
    assert found["last_order"].age_seconds == pytest.approx(180, abs=20)
    assert (found["city"].source, found["customer_tier"].source) == ("customer", "Frontdesk")


def test_a_secret_belongs_to_one_of_both(livetok):
    source = make_source("https://shop.example.com/")
    with pytest.raises(Exception, match="secret_belongs_to_destination_or_source"):
        Secret.objects.create(name="x", fingerprint="x", token="x")
    assert add_secret(source, "x", "y").source == source


# Texts, without a database's help


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Give at least one line"),
        ("last_order", "write a key, an equals sign and a pointer"),
        ("last_order = orders/0", "starts with a slash"),
        ("a = /a\na = /b", "is there twice"),
        ("denied_reason = /a", "Frontdesk says itself"),
        ("\n".join(f"k{number} = /k" for number in range(21)), "20 are the most"),
    ],
)
def test_pointers_that_are_refused(text, problem):
    with pytest.raises(TextError, match=problem):
        parse_pointers(text)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://{{ customer.name }}/", "host without placeholders"),
        ("https://shop.example.com/{{ secrets.key }}", "secrets are known in"),
        ("https://shop.example.com/{{ session.id }}", "cannot name session.id"),
        ("https://shop.example.com/{{ customer.numbr }}", "Did you mean customer.number"),
        ("ftp://shop.example.com/", "starts with https://"),
    ],
)
def test_addresses_that_are_refused(address, problem):
    assert problem in " ".join(check_source(address, "", "a = /a", [])["address"])


def test_a_source_as_it_should_be_is_not_refused():
    address = "https://shop.example.com/{{ customer.external_id | default: session.number }}?t={{ tier.slug }}"
    problems = check_source(address, "Authorization: Bearer {{ secrets.key }}", "a = /a\nall =", ["key"])

    assert problems == {"address": [], "headers": [], "pointers": []}


def test_values_are_short_and_plain_and_fit_into_4_kb(livetok):
    pointers = {"text": "t", "list": "l", "null": "n", "object": "o", "nowhere": "x/y", "long": "long", "huge": "huge"}
    lines = [f"{key} = /{where}" for key, where in {**pointers, "nan": "nan", "last": "t"}.items()]
    recipe = recipe_of(make_source("https://shop.example.com/", "\n".join(lines)))
    body = {"t": "é\0", "l": [1, "a", None], "n": None, "o": {}, "long": "x" * 3900, "huge": [[]], "nan": float("nan")}
    found = values_of(recipe, json.dumps(body).encode())

    assert found.context == {"text": "é", "list": [1, "a", None], "null": None, "long": "x" * 3900, "last": "é"}
    assert len(json.dumps(found.context, ensure_ascii=False).encode()) <= LARGEST_BYTES
    assert [words.split(" for ")[-1].split(" ")[0] for words in found.lacking] == ["object", "nowhere", "huge", "nan"]
    body["t"] = "x" * 200
    lacking = values_of(recipe, json.dumps(body).encode()).lacking
    assert "long would be more than 4 KB together with those before it" in lacking
