"""A context is checked alike wherever it comes from, and read whatever is stored."""

import json

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from customers.context import DEEPEST, BadContext, check_context, parse_context, read_json, sound, sound_context
from customers.models import Customer, Tier
from tests.api import Api
from tests.builders import make_customer, make_livetok, make_tier
from tests.staff import errors_of, form_in, form_of, staff, text_of

LONG = "9" * 5000
DEEP = '{"a":' * 900 + "1" + "}" * 900
REFUSED = [
    ('{"a": "\\ud800"}', "a: leave out NUL characters and broken Unicode."),
    ('{"a": {"b": ["\\u0000"]}}', "a.b[0]: leave out NUL characters and broken Unicode."),
    ('{"\\udfff": 1}', "?: leave out NUL characters and broken Unicode."),
    ('{"a": NaN}', "a: this is no number of at most 30 digits."),
    ('{"a": [1, -Infinity]}', "a[1]: this is no number of at most 30 digits."),
    ('{"a": 1e999}', "a: this is no number of at most 30 digits."),
    (f'{{"a": {LONG}}}', "a: this is no number of at most 30 digits."),
    (f'{{"a": -{LONG}}}', "a: this is no number of at most 30 digits."),
    ('{"a": 1000000000000000000000000000000}', "a: this is no number of at most 30 digits."),
    (DEEP, "This is nested too deeply: 20 levels are enough."),
    ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
    (json.dumps({"a": "x" * 16_384}), "16384 are the most."),
    ("[]", "Give a JSON object"),
    ("7", "Give a JSON object"),
]


def changing(row):
    return f"/admin/customers/{row._meta.model_name}/{row.pk}/change/"


@pytest.mark.parametrize(("text", "problem"), REFUSED, ids=range(len(REFUSED)))
def test_a_context_that_not_everybody_can_read_is_refused_alike(db, text, problem):
    ana, api = staff("managers"), Api("manage")
    customer = make_customer(make_tier(), external_id="crm-1")
    for row, path in ((customer, "/api/v1/customers/by-external-id/crm-1/"), (customer.tier, "/api/v1/tiers/premium/")):
        refused = ana.post(changing(row), form_of(ana, changing(row)) | {"context": text})
        assert problem in errors_of(refused)
        assert form_in(refused)["context"] == text
        for method in ("PUT", "PATCH"):
            answer = api.request(method, path, f'{{"context": {text}}}'.encode())
            assert answer.status_code == 400
            (place, (said,)) = next(iter(answer.json().items()))
            assert (place, problem in said) == ("context", True) or "nested too deeply" in said
        assert type(row).objects.get(pk=row.pk).context == {}


@pytest.mark.parametrize("text", ['{"a": 1', '{"a": 1}}', "{'a': 1}", '{"a": "\x01"}'])
def test_what_is_no_json_is_refused_with_its_place(db, text):
    ana = staff("managers")
    tier = make_tier()

    refused = ana.post(changing(tier), form_of(ana, changing(tier)) | {"context": text})

    assert "This is no JSON (look at line 1, column" in errors_of(refused)


def test_a_merged_context_is_checked_as_a_whole(db):
    api = Api("manage")
    make_tier(context={"a": "x" * 10_000})

    refused = api.patch("/api/v1/tiers/premium/", {"context": {"b": "x" * 10_000}}, status=400)

    assert "16384 are the most." in refused["context"][0]


STORED = [
    (r'{"a":"\ud800","\udc00":1}', {"a": "?", "?": 1}),
    (r'{"a":"x\u0000y"}', {"a": "xy"}),
    (f'{{"a":{LONG}}}', {"a": LONG}),
    ('{"a":1e400}', {"a": "inf"}),
    ("[1]", {}),
    ("null", {}),
    ("7", {}),
]


def store(row, text):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET context = %s WHERE id = %s", [text, row.pk])


@pytest.mark.only("sqlite")
@pytest.mark.parametrize(("text", "read"), STORED, ids=range(len(STORED)))
def test_what_is_stored_already_keeps_no_begin_and_no_page_from_coming(db, text, read):
    assert_it_is_read(text, read)


@pytest.mark.only("postgresql")
@pytest.mark.parametrize(
    ("text", "read"), [(f'{{"a":{LONG}}}', {"a": LONG}), ("[1]", {}), ("null", {})], ids=["long", "list", "null"]
)
def test_what_postgresql_stores_keeps_no_begin_and_no_page_from_coming(db, text, read):
    assert_it_is_read(text, read)


def test_what_is_nested_too_deeply_is_left_out(db):
    livetok = make_livetok()
    livetok.begin()
    customer = Customer.objects.get()
    store(customer.tier, DEEP)
    store(customer, '{"b":' + "[" * 900 + "]" * 900 + ',"c":2}')

    context = livetok.begin(sessionId="2")["context"]

    assert json.dumps(context["a"]).count("{") <= 2 * DEEPEST
    assert context["c"] == 2
    assert Api("read").request("GET", f"/api/v1/customers/{customer.pk}/").status_code == 200


def assert_it_is_read(text, read):
    boss, api, livetok = staff("administrators"), Api("read"), make_livetok()
    livetok.begin()
    customer = Customer.objects.get()
    for row in (customer, customer.tier):
        store(row, text)

    # What is read as one statement, and, with a limit by session id that is known, in the ORM's own way.
    for answer in (livetok.begin(sessionId="2"), livetok.begin(sessionId="123", phoneNumber="+15550009999")):
        assert answer["allowed"] is True
        assert answer["context"].items() >= read.items()
    assert Tier.objects.get(pk=customer.tier_id).context == Customer.objects.get(pk=customer.pk).context == read
    for row in (customer, customer.tier):
        assert boss.get(changing(row)).status_code == 200
        assert boss.get(changing(row).replace("change", "history")).status_code == 200
    for path in ("tiers/", "customers/", f"customers/{customer.pk}/", "sessions/1/"):
        assert api.request("GET", f"/api/v1/{path}").status_code in (200, 404), path
    session = customer.sessions.get(session_id="2")
    assert api.get(f"/api/v1/sessions/{session.pk}/")["answer"]["context"].items() >= read.items()
    assert "Traceback" not in text_of(boss.get(f"/reports/sessions/{session.pk}/"))


TEXTS = st.text(st.characters(codec=None))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_whatever_is_stored_can_be_written_and_is_sound_from_then_on(value):
    read = sound(value)

    json.dumps(read, ensure_ascii=False, allow_nan=False).encode()
    assert sound(read) == read
    assert isinstance(sound_context(value), dict)
    try:
        check_context(value)
    except BadContext:
        return
    assert sound_context(value) == value == parse_context(json.dumps(value))


@given(st.integers(1, 3000), st.sampled_from(["[", '{"a\\"[":', '{"]":[']))
def test_json_of_any_depth_is_read(depth, opening):
    closing = "".join(
        "]" if char == "[" else "}" for char in reversed(opening.replace('\\"[', "").replace('"]"', "")) if char in "[{"
    )

    read = read_json('{"before":"\\\\","deep":' + opening * depth + "1" + closing * depth + ',"after":2}')

    assert (read["before"], read["after"]) == ("\\", 2)
