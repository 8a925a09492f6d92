"""How a text is read by whoever searches, and by what is searched. Pure: no database, clock or settings.

Unicode's compatibility forms are taken apart (NFKD), case is folded, accents and what nobody sees are left out, and the
letters of `APART` are written as most keyboards write them. So "Ångström", "ANGSTROM" and "angstrom" are one word, and
so are "Özil" and "OZIL", "Łódź" and "LODZ", "Мария" and "мария". In every language alike: nobody has to choose one.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

# Of a word no more is kept or compared.
LONGEST_WORD = 40
_ASCII_WORD = re.compile("[a-z0-9]+")
# Letters that Unicode takes for one piece, the i without a dot of Turkish among them.
APART = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n"}
)
# First and last characters of scripts that put no space between words, so that a word may begin anywhere.
UNSPACED = (
    ("\u0e00", "\u0eff"),  # Thai and Lao
    ("\u1000", "\u109f"),  # Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3005", "\u3007"),
    ("\u3040", "\u30ff"),  # kana
    ("\u3400", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
# Consonants that begin a syllable of Korean: family names and given names have no space between them.
SYLLABLES = ("\u1100", "\u115f")
# What stands for an apostrophe, among letters in Unicode; and what stretches a letter of Arabic and says nothing.
ALIKE = str.maketrans(dict.fromkeys("\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02bf\u2018\u2019", "'") | {"\u0640": None})
# Between the parts of one word, which some write and others leave out, as in O'Brien or Anna-Maria.
JOINING = str.maketrans("", "", "'-\u2010\u2011")


def folded(text: str) -> str:
    """The text as it is compared. What is folded once stays as it is."""
    if text.isascii():  # the same at once, for most texts by far
        return text.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    # Case folding brings forth what can be folded further, such as the two letters of the German ß in upper case.
    seen = "".join(char for char in apart if not unicodedata.combining(char) and not _is_invisible(char))
    return seen.translate(APART).translate(ALIKE)


def words_of(text: str) -> list[str]:
    """The words of a text, folded, each once, in their order: runs of letters, digits and marks, or of symbols."""
    return list(dict.fromkeys(run[:LONGEST_WORD] for run in _runs(folded(text))))


def beginnings_of(text: str) -> set[str]:
    """What a text is found by: each word, also written together where it has a hyphen or an apostrophe.

    Of scripts without spaces, also what follows each of their characters.
    """
    text = folded(text)
    runs = {*_runs(text), *_runs(text.translate(JOINING))}
    return {part[:LONGEST_WORD] for run in runs for part in _parts(run)}


def _runs(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return ["".join(run) for kind, run in groupby(text, _kind) if kind]


def _parts(word: str) -> Iterator[str]:
    yield word
    if word.isascii():
        return
    for place in range(1, len(word)):
        is_beginning = _is_unspaced(word[place]) or _is_unspaced(word[place - 1])
        is_beginning = is_beginning or SYLLABLES[0] <= word[place] <= SYLLABLES[1]
        if is_beginning and not unicodedata.category(word[place]).startswith("M"):
            yield word[place:]


def _kind(char: str) -> str:
    """What a word is made of: letters ("L"), or symbols such as those of feelings ("S"). Blank between words."""
    kind = unicodedata.category(char)[0]
    return "L" if kind in "LNM" else "S" if kind == "S" and not char.isascii() else ""


def _is_invisible(char: str) -> bool:
    """Joiners, marks of direction, and what chooses a symbol's looks."""
    return unicodedata.category(char) == "Cf" or "\ufe00" <= char <= "\ufe0f" or char == "\u034f"


def _is_unspaced(char: str) -> bool:
    return any(first <= char <= last for first, last in UNSPACED)
