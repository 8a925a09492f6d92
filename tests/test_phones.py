"""Numbers brought to one key: shape matters, validity does not."""

import re
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customers.lengths import LONGEST_TEXT
from customers.phones import NO_NUMBER, is_number, key_or_none, phone_key

pytestmark = pytest.mark.pure

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
        "+001234567890",
        "+00001234567890",
        "00 00 1234567890",
        "+1 234/567890",
        "+1 234\\567890",
        "+1\u2011234\u2010567\u2012890",
        "+1\u2013234\u2014567\u2015890",
        "+1\u2212234\ufe63567\uff0d890",
        "+1\u2043234~567\u30fc890",
        "+1\u00ad234\u02d7567\u301c890",
        "+1\u00a0234\u202f567\u3000890",
        "+1\u2003234\u200a567\u2028890",
        "\u200e+1\u200f234\u2066567\u2069\ufeff890",
        "+1\u00b7234\u2022567\u3002890",
        "\uff08+1\uff09\u3010234\u3011{567}<890>",
        "\ufe62\U0001d7cf\u096834\u09eb\u0bec7890",
        "+1\u2044234\u2215567\uff0f890",
        "+1234567890 ext. 5",
        "+1234567890 ext 5",
        "+1234567890 EXT:5",
        "+1234567890, extension 5",
        "+1234567890 extn. 512",
        "+1234567890x5",
        "+1234567890 x 5",
        "+1 234 567-890 X5",
        "+1234567890;ext=5",
        "tel:+1-234-567-890;ext=5;phone-context=example.com",
        "1234567890@s.whatsapp.net",
        "1234567890:12@s.whatsapp.net",
        "1234567890.0:12@S.WhatsApp.Net",
        "1234567890_1:2@s.whatsapp.net",
        "+1234567890@c.us",
        "1234567890@c.us",
        "whatsapp:1234567890@c.us",
        "sip:+1234567890@example.com",
        "sip:+1234567890@198.51.100.7:5060;transport=udp",
        "SIPS:+1234567890@example.com",
        "sip:+1-234-567-890;ext=5@example.com;user=phone",
        "sip:+1234567890:secret@example.com",
        "sip:+001234567890@example.com",
        "+1234567890@example.com",
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
        "+44(0)2079460958",
        "+44 [0] 20 7946 0958",
        "+44 ( 0 ) 20 7946 0958",
        "+0044 (0)20 7946 0958",
        "(+44) (0) 20 7946 0958",
        "+44\uff08\uff10\uff0920 7946 0958",
    ],
)
def test_the_zero_that_is_not_dialled_from_abroad_makes_no_other_caller(text):
    assert phone_key(text) == "+442079460958"


INVISIBLE = [
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u2065\u3164\ufe00\ufe0e\ufe0f\uffa0",
    *"\ufff0\ufff8\ufffe\uffff\U000e0000\U000e0041\U000e0100\U000e01ef\U000e0fff",
]


@pytest.mark.parametrize("char", INVISIBLE, ids=lambda char: f"U+{ord(char):04X}")
def test_what_nobody_sees_makes_no_other_caller(char):
    assert phone_key(f"{char}+1{char}234567890{char}") == "+1234567890"
    assert phone_key(f"1{char}234567890{char}") == "+1234567890"
    assert phone_key(f"Front{char} door") == "front door"
    assert phone_key(f"ano{char}nymous") is None
    assert phone_key(char) is None


def test_the_zero_that_is_dialled_from_abroad_stays():
    assert phone_key("+39 06 6982") == phone_key("0039 06 6982") == "+39066982"
    assert phone_key("+39 (0)6 6982") == "+39066982"


def test_a_zero_in_brackets_goes_where_the_plan_knows_no_such_zero():
    assert phone_key("+1 (0) 415 555 2671") == "+14155552671"
    assert phone_key("+49 (0)151/12345000") == phone_key("+49 151/12345000") == "+4915112345000"


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
        ("sip:ada@example.com;transport=tcp", "sip:ada@example.com"),
        ("sip:ada;tag=1@example.com", "sip:ada@example.com"),
        ("sip:100@pbx.example.com", "sip:100@pbx.example.com"),
        ("sip:4915112345678@example.com", "sip:4915112345678@example.com"),
        ("sip:+12@example.com", "sip:+12@example.com"),
        ("ada@example.com", "ada@example.com"),
        ("123@c.us", "123@c.us"),
        ("status@broadcast", "status@broadcast"),
        ("1234567890-1600000000@g.us", "1234567890-1600000000@g.us"),
        ("Room 5; bed 2", "room 5; bed 2"),
        ("x5", "x5"),
        ("Ext. 5", "ext. 5"),
        ("12x5", "12x5"),
        ("hello", "hello"),
        ("4.91512E+12", "4.91512e+12"),
        ("=1+1", "=1+1"),
        ("++49 30 123456", "++49 30 123456"),
        ("49 + 30 123456", "49 + 30 123456"),
    ],
)
def test_sip_addresses_and_other_text_are_callers_by_that_text_in_lower_case(text, key):
    assert phone_key(text) == key


