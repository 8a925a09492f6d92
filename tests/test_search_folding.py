"""How whoever searches is read: case, accents, scripts and what nobody sees make no difference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.search.folding import LONGEST_WORD, beginnings_of, folded, words_of

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    "texts, word",
    [
        (["Ångström", "ÅNGSTRÖM", "angstrom", "A\u030angstro\u0308m"], "angstrom"),
        (["Özil", "ÖZIL", "ozil", "OZIL"], "ozil"),
        (["Işık", "IŞIK", "ışık", "İŞİK", "isik"], "isik"),
        (["Мария", "МАРИЯ", "мария"], "мария"),
        (["Фёдор", "федор"], "федор"),
        (["Straße", "STRASSE", "STRAẞE"], "strasse"),
        (["Łódź", "lodz"], "lodz"),
        (["Søren", "SOREN"], "soren"),
        (["Ægir", "aegir"], "aegir"),
        (["Đặng", "dang"], "dang"),
        (["Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ", "οδυσσευς"], "οδυσσευσ"),
        (["Ａｄａ", "ADA", "a\u200bda".replace("\u200b", "\u200d"), "\u202aada\u202c"], "ada"),
        (["ﬁrst", "FIRST"], "first"),
        (["❤️", "❤"], "❤"),
    ],
)
def test_spellings_of_one_word_are_one(texts, word):
    assert [folded(text) for text in texts] == [word] * len(texts)


@pytest.mark.parametrize(
    "text, words",
    [
        ("Ada  Lovelace, Ada", ["ada", "lovelace"]),
        ("ada.lovelace+crm@example.com", ["ada", "lovelace", "crm", "example", "com"]),
        ("O'Brien-Smith", ["o", "brien", "smith"]),
        ("crm-77_B", ["crm", "77", "b"]),
        ("कुमार", ["कुमार"]),
        ("Café☕ 🌸", ["cafe", "☕", "🌸"]),
        (" -- ", []),
        ("x" * 90, ["x" * LONGEST_WORD]),
    ],
)
def test_a_text_has_words(text, words):
    assert words_of(text) == words


def test_scripts_without_spaces_are_found_from_each_character_on():
    assert beginnings_of("山田太郎") == {"山田太郎", "田太郎", "太郎", "郎"}
    assert beginnings_of("Ada Lovelace") == {"ada", "lovelace"}
    assert {"abc", "会社abc"} <= beginnings_of("株式会社ABC")
    assert folded("철수") in beginnings_of("김철수")
    # However long it is: what is too long is cut at the end, of each part.
    assert folded("จำกัด") in beginnings_of("บริษัทเทคโนโลยีสารสนเทศและการสื่อสารแห่งประเทศไทยจำกัด")


def test_what_some_write_together_is_found_either_way():
    assert beginnings_of("O'Brien") == {"o", "brien", "obrien"} == beginnings_of("Oʼbrien") == beginnings_of("O’Brien")
    assert "annamaria" in beginnings_of("Anna-Maria")
    assert {"crm77", "77"} <= beginnings_of("CRM-77")
    assert "hawaii" in beginnings_of("Hawaiʻi")
    assert folded("محـــمد") == folded("محمد")


@given(st.text())
def test_what_is_folded_stays_so_and_case_makes_no_difference(text):
    once = folded(text)

    assert folded(once) == once
    assert words_of(once) == words_of(text) == words_of(text + "\u2003")
    assert folded(text + "\u2003") == folded(text) + " "
    assert all(len(word) <= LONGEST_WORD for word in beginnings_of(text))
