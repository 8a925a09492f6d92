"""JSON pointers, RFC 6901."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.texts.pointers import PointerError, check_pointer, value_at

pytestmark = pytest.mark.pure

# The document and the table of RFC 6901, section 5.
DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    "pointer, value",
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_rfc(pointer: str, value: object) -> None:
    assert check_pointer(pointer) == []
    assert value_at(DOCUMENT, pointer) == value


def test_the_tilde_is_read_last_so_that_an_escaped_one_stays() -> None:
    assert value_at({"~1": "tilde"}, "/~01") == "tilde"


@pytest.mark.parametrize(
    "pointer, problem",
    [
        ("ticket.id", "write /ticket/id"),
        ("/a~b", "~0 for a tilde"),
        ("/a~", "~0 for a tilde"),
        ("/" + "a" * 500, "at most 500"),
        ("/foo/2", "a list of 2"),
        ("/foo/01", "a list of 2"),
        ("/foo/-", "a list of 2"),
        ("/foo/-1", "a list of 2"),
        ("/foo/\u0661", "a list of 2"),
        ("/foo/99999999999999999999", "a list of 2"),
        ("/foo/0/b", "at /foo/0, which is neither"),
        ("/ticket/id", "There is no “ticket” at the top. There are: foo, , a/b"),
    ],
)
def test_a_pointer_that_is_none_or_leads_nowhere_says_so(pointer: str, problem: str) -> None:
    with pytest.raises(PointerError) as caught:
        value_at(DOCUMENT, pointer)
    assert problem in str(caught.value)


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_key_can_be_pointed_at(keys: list[str]) -> None:
    document: object = "here"
    for key in reversed(keys):
        document = {key: document}
    pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
    assert value_at(document, pointer) == "here"
