"""Numbers brought to one key: shape matters, validity does not."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customers.phones import phone_key

REGIONS = ["", "GB", "US", "DE", "AR", "IT", "XX"]


@pytest.mark.parametrize(
    "text",
    [
        "+1234567890",
        "1234567890",
        "001234567890",
        "00 1234567890",
        "+1 (234) 567-890",
        "+1.234.567.890",
        "[+1] 234 567 890",
        "(001) 234 567 890",
        "+1-234-567-890",
        "1 234-567.890",
        "whatsapp:+1234567890",
        "WhatsApp: +1 234 567 890",
        "whatsapp:1234567890",
        "tel:+1234567890",
        "TEL:001234567890",
        "whatsapp:tel:+1234567890",
        "  +1234567890\n",
        "\u202a+1\u00a0234\u2009567\u200b890\u202c",
        "\uff0b\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10",
        "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
        "+1\x00234567890",
    ],
)
def test_a_number_is_the_same_however_it_is_written(text):
    assert phone_key(text) == "+1234567890"


@pytest.mark.parametrize(
    "text",
    [
        "+44 (0)20 7946 0958",
        "+442079460958",
        "0044 (0)20 7946 0958",
        "0044 20 7946 0958",
        "44 (0) 20 7946 0958",
        "442079460958",
        "4402079460958",
        "+4402079460958",
        "004402079460958",
    ],
)
def test_the_zero_that_is_not_dialled_from_abroad_makes_no_other_caller(text):
    assert phone_key(text) == "+442079460958"


def test_the_zero_that_is_dialled_from_abroad_stays():
    assert phone_key("+39 06 6982") == phone_key("0039 06 6982") == "+39066982"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("123456", "123456"),
        ("1234567", "+1234567"),
        ("123456789012345", "+123456789012345"),
        ("1234567890123456", "1234567890123456"),
        ("0123456789", "0123456789"),
        ("+0123456789", "+0123456789"),
        ("(01234) 56 789", "0123456789"),
        ("000123456789", "+0123456789"),
        ("12-34", "1234"),
        ("00 1234", "+1234"),
        ("+1-234", "+1234"),
        ("+", "+"),
    ],
)
def test_seven_to_fifteen_bare_digits_without_a_leading_zero_get_a_plus(text, key):
    assert phone_key(text) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sip:Ada@Example.COM", "sip:ada@example.com"),
        ("  SIP:ada@example.com ", "sip:ada@example.com"),
        ("1 800 FLOWERS", "1 800 flowers"),
        ("Web visitor 5", "web visitor 5"),
        ("STRASSE", "strasse"),
        ("tel:Reception", "reception"),
    ],
)
def test_sip_addresses_and_other_text_are_callers_by_that_text_in_lower_case(text, key):
    assert phone_key(text) == key


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "  ",
        "\u200b",
        "anonymous",
        "Anonymous",
        "RESTRICTED",
        "unknown",
        " withheld ",
        "whatsapp:",
        "tel:anonymous",
        "-",
        "()",
        ". .",
        "whatsapp: -",
    ],
)
def test_nothing_and_words_for_nothing_are_no_number(text):
    assert phone_key(text) is None
    assert phone_key(text, "GB") is None


def test_bare_digits_are_read_in_the_companys_region_first():
    assert phone_key("020 7946 0958", "GB") == "+442079460958"
    assert phone_key("(020) 7946-0958", "GB") == "+442079460958"
    assert phone_key("2079460958", "GB") == "+442079460958"
    assert phone_key("(415) 555-2671", "US") == "+14155552671"
    assert phone_key("020 7946 0958", "") == phone_key("02079460958") == "02079460958"


@pytest.mark.parametrize("text", ["+4930123456", "004930123456", "whatsapp:+49 30 123456"])
def test_the_region_changes_nothing_about_a_number_with_its_country(text):
    assert phone_key(text, "GB") == phone_key(text) == "+4930123456"


def test_what_the_region_cannot_read_is_read_as_without_one():
    assert phone_key("123456789012345", "GB") == "+123456789012345"
    assert phone_key("1234567890", "XX") == "+1234567890"


def test_what_cannot_be_stored_is_an_error():
    assert phone_key("x" * 255) == "x" * 255
    with pytest.raises(ValueError, match="255"):
        phone_key("x" * 256)


# Characters of numbers often, any other now and then.
NUMBERLIKE = st.text(st.one_of(st.sampled_from("0123456789+-. ()[]"), st.characters()), max_size=40)
INTERNATIONAL = st.builds(
    lambda prefix, code, digits: f"{prefix}{code}{digits}",
    st.sampled_from(["+", "00", "", "tel:+"]),
    st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
    st.text(st.sampled_from("00123456789"), min_size=3, max_size=15),
)


@given(st.one_of(st.text(), NUMBERLIKE, INTERNATIONAL), st.sampled_from(REGIONS))
@example("003820069930680", "")
@example("950612279", "")
@example("1٢٣٤٥٦٧", "")
@example("ſİ\u0345", "")
@example("tel:\u200b whatsapp:+1", "")
def test_any_text_has_a_key_which_is_its_own_key_or_is_refused_as_a_value(text, region):
    try:
        key = phone_key(text, region)
    except ValueError:
        return
    assert key is None or 1 <= len(key) <= 255
    if key is not None:
        assert phone_key(key) == key
        if key.startswith("+"):
            assert phone_key(key, region) == key


@given(INTERNATIONAL)
def test_a_number_with_its_country_is_the_same_with_plus_zeros_or_neither(text):
    digits = text.removeprefix("tel:").removeprefix("+").removeprefix("00")
    if 7 <= len(digits) <= 15:
        assert phone_key(digits) == phone_key("+" + digits) == phone_key("00" + digits)


@given(st.from_regex(r"\A[1-9][0-9]{6,14}\Z"), st.data())
def test_separators_make_no_other_caller(digits, data):
    written = "".join(char + data.draw(st.sampled_from(["", "", " ", "-", ".", "(", ")", "[", "]"])) for char in digits)

    assert phone_key("+" + written) == phone_key("+" + digits)
