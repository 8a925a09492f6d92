"""Texts with placeholders: what is refused on saving, what they are filled with, and what stops them."""

import time
import tracemalloc
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.texts.escapes import ESCAPES, escape_card, escape_slack
from automations.texts.filters import FILTERS
from automations.texts.lines import check_address, check_header, fill_address, fill_header, fill_line
from automations.texts.liquid import Budget, TextError, check, fill
from automations.texts.names import NAMES, Kind, data_of, sample_data

pytestmark = pytest.mark.pure

MADRID = ZoneInfo("Europe/Madrid")
# Unbounded, some of them took 18 seconds; a busy machine makes each take longer.
LONG_ENOUGH_SECONDS = 5.0


def data(**values: object) -> dict[str, object]:
    """With names as `customer__name`."""
    return data_of({name.replace("__", ".", 1): value for name, value in values.items()}, MADRID)


def problems_of(text: str, filled_with: dict[str, object]) -> list[str]:
    with pytest.raises(TextError) as caught:
        fill(text, filled_with)
    return caught.value.problems


@pytest.mark.parametrize(
    "text, problem",
    [
        ("{{ sesion.id }}", "Line 1: “sesion.id” is no name. Did you mean session.id?"),
        ("\n{{ session.durration_seconds }}", "Line 2: “session.durration_seconds” is no name. Did you mean"),
        ("{{ session }}", "is a group of names"),
        ("{{ session.id.x }}", "nothing follows session.id"),
        ("{{ session[customer.name] }}", "is no name"),
        ("{{ session.id.__class__ }}", "nothing follows"),
        ("{{ __class__ }}", "is no name"),
        ("{{ now }}", "is no name"),
        ("{{ secrets.api_token }}", "secrets are known in headers, and in a destination's address, alone"),
        ("{% for n in customer.numbers %}{{ m }}{% endfor %}", "“m” is no name"),
        ("{{ customer.name | upcaes }}", "“upcaes” is no filter. Did you mean upcase?"),
        ("{{ customer.name | safe }}", "is no filter"),
        ("{% fro n in customer.numbers %}", "“fro” is no tag. Did you mean for?"),
        ("{% include 'x' %}", "is no tag"),
        ("{% render 'x' %}", "is no tag"),
        ("{% extends 'x' %}", "is no tag"),
        ("{% import 'x' as y %}", "is no tag"),
        ("{% capture x %}{% endcapture %}", "is no tag"),
        ("{% raw %}{% endraw %}", "is no tag"),
        ("{% assign customer = 1 %}", "is a name of Frontdesk"),
        ("{% for session in customer.context.list %}{{ session.link }}{% endfor %}", "is a name of Frontdesk"),
        ("{{ (1..100000000) | join }}", "Ranges"),
        ("{{ customer.name", "is not closed"),
        ("{% if customer.name %}", "endif"),
        ("{{ session.id | truncate: 'x' }}", "expected an integer"),
        ("{{ session.duration_seconds | divided_by: 0 }}", "divide by 0"),
        ("{{ event.at | date: '%99999999d' }}", "date"),
        ("x" * 20481, "20 KB"),
    ],
)
def test_a_text_with_a_fault_is_refused_on_saving_and_when_filled(text: str, problem: str) -> None:
    [found, *_] = check(text)
    assert problem in found
    assert problem in problems_of(text, sample_data())[0]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_of_the_table_is_known_and_has_help_and_a_sample(name: str) -> None:
    assert check(f"{{{{ {name} }}}}") == []
    assert NAMES[name].help.endswith(".")
    assert NAMES[name].sample is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_name_without_a_value_is_empty(name: str) -> None:
    expected = "{}" if NAMES[name].kind is Kind.FREE else ""
    assert fill(f"{{{{ {name} }}}}", data()) == expected


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_takes_what_has_no_value(name: str) -> None:
    arguments = {"date": ": '%Y'", "default": ": ''", "map": ": 'a'", "split": ": ','", "where": ": 'a'"}
    pairs = ("append", "at_least", "at_most", "divided_by", "minus", "modulo", "plus", "prepend", "remove", "times")
    argument = arguments.get(name, ": 2" if name in (*pairs, "replace") else "")
    assert "None" not in fill(f"{{{{ customer.name | {name}{argument} }}}}", data())


