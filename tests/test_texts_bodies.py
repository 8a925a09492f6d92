"""Bodies of requests: no value breaks them, adds to them or makes them too large."""

import json
import time
import tracemalloc
from datetime import UTC as ZONE
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.texts.bodies import check_json_body, fill_form_body, fill_json_body, fill_plain_body
from automations.texts.escapes import ESCAPES, escape_slack
from automations.texts.liquid import TextError
from automations.texts.names import data_of, sample_data

pytestmark = pytest.mark.pure

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
# Strings of a body: words, a placeholder alone, one among words, one in a condition.
STRINGS = st.sampled_from(
    [
        "words",
        '"quoted" \\ and \n broken',
        "{{ customer.context.value }}",
        "{{ customer.name }}",
        " {{ customer.context.value }}",
        "Call of {{ customer.name }}, {{ customer.context.value }}",
        "{% if customer.context.value %}yes {{ customer.name | upcase }}{% else %}no{% endif %}",
        "{{ customer.context.value | default: customer.name }}",
    ]
)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def data_with(value: object, name: str = "Ada") -> dict[str, object]:
    return data_of({"customer.name": name, "customer.context": {"value": value}}, ZONE)


def has_structure(body: object, filled: object) -> bool:
    """Objects with the same keys, lists as long, and whatever is no string the same."""
    if isinstance(body, dict):
        return (
            isinstance(filled, dict)
            and body.keys() == filled.keys()
            and all(has_structure(body[key], filled[key]) for key in body)
        )
    if isinstance(body, list):
        return isinstance(filled, list) and len(body) == len(filled) and all(map(has_structure, body, filled))
    if not isinstance(body, str):
        return type(body) is type(filled) and body == filled
    return body in ("{{ customer.context.value }}", "{{ customer.context.value | default: customer.name }}") or (
        isinstance(filled, str) or (body == "{{ customer.name }}" and filled is None)
    )