NOTHING = [
    *[None, "", "  ", "\u200b", "whatsapp:", "-", "()", ". .", "whatsapp: -", "/", "sip:", "sip:@example.com"],
    *["0", "000", "0000000000", "+0", "+00000000000", "00-00-00", "tel:0", "0@s.whatsapp.net", "(0)", "\uff10\uff10"],
    *["Anonymous", "RESTRICTED", " withheld ", "tel:anonymous", "[private]", "No_Caller-ID", "N/A", "unknown;ext=5"],
    *["266696687", "00266696687", "+266 696 687", "7378742833", "sip:+266696687@example.com", "sip:0@example.com"],
    *["anonymous@anonymous.invalid", "sip:Anonymous@anonymous.invalid;x=1", "sips:unknown:5060", "sip:n/a@example.com"],
    *["sip:no caller id@example.com", "sip:266696687@example.com", "restricted@example.com"],
]


@pytest.mark.parametrize("text", [*sorted(NO_NUMBER), *NOTHING])
def test_nothing_and_what_switches_send_for_it_are_no_number(text):
    assert phone_key(text) is None
    assert phone_key(text, "DE") is None
    assert phone_key(text, "DE", True) is None


@pytest.mark.parametrize("text", sorted(NO_NUMBER))
def test_no_number_is_none_as_the_user_of_a_sip_address_either(text):
    assert phone_key(f"sip:{text}@example.com") is None


def test_the_documentation_lists_what_is_no_number():
    text = (Path(__file__).parent.parent / "docs" / "decisions.md").read_text()
    (table,) = re.findall(r"\| no number \|.*?\n\n", text, re.DOTALL)
    listed = [word for line in table.strip().splitlines()[2:] for word in re.findall(r"`([^`]+)`", line.split("|")[1])]

    assert sorted(listed) == sorted(NO_NUMBER)


def test_bare_digits_are_read_in_the_companys_region():
    assert phone_key("020 7946 0958", "GB") == "+442079460958"
    assert phone_key("(020) 7946-0958", "GB") == "+442079460958"
    assert phone_key("2079460958", "GB") == "+442079460958"
    assert phone_key("(415) 555-2671", "US") == "+14155552671"
    assert phone_key("020 7946 0958", "") == phone_key("02079460958") == "02079460958"


@pytest.mark.parametrize("text", ["+4930123456", "004930123456", "whatsapp:+49 30 123456"])
def test_the_region_changes_nothing_about_a_number_with_its_country(text):
    assert phone_key(text, "GB") == phone_key(text) == "+4930123456"


@pytest.mark.parametrize(
    ("text", "region", "key"),
    [
        ("447400123456", "US", "+447400123456"),
        ("436641234567", "DE", "+436641234567"),
        ("4915112345678", "DE", "+4915112345678"),
        ("4930123456", "GB", "+4930123456"),
        ("4930123456", "US", "+4930123456"),
        ("44 (0) 20 7946 0958", "US", "+442079460958"),
    ],
)
def test_digits_that_carry_a_country_code_are_not_read_in_the_region(text, region, key):
    assert phone_key(text, region) == key


@pytest.mark.parametrize(
    ("text", "region", "key"),
    [
        ("301234567", "DE", "+49301234567"),  # without the zero that is dialled in front
        ("34612345678", "ES", "+34612345678"),
        ("612345678", "ES", "+34612345678"),
        ("3331234567", "IT", "+393331234567"),
        ("06 6982", "IT", "+39066982"),
        ("8 495 123-45-67", "RU", "+74951234567"),  # as +84 951234567 it would be Vietnam's
        ("659 234 5678", "US", "+16592345678"),  # as +65 92345678 it would be Singapore's
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("020 7946 0958 x5", "GB", "+442079460958"),
    ],
)
def test_a_number_as_the_region_writes_it_is_the_regions(text, region, key):
    assert phone_key(text, region) == key


@pytest.mark.parametrize("text", ["6592345678", "whatsapp:6592345678", "tel:whatsapp:6592345678", "6592345678@c.us"])
def test_what_comes_by_whatsapp_is_never_read_in_the_region(text):
    assert phone_key(text, "US", True) == "+6592345678"
    if "whatsapp" in text or "@" in text:
        assert phone_key(text, "US") == "+6592345678"