def test_keys_of_the_context_are_free_and_empty_where_they_are_missing() -> None:
    text = "{{ customer.context.city }}|{{ customer.context['last order'].total }}|{{ customer.context.a.b.c }}"
    assert check(text) == []
    assert fill(text, data(customer__context={"city": "Rome", "last order": {"total": 12.5}})) == "Rome|12.5|"
    assert fill(text, data()) == "||"


def test_a_fault_that_a_context_may_mend_does_not_keep_a_text_from_being_saved() -> None:
    assert check("{{ 10 | divided_by: customer.context.orders }}") == []


@pytest.mark.parametrize(
    "value, shown",
    [
        (None, ""),
        (True, "true"),
        (1.5, "1.5"),
        ([1, None, "a"], "1, , a"),
        ({"a": [None, True]}, '{"a": [null, true]}'),
        ([{}], "[{}]"),
    ],
)
def test_values_are_shown_as_json_has_them_and_lists_with_commas(value: object, shown: str) -> None:
    assert fill("{{ customer.context.x }}", data(customer__context={"x": value})) == shown


def test_moments_are_the_companys_iso_text_and_the_filters_read_it() -> None:
    summer = data(event__at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    assert fill("{{ event.at }}", summer) == "2026-07-02T00:30:00+02:00"
    assert fill("{{ event.at | date: '%d.%m.%Y %H:%M %%' }}", summer) == "02.07.2026 00:30 %"
    assert fill("{{ event.at | utc }}", summer) == "2026-07-01T22:30:00Z"
    assert fill("{{ 'soon' | date: '%Y' }}{{ 'soon' | utc }}", summer) == "soonsoon"


@pytest.mark.parametrize(
    "values",
    [
        {"event.link": "javascript:alert(1)"},
        {"event.link": "https://example.com/)[x"},
        {"event.link": "https://example.com/<x>"},
        {"event.at": datetime(2026, 7, 1)},
    ],
)
def test_a_link_that_is_none_and_a_moment_without_a_zone_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        data_of(values, UTC)


def test_a_name_that_the_table_lacks_is_refused_in_the_data() -> None:
    with pytest.raises(KeyError):
        data_of({"session.colour": "red"}, UTC)


def test_secrets_are_seen_only_where_they_are_named_and_handed_over() -> None:
    with_secrets = {**sample_data(), "secrets": {"token": "s3cret"}}
    assert check("Bearer {{ secrets.token }}", ["token"]) == []
    assert check("Bearer {{ secrets.tokem }}", ["token"]) == [
        "Line 1: There is no secret named tokem. Add it below, or did you mean token?"
    ]
    assert fill("Bearer {{ secrets.token }}", sample_data(), secrets={"token": "s3cret"}) == "Bearer s3cret"
    assert "secrets are known in headers" in problems_of("{{ secrets.token }}", with_secrets)[0]


LIST = data(
    customer__context={
        "list": list(range(60)),
        "hundred": list(range(100)),
        "long": "a" * 60_000,
        "longer": "a" * 70_000,
        "huge": 1e300,
    }
)
LOOP = "{% for a in customer.context.list %}"


@pytest.mark.parametrize(
    "text, problem",
    [
        ("{% for a in (1..100000000) %}x{% endfor %}", "Ranges"),
        ("{% for a in (1..100000000) reversed %}x{% endfor %}", "Ranges"),
        (f"{LOOP}{LOOP}x{{% endfor %}}{{% endfor %}}", "100 rounds"),
        (f"{LOOP}x{{% endfor %}}{LOOP}x{{% endfor %}}", "100 rounds"),
        ("{% assign x = 'xxxxxxxx' %}" + "{% assign x = x | append: x %}" * 500, "64 KB"),
        (
            "{% assign x = 'xxxxxxxx' %}{{ x " + "| append: x " * 150 + "| replace: 'x', customer.context.long }}",
            "64 KB",
        ),
        ("{{ customer.context.long | split: '' | join: customer.context.long }}", "list of more than"),
        ("{{ customer.context.list | join: customer.context.long }}", "64 KB"),
        ("{{ customer.context.long }}{{ customer.context.long }}", "64 KB"),
        ("{% assign a = customer.context.long %}{% assign b = customer.context.long | upcase %}", "What it assigns"),
        ("{{ customer.context.longer | truncate: 5 }}", "64 KB"),
        ("{{ 9 " + "| times: 999999999 " * 100 + "}}", "larger than"),
        ("{{ customer.context.huge | times: customer.context.huge }}", "too large"),
        (LOOP + "{{ customer.context.long | upcase | size }}" * 400 + "{% endfor %}", "too long"),
        (LOOP + "{% if customer.context.long contains 'ab' %}{% endif %}" * 350 + "{% endfor %}", "too long"),
        ("{% if true %}" * 700 + "{% endif %}" * 700, "nesting"),
        ("{{ a" + "[a" * 600 + "]" * 600 + " }}", "no name"),
        ("{{" * 10_000, "not closed"),
        ("{{" * 5_000 + "}}" * 5_000, "not closed"),
        ("{{" + " " * 20_000, "not closed"),
        ("{{" + " " * 20_000 + "}}", "99 spaces"),
        ("{% if" + " " * 20_000, "not closed"),
        ("{% raw %}" * 2_200, "no tag"),
        ("{% comment %}" * 1_500, "never closed"),
        ("{{ " + "a|b:" * 480 + "}}", "no name"),
    ],
)
def test_what_goes_beyond_the_bounds_stops_soon(text: str, problem: str) -> None:
    begun = time.thread_time()
    found = problems_of(text, LIST)
    took = time.thread_time() - begun
    assert problem in found[0]
    assert took < LONG_ENOUGH_SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "{{ customer.context.long | replace: 'a', customer.context.long }}",
        "{{ customer.context.long | truncate: 9000 | split: '' | join: customer.context.long }}",
    ],
)
def test_a_filter_that_would_make_gigabytes_is_stopped_before_it_does(text: str) -> None:
    tracemalloc.start()
    found = problems_of(text, LIST)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "64 KB" in found[0]
    assert peak_bytes < 10_000_000