def refused_constant(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(BODIES, VALUES, st.text(), st.sampled_from(sorted(ESCAPES)))
def test_any_value_in_any_body_gives_json_with_the_same_structure(
    body: object, value: object, name: str, escape: str
) -> None:
    filled = fill_json_body(json.dumps(body), data_with(value, name), ESCAPES[escape])
    assert has_structure(body, json.loads(filled.decode(), parse_constant=refused_constant))


@given(VALUES)
def test_a_placeholder_alone_becomes_its_value(value: object) -> None:
    with_value = data_with(value)
    context = with_value["customer"]["context"]  # type: ignore[index]
    assert json.loads(fill_json_body('"{{ customer.context.value }}"', with_value)) == context["value"]


@pytest.mark.parametrize(
    "text, made",
    [
        ("{{ session.duration_seconds }}", 312),
        ("{{ session.duration_minutes }}", 5.2),
        ("{{ session.is_test }}", False),
        ("{{ customer.context.missing }}", None),
        ("{{ customer.context.missing.deeper }}", None),
        ("{{ customer.context }}", {"city": "London"}),
        ("{{ customer.numbers }}", ["+44 20 7946 0958", "+44 20 7946 0123"]),
        ("{{ session.duration_seconds | plus: 1 }}", 313),
        ("{{ nil }}", None),
        ("{{ 1" + "0" * 400 + ".0 }}", None),
        ("{{ empty }}", None),
        (" {{ session.duration_seconds }}", " 312"),
        ("{{ session.duration_seconds }}{{ session.is_test }}", "312false"),
        ("{{ customer.name }}", "Ada Lovelace"),
    ],
)
def test_numbers_and_null_are_no_texts_where_they_stand_alone(text: str, made: object) -> None:
    assert json.loads(fill_json_body(json.dumps({"a": [text]}), sample_data())) == {"a": [made]}


def test_every_text_within_a_value_is_escaped_its_keys_too() -> None:
    filled = fill_json_body('["{{ customer.context.value }}"]', data_with({"<a>": ["<!channel>", 1]}), escape_slack)
    assert json.loads(filled) == [{"&lt;a&gt;": ["&lt;!channel&gt;", 1]}]


def test_keys_are_sent_as_they_are_written() -> None:
    assert json.loads(fill_json_body('{"{{ customer.name }}": 1}', sample_data())) == {"{{ customer.name }}": 1}


@pytest.mark.parametrize(
    "text, problem",
    [
        ('{"a": {{ session.duration_seconds }}}', "Placeholders stand within quotes"),
        ('{"a": 1,\n}', "Line 2"),
        ("", "no JSON"),
        ('{"a": 1, "b": {"a": 1, "a": 2}}', "the key “a” is there twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1e999}', "too large"),
        (f'{{"a": {"9" * 5000}}}', "no JSON to send"),
        ('{"a": {"b": ["{{ sesion.id }}"]}}', "/a/b/0: Line 1: “sesion.id” is no name"),
        ('{"a": "{{ secrets.token }}"}', "secrets are known in headers"),
        ('"{% for n in customer.numbers %}"', "endfor"),
        ("[" * 21 + "]" * 21, "20 levels"),
        ("[" * 10_000 + "]" * 10_000, "20 levels"),
        (json.dumps("x" * 20_480), "20 KB"),
    ],
)
def test_a_body_with_a_fault_is_refused_on_saving_and_when_filled(text: str, problem: str) -> None:
    assert problem in check_json_body(text)[0]
    with pytest.raises(TextError) as caught:
        fill_json_body(text, sample_data())
    assert problem.removeprefix("/a/b/0: ") in caught.value.problems[0]


LONG = data_with("x" * 60_000)
LIST = data_of({"customer.context": {"list": list(range(60)), "text": "é" * 60_000}}, ZONE)
LOOP = "{% for a in customer.context.list %}x{% endfor %}"


@pytest.mark.parametrize(
    "body, data, problem",
    [
        (["{{ customer.context.value }}"] * 2, LONG, "64 KB"),
        (["{{ customer.context.value }} "] * 2, LONG, "64 KB"),
        ([LOOP, LOOP], LIST, "100 rounds"),
        (["{{ customer.context.value }}"], data_with([0] * 70_000), "64 KB"),
        (["{{ customer.context.text" + " | upcase | downcase" * 20 + " | size }}"] * 40, LIST, "too long"),
    ],
)
def test_the_strings_of_a_body_share_its_bounds(body: object, data: dict[str, object], problem: str) -> None:
    begun = time.thread_time()
    with pytest.raises(TextError) as caught:
        fill_json_body(json.dumps(body), data)
    assert time.thread_time() - begun < 5.0
    assert problem in caught.value.problems[0]


def test_a_body_of_many_long_values_is_stopped_before_it_is_made() -> None:
    body = json.dumps(["{{ customer.context.value }}"] * 500)
    tracemalloc.start()
    with pytest.raises(TextError):
        fill_json_body(body, data_with("x" * 60_000))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


def test_a_value_that_is_too_deep_is_refused() -> None:
    deep: object = "x"
    for _ in range(15):
        deep = [deep]
    assert fill_json_body('["{{ customer.context.value }}"]', data_with(deep))
    with pytest.raises(TextError):
        fill_json_body("[" * 10 + '"{{ customer.context.value }}"' + "]" * 10, data_with(deep))


@given(st.text(), st.text())
def test_a_form_has_the_fields_that_were_written_and_no_others(name: str, value: str) -> None:
    body = fill_form_body("name={{ customer.name }}&value={{ customer.context.value }}", data_with(value, name))
    assert parse_qsl(body.decode(), keep_blank_values=True) == [("name", name), ("value", value)]


@given(st.text())
def test_a_plain_body_is_utf8(value: str) -> None:
    assert fill_plain_body("{{ customer.context.value }}", data_with(value)).decode() == value


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    half = data_with("\ud83d", "Ada\udc00")
    assert fill_plain_body("{{ customer.context.value }}\udc00", half).decode() == "\ufffd\ufffd"
    assert json.loads(fill_json_body('["{{ customer.name }}", "\\ud83d"]', half)) == ["Ada\ufffd", "\ufffd"]