def test_what_is_no_possible_number_of_the_region_is_read_as_without_one():
    assert phone_key("123456789012345", "GB") == "+123456789012345"
    assert phone_key("1234567890", "XX") == "+1234567890"
    assert phone_key("5552671", "US") == "+5552671"
    assert phone_key("12345", "US") == "12345"


@pytest.mark.parametrize("key", ["+1234567", "+123456789012345", "+0123456789"])
def test_a_plus_and_7_to_15_digits_are_a_number(key):
    assert is_number(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "+",
        "hello",
        "=1+1",
        "n/a",
        "4.91512e+12",
        "+123456",
        "+1234567890123456",
        "1234567",
        "+123456\u0667",
        "+1234567\n",
    ],
)
def test_any_other_key_is_none(key):
    assert not is_number(key)


def test_what_cannot_be_stored_is_an_error():
    assert phone_key("x" * 255) == "x" * 255
    with pytest.raises(ValueError, match="255"):
        phone_key("x" * 256)
    with pytest.raises(ValueError, match="255"):
        phone_key("\ufdfa" * 255)  # each becomes 18 letters


@pytest.mark.parametrize(
    ("text", "key"),
    [("020 7946 0958", "+442079460958"), ("anonymous", None), ("x" * 256, None), ("\ufdfa" * 255, None)],
)
def test_what_somebody_searches_for_has_a_key_or_none(text, key):
    assert key_or_none(text, "GB") == key


@pytest.mark.parametrize(
    "part",
    [".", " ", "(", "1", "1 ", "+", "tel:", "sip:", ";", "x", "1x", "ext", "(0)", "@", "00", "\u3164", "1\ufe0f"],
)
@pytest.mark.parametrize("ending", ["x", "1", "", "@", ";"])
def test_long_hostile_texts_are_read_or_refused_at_once(part, ending):
    """A pattern that goes back and forth would take longer than anybody waits for a test."""
    with pytest.raises(ValueError, match="255"):
        phone_key(part * 60_000 + ending)
    for region in ("", "DE"):
        phone_key((part * LONGEST_TEXT)[: LONGEST_TEXT - 1] + ending, region)


# Characters of numbers often, any other now and then.
NUMBERLIKE = st.lists(
    st.one_of(
        st.sampled_from("0123456789+-. ()[]"),
        st.sampled_from(["sip:", "tel:", "whatsapp:", "@c.us", "@", ";", ":", "(0)", "00", "ext. ", "x", "anonymous"]),
        st.characters(),
    ),
    max_size=40,
).map("".join)
INTERNATIONAL = st.builds(
    lambda prefix, code, digits: f"{prefix}{code}{digits}",
    st.sampled_from(["+", "00", "", "tel:+"]),
    st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
    st.text(st.sampled_from("00123456789"), min_size=3, max_size=15),
)


@given(st.one_of(st.text(max_size=LONGEST_TEXT), NUMBERLIKE, INTERNATIONAL), st.sampled_from(REGIONS), st.booleans())
@example("003820069930680", "", False)
@example("950612279", "", False)
@example("1٢٣٤٥٦٧", "", False)
@example("ſİ\u0345", "", False)
@example("tel:\u200b whatsapp:+1", "", False)
def test_any_text_has_a_key_which_is_its_own_key_or_is_refused_as_a_value(text, region, is_whatsapp):
    try:
        key = phone_key(text, region, is_whatsapp)
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


SEPARATORS = ["", "", " ", "-", ".", "/", "(", ")", "[", "]", "\u00a0", "\u2011", "\u2212", "\u200e", "\u202c"]
DIGITS = [ord("0"), 0x0660, 0x06F0, 0x0966, 0xFF10, 0x1D7CE]
AROUND = [
    ("+", ""), ("00", ""), ("+00", ""), ("tel:+", ";ext=5"), ("whatsapp:+", ""), ("+", " ext. 5"), ("+", "x12"),
    ("", "@s.whatsapp.net"), ("", ":3@c.us"), ("sip:+", "@example.com"),
]  # fmt: skip


@given(st.from_regex(r"\A[1-9][0-9]{6,14}\Z"), st.sampled_from(AROUND), st.data())
def test_two_spellings_of_one_number_have_one_key(digits, around, data):
    before, after = around
    # Two zeros in brackets might be taken for one that is not dialled from abroad.
    separators = st.sampled_from([char for char in SEPARATORS if "0" not in digits or char not in "()[]"])
    if after.endswith(("whatsapp.net", "@c.us")):
        separators = st.just("")
    zero = data.draw(st.sampled_from(DIGITS))
    written = "".join(chr(zero + int(digit)) + data.draw(separators) for digit in digits)

    assert phone_key(before + written + after, data.draw(st.sampled_from(REGIONS))) == phone_key("+" + digits)