def test_texts_that_share_a_budget_share_its_size() -> None:
    budget = Budget()
    fill("{{ customer.context.long }}", LIST, budget=budget)
    with pytest.raises(TextError):
        fill("{{ customer.context.long }}", LIST, budget=budget)


def test_up_to_the_bounds_a_text_is_filled() -> None:
    assert fill("{% for a in customer.context.hundred %}x{% endfor %}", LIST) == "x" * 100
    assert fill(f"{LOOP}{{% if a == 2 %}}{{% break %}}{{% endif %}}{{{{ forloop.index }}}}{{% endfor %}}", LIST) == "12"
    assert len(fill("{{ customer.context.long }}", LIST)) == 60_000


HOSTILE = ["<!channel>", "<@U123>", "[x](http://evil.example)", "http://evil.example", "<at>all</at>", "&lt;!here&gt;"]


@given(st.text() | st.sampled_from(HOSTILE))
def test_slacks_escape_leaves_no_bracket_and_no_ampersand_of_its_own(name: str) -> None:
    filled = fill("{{ customer.name }}", data(customer__name=name), escape_slack)
    assert "<" not in filled
    assert ">" not in filled
    rest = filled.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert "&" not in rest


@given(st.text() | st.sampled_from(HOSTILE))
def test_the_escape_of_cards_leaves_nothing_that_begins_a_link_or_emphasis(name: str) -> None:
    escaped = escape_card(name)
    unescaped = _without_pairs(escaped)
    assert set(unescaped).isdisjoint("*_[]<>`~|\\@")
    assert "://" not in unescaped
    assert _meant(escaped) == name


