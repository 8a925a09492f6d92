"""Numbers as LiveTok and people write them, brought to one key. Pure: no database, clock or settings.

Shape matters, validity does not: LiveTok's own sample `+1234567890` is in no numbering plan and must work.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers

LONGEST = 255
NO_NUMBER = frozenset({"", "anonymous", "restricted", "unknown", "withheld"})

_SCHEMES = re.compile(r"^(?:(?:whatsapp|tel):\s*)+", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s\-.()\[\]]")
_DIGITS_AND_SEPARATORS = re.compile(r"^[\s\-.()\[\]]*\+?[\d\s\-.()\[\]]+$")
_E164 = re.compile(r"^\+[1-9]\d{6,14}$")
_BARE = re.compile(r"^[1-9]\d{6,14}$")


@lru_cache(maxsize=16_384)
def phone_key(text: str | None, region: str = "") -> str | None:
    """The key that calls from `text` are matched by: E.164 where it has a number's shape, else the text in lower case.

    None means that there is no number. `region` (such as "GB") is read first for bare digits. The key of a key is
    that key. Raises ValueError where no key of at most 255 characters can be stored.
    """
    number = _SCHEMES.sub("", _cleaned(text or "")).strip()
    if number in NO_NUMBER or not _SEPARATORS.sub("", number):
        return None
    key = _number_key(number, region) or number
    if len(key) > LONGEST:
        raise ValueError(f"a number has at most {LONGEST} characters")
    return key


def _cleaned(text: str) -> str:
    """Lower case, compatibility forms folded, digits of any script made 0 to 9, control and direction marks gone."""
    visible = "".join(
        str(unicodedata.decimal(char, char)) for char in text if unicodedata.category(char) not in ("Cc", "Cf")
    )
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).lower()).strip()


def _number_key(number: str, region: str) -> str | None:
    """E.164 where the text has the shape of a number, its bare digits where it is made of nothing else, else None."""
    if not _DIGITS_AND_SEPARATORS.match(number):
        return None
    digits = _SEPARATORS.sub("", number)
    if region and not digits.startswith(("+", "00")) and (national := _parsed(digits, region)):
        return national
    if digits.startswith("00"):
        return _international("+" + digits[2:], "+" + _SEPARATORS.sub(" ", number).strip()[2:].strip())
    if digits.startswith("+"):
        return _international(digits, number)
    return _international("+" + digits, "+" + number) if _BARE.match(digits) else digits


def _international(digits: str, written: str) -> str:
    """The library knows that the zero of "+44 (0)20" is not dialled; where it does not know the plan, shape decides."""
    return _parsed(written, None) or digits


def _parsed(text: str, region: str | None) -> str | None:
    key = _read_once(text, region)
    # Of "+44 00 20" the library takes one zero at a time.
    while key and (again := _read_once(key, None)) and len(again) < len(key):
        key = again
    return key


def _read_once(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    key = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return key if _E164.match(key) else None


def is_number(key: str) -> bool:
    """Whether a key is a number's: a plus and 7 to 15 digits."""
    return _E164.match(key) is not None
