"""Numbers as LiveTok and people write them, brought to one key. Pure: no database, clock or settings.

Shape matters, validity does not: LiveTok's own sample `+1234567890` is in no numbering plan and must work. Nothing here
goes back and forth in a text, so that nobody can make it slow.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, ValidationResult

from customers.lengths import LONGEST_TEXT

# What keypads, switches and people send for no number: blank and all zeros aside, and listed in docs/decisions.md too.
NO_NUMBER = frozenset(
    {
        "anonymous",
        "restricted",
        "unknown",
        "withheld",
        "unavailable",
        "private",
        "blocked",
        "no caller id",
        "null",
        "none",
        "n/a",
        "+266696687",  # ANONYMOUS on a keypad
        "+7378742833",  # RESTRICTED on a keypad
    }
)
WHATSAPP_HOSTS = frozenset({"s.whatsapp.net", "c.us"})

_SCHEMES = ("whatsapp:", "tel:")
_SIP_SCHEMES = ("sip:", "sips:")
_DIGITS = "0123456789"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_BARE = re.compile(r"[1-9][0-9]{6,14}")
_NUMBER = re.compile(r"\+[0-9]{7,15}")
_EXTENSIONS = ("extension", "extn", "ext", "x")
_FEWEST_DIGITS = 7
_MOST_IN_A_PLAN = 20  # digits; of more the library knows nothing
# Those that Unicode counts to other kinds than dashes, spaces and brackets.
_DASHES = "~\u02d7\u2043\u2053\u2212\u223c\u2796\u30fc"
_DOTS = ".\u00b7\u2022\u2027\u2219\u22c5\u3002\u30fb"
_OTHER_SEPARATORS = frozenset(_DASHES + _DOTS + "/\\\u2044\u2215<>")
# What nobody sees and Unicode counts to letters, marks or nothing (Default_Ignorable_Code_Point without Cc and Cf), and
# the two that no file can hold: an export has to come back as the number that it was.
_OTHER_INVISIBLES = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0, 0xFFFE, 0xFFFF),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xFFF0, 0xFFF9),
            *range(0xE0000, 0xE1000),
        ),
    )
)


@lru_cache(maxsize=16_384)
def phone_key(text: str | None, region: str = "", is_whatsapp: bool = False) -> str | None:
    """The key that calls from `text` are matched by: E.164 where it has a number's shape, else the text in lower case.

    None means that there is no number. Bare digits without a country code are read in `region` (such as "GB"), but for
    what comes by WhatsApp, which is always international. The key of a key is that key. Raises ValueError where no key
    of at most 255 characters can be stored.
    """
    if not text:
        return None
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a number has at most {LONGEST_TEXT} characters")
    key = _international(text) if _E164.fullmatch(text) else _key(_folded(text), "" if is_whatsapp else region)
    if key is not None and len(key) > LONGEST_TEXT:
        raise ValueError(f"a number has at most {LONGEST_TEXT} characters")
    return None if key in NO_NUMBER else key


def key_or_none(text: str, region: str) -> str | None:
    """The key of what somebody searches for; None where it is no number, and also where it is too long for one."""
    try:
        return phone_key(text, region)
    except ValueError:
        return None


def is_number(key: str) -> bool:
    """Whether a key is a phone number: a plus and 7 to 15 digits. Others are callers too, by a text or an address."""
    return _NUMBER.fullmatch(key) is not None


def digits_of(text: str) -> str:
    """The digits of a number or a part of one; blank where the text has anything else than digits and separators."""
    return _plain(_shape(_folded(text)) or "").removeprefix("+")


def _folded(text: str) -> str:
    """Lower case, compatibility forms folded, digits of any script made 0 to 9, what nobody sees gone."""
    visible = "".join(str(unicodedata.decimal(char, char)) for char in text if not _is_invisible(char))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).lower()).strip()


def _is_invisible(char: str) -> bool:
    """Control and direction marks among them."""
    return unicodedata.category(char) in ("Cc", "Cf") or char in _OTHER_INVISIBLES


def _key(text: str, region: str) -> str | None:
    address = text
    while address.startswith(_SCHEMES):
        scheme, _, address = address.partition(":")
        address = address.lstrip()
        region = "" if scheme == "whatsapp" else region
    if address.startswith(_SIP_SCHEMES) or "@" in address:
        return _address_key(address)
    number = address.partition(";")[0]
    if _says_none(number):
        return None
    shape = _shape(number) or _shape(_without_extension(number))
    return _number_key(shape, region) if shape else address


def _says_none(text: str) -> bool:
    """Whether a text is blank, a word for no number, or nothing but separators and zeros."""
    words = "".join(" " if _is_separator(char) and char != "/" else char for char in text.replace("_", " ")).split()
    if " ".join(words) in NO_NUMBER:
        return True
    digits = "".join(words).replace("/", "").lstrip("+")
    return "+" + digits in NO_NUMBER or (not digits.strip("0") and (digits != "" or "+" not in text))


def _address_key(address: str) -> str | None:
    """The number of a WhatsApp or SIP address that has one; others are callers by the address without parameters."""
    is_sip = address.startswith(_SIP_SCHEMES)
    scheme, _, rest = address.partition(":") if is_sip else ("", "", address)
    user, at, host = (part.partition(";")[0].strip() for part in rest.partition("@"))
    name = user.partition(":")[0].strip()
    if _says_none(name) and (is_sip or name):
        return None
    if host in WHATSAPP_HOSTS:
        name = "+" + name.lstrip("+").partition(".")[0].partition("_")[0]
    shape = _shape(name) if name.startswith("+") else None
    key = _number_key(shape, "") if shape else None
    if key is not None and is_number(key):
        return key
    return f"{scheme}:{user}{at}{host}" if is_sip else address


def _without_extension(text: str) -> str:
    """What comes before "ext. 5" or "x5"; nothing where that is no number that could have an extension."""
    before = text.rstrip(_DIGITS)
    if before == text:
        return ""
    before = before.rstrip(" .:=#-")
    for word in _EXTENSIONS:
        if before.endswith(word):
            number = before.removesuffix(word).rstrip(" ,")
            return number if sum(char in _DIGITS for char in number) >= _FEWEST_DIGITS else ""
    return ""


def _shape(text: str) -> str | None:
    """The digits, with the plus and the brackets, which tell "(0)", around them; None where the text has anything else,
    or no digit."""
    kept = ""
    has_begun = False
    for char in text:
        if char in _DIGITS or (char == "+" and not has_begun):
            has_begun = True
            kept += char
        elif not _is_separator(char):
            return None
        elif (bracket := _bracket(char)) is not None:
            kept += bracket
    return kept if any(char in _DIGITS for char in kept) else None


def _is_separator(char: str) -> bool:
    kind = unicodedata.category(char)
    return kind in ("Pd", "Ps", "Pe", "Zs", "Zl", "Zp") or char.isspace() or char in _OTHER_SEPARATORS


def _bracket(char: str) -> str | None:
    """A round bracket for any kind of bracket; None for anything else."""
    return {"Ps": "(", "Pe": ")"}.get(unicodedata.category(char))


def _number_key(shape: str, region: str) -> str | None:
    """E.164 where the digits have a number's shape, else the digits; None where all are zeros."""
    before, zero, after = shape.partition("(0)")
    code, _ = _announced(before)
    if zero and _is_country_code(code):
        return _international(_with_or_without_zero(code, _plain(after)))
    digits, is_international = _announced(shape)
    if not digits.strip("0"):
        return None
    if is_international:
        return _international("+" + digits)
    if region and (national := _national(digits, region)):
        return national
    return _international("+" + digits) if _BARE.fullmatch(digits) else digits