def _without_pairs(text: str) -> str:
    return "".join("" if part.startswith("\\") else part for part in _parts(text))


def _meant(text: str) -> str:
    return "".join(part.removeprefix("\\") if len(part) > 1 else part for part in _parts(text))


def _parts(text: str) -> list[str]:
    parts, position = [], 0
    while position < len(text):
        width = 2 if text[position] == "\\" else 1
        parts.append(text[position : position + width])
        position += width
    return parts


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_link_of_frontdesk_is_never_escaped(escape: str) -> None:
    assert fill("{{ event.link }}", sample_data(), ESCAPES[escape]) == NAMES["event.link"].sample


def test_words_of_staff_are_not_escaped_and_texts_within_placeholders_are() -> None:
    filled = fill("<!here> {{ '<!here>' | append: customer.name }}", data(customer__name="<x>"), escape_slack)
    assert filled == "<!here> &lt;!here&gt;&lt;x&gt;"


@given(st.text(), st.text())
def test_no_line_break_or_control_character_gets_into_a_line(name: str, secret: str) -> None:
    filled_with = data(customer__name=name)
    line = fill_line("To {{ customer.name }}!", filled_with)
    header = fill_header("{{ customer.name }} {{ secrets.key }}", filled_with, {"key": secret})
    for text in (line, header):
        assert text.splitlines() in ([text], [])
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
    assert header.isascii()


def test_a_line_break_becomes_a_space() -> None:
    name = "Ada\r\nBcc: evil@example.com\x00\u2028x"
    assert fill_line("Call of {{ customer.name }}", data(customer__name=name)) == "Call of Ada Bcc: evil@example.com x"


@pytest.mark.parametrize(
    "name, text, problem",
    [
        ("X-Key", "a\nb", "on one line"),
        ("X Key", "a", "no name of a header"),
        ("X-Key:", "a", "no name of a header"),
        ("Idempotency-Key", "a", "set by Frontdesk"),
        ("webhook-signature", "a", "set by Frontdesk"),
        ("Transfer-Encoding", "chunked", "set by Frontdesk"),
        ("X-Key", "{{ secrets.none }}", "There is no secret named none. Add it below."),
    ],
)
def test_a_bad_header_is_refused(name: str, text: str, problem: str) -> None:
    [found, *_] = check_header(name, text, ["token"])
    assert problem in found


@pytest.mark.parametrize(
    "text, sound",
    [
        ("https://crm.example.com/customers/{{ customer.external_id }}?n={{ session.number }}", True),
        ("https://crm.example.com", True),
        ("https://{{ customer.name }}/", False),
        ("https://crm.example.com{{ customer.name }}/", False),
        ("https://user@crm.example.com/", False),
        ("{{ customer.context.address }}", False),
        ("ftp://crm.example.com/", False),
    ],
)
def test_no_value_chooses_the_host_of_an_address(text: str, sound: bool) -> None:
    assert (check_address(text) == []) is sound


@given(st.text().filter(lambda text: text.strip(".")))
def test_a_value_stays_within_its_part_of_an_address(value: str) -> None:
    text = "https://crm.example.com/a/{{ customer.external_id }}/b?n={{ customer.external_id }}"
    filled = fill_address(text, data(customer__external_id=value))
    assert filled.isascii()
    assert filled.count("/") == 5
    assert set(filled.removeprefix("https://crm.example.com/a/").replace("/b?n=", "")).isdisjoint("/?#@&= \r\n\\")


@pytest.mark.parametrize("value", [".", "..", "..."])
def test_a_value_cannot_climb_in_an_address(value: str) -> None:
    with pytest.raises(TextError):
        fill_address("https://crm.example.com/a/{{ customer.external_id }}/b", data(customer__external_id=value))
