"""To whom a mail goes: no value of a caller's brings in another address."""

from datetime import UTC

import pytest

from automations.texts.liquid import TextError
from automations.texts.names import data_of
from automations.texts.recipients import check_recipients, fill_recipients

pytestmark = pytest.mark.pure

ADA = "{{ customer.email }}"


def filled(text, email, **values):
    return fill_recipients(text, data_of({"customer.email": email, **values}, UTC))


@pytest.mark.parametrize(
    ("text", "email", "expected"),
    [
        (ADA, "ada@example.com", "ada@example.com"),
        (f"sales@example.com,{ADA}", "ada@example.com", "sales@example.com, ada@example.com"),
        (f"sales@example.com, {ADA}", "", "sales@example.com"),
        (f"{ADA}, boss@example.com", None, "boss@example.com"),
        (
            "{% if customer.email %}a@example.com, b@example.com{% endif %}",
            "x@example.com",
            "a@example.com, b@example.com",
        ),
    ],
)
def test_each_part_is_an_address_of_its_own(text, email, expected):
    assert filled(text, email) == expected


@pytest.mark.parametrize(
    ("text", "email", "words"),
    [
        (ADA, '",evil@evil.com,"@example.com', '“",evil@evil.com,"@example.com” is no e-mail address.'),
        (f"sales@example.com, {ADA}", "ada@example.com,evil@evil.com", "“ada@example.com,evil@evil.com” is no"),
        (ADA, "Ada <ada@example.com>", "is no e-mail address"),
        (ADA, "ada@example.com\nBcc: evil@evil.com", "is no e-mail address"),
        (ADA, "ada@example.com evil@evil.com", "is no e-mail address"),
        (ADA, f"ada@{'ü' * 63}.example", "is no e-mail address"),  # no mail can be written to it
        (ADA, "\ufffcada@example.com", "is no e-mail address"),
        (f"x{ADA}", ",evil@evil.com", "is no e-mail address"),
        (ADA, "", "nobody is left to write to"),
        (", ".join(f"a{n}@{'x' * 50}.example.com" for n in range(5)), "", "more than 300 characters"),
    ],
)
def test_what_is_no_single_address_is_not_written_to(text, email, words):
    with pytest.raises(TextError) as error:
        filled(text, email)
    assert words in str(error.value)


def test_a_list_of_values_is_no_address():
    with pytest.raises(TextError, match="is no e-mail address"):
        filled(
            "{{ customer.context.mails }}", "", **{"customer.context": {"mails": ["a@example.com", "b@example.com"]}}
        )


def test_what_is_written_out_is_checked_on_saving():
    assert check_recipients("a@example.com, nobody") == ["“nobody” is no e-mail address."]
    assert check_recipients(" , ") == ["Say to whom it goes."]
    assert check_recipients(f"a@example.com, {ADA}") == []