def _plain(shape: str) -> str:
    return shape.replace("(", "").replace(")", "")


def _announced(shape: str) -> tuple[str, bool]:
    """The digits, and whether a plus or 00 in front announces a country code."""
    written = _plain(shape)
    digits = written.removeprefix("+")
    while digits.startswith("00"):
        digits = digits[2:]
    return digits, digits != written


def _is_country_code(digits: str) -> bool:
    return len(digits) <= 3 and digits.isdecimal() and int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE


def _with_or_without_zero(code: str, rest: str) -> str:
    """The zero in brackets is not dialled from abroad, but in plans such as Italy's, which have it as a digit."""
    written = f"+{code}0{rest}"
    number = _parsed(written, None)
    return written if number is not None and phonenumbers.is_valid_number(number) else f"+{code}{rest}"


def _international(digits: str) -> str:
    """The library knows that the zero of "+44 020" is not dialled; where it does not know the plan, shape decides."""
    key = _e164(_parsed(digits, None))
    # Of "+44 00 20" the library takes one zero at a time.
    while key and (again := _e164(_parsed(key, None))) and len(again) < len(key):
        key = again
    return key or digits


def _national(digits: str, region: str) -> str | None:
    """E.164 where the digits are a possible number of the region and carry no country code already."""
    number = _parsed(digits, region)
    if number is None or phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    if _carries_country_code(digits, region, number):
        return None
    key = _e164(number)
    return _international(key) if key else None


def _carries_country_code(digits: str, region: str, national: PhoneNumber) -> bool:
    """Whether the digits are a number with its country rather than one of the region.

    Some are valid as both. Where the region writes its own with a trunk prefix that they lack, they are the former.
    """
    number = _parsed("+" + digits, None)
    if number is None or not phonenumbers.is_valid_number(number):
        return False
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    # In North America both are 1, so the prefix tells nothing.
    trunk = plan.national_prefix if plan and plan.national_prefix != str(plan.country_code) else None
    return bool(trunk and not digits.startswith(trunk)) or not phonenumbers.is_valid_number(national)


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    if len(text) > _MOST_IN_A_PLAN:
        return None
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _e164(number: PhoneNumber | None) -> str | None:
    key = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if number else None
    return key if key and _E164.fullmatch(key) else None
