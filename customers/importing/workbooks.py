"""Reading XLSX as a stream: the texts of one sheet's cells, and nothing else of the workbook.

Libraries build what a file states: rows up to the last formatted cell, styles, a tree of each row. Here nothing is
built but texts, and whatever a file may have many of is counted while it is read.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from xml.parsers import expat

from customers.importing.tables import MOST_COLUMNS, Row, UnreadableFile, require_no_nul, time_limit, too_wide
from customers.spreadsheets import MOST_CHARACTERS

MOST_UNPACKED_BYTES = 64 * 1024 * 1024  # of all parts that are read
MOST_CELLS = 1_000_000  # blank ones that are formatted included
MOST_SHARED_TEXTS = 500_000
MOST_SHARED_CHARACTERS = 16_000_000
MOST_RELATIONS = 10_000  # of a part to others; sheets are as many at most
# What the parser keeps of a file by itself: names, open tags, and a tag or comment that has not ended yet, of which old
# versions begin again with every piece.
MOST_NAMES = 2_000
DEEPEST = 100
LONGEST_TAG_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024

NOT_READABLE = "The file could not be read. Save it as CSV in UTF-8 or as XLSX, and choose that format."
TOO_LARGE = "The workbook is too large. Leave out other sheets, columns and formats, or save it as CSV in UTF-8."

_PLACE = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
_NUMBER = re.compile(r"[0-9]{1,7}")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TEXT_AS_FORMULA = re.compile(r'"([^"]*)"')


def rows_of_xlsx(data: bytes) -> Iterator[Row]:
    """The rows that hold something, of the sheet that was open when the workbook was saved, with their numbers.

    Raises UnreadableFile with the remedy. Blank cells count as not there, however they are formatted.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            yield from _rows(_Package(archive))
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError) as error:
        raise UnreadableFile(NOT_READABLE) from error


def _rows(package: "_Package") -> Iterator[Row]:
    workbook = package.target(package.relations(""), "/officeDocument")
    relations = package.relations(workbook)
    book = _Workbook()
    package.read(workbook, book)
    sheet = book.open_sheet({name for name, (kind, _) in relations.items() if kind.endswith("/worksheet")})
    texts = _SharedTexts()
    if any(kind.endswith("/sharedStrings") for kind, _ in relations.values()):
        package.read(package.target(relations, "/sharedStrings"), texts)
    cells = _Sheet(texts.texts)
    for _ in package.pieces_read(relations[sheet][1], cells):
        yield from cells.taken()
        if cells.has_ended:
            return


class _Package:
    """The archive's parts, streamed: what they unpack to is counted, whatever their heads say."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.parts = {info.filename.replace("\\", "/").lower(): info for info in archive.infolist()}
        self.unpacked_bytes = 0
        self.require_time = time_limit()

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """By id the kind of each part that this one names, and its path."""
        folder, name = posixpath.split(part)
        found = _Relations()
        self.read(posixpath.join(folder, "_rels", f"{name}.rels"), found)
        return {
            name: (kind, posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/"))
            for name, (kind, path) in found.relations.items()
        }

    def target(self, relations: dict[str, tuple[str, str]], kind: str) -> str:
        path = next((path for found, path in relations.values() if found.endswith(kind)), None)
        if path is None:
            raise UnreadableFile(NOT_READABLE)
        return path

    def read(self, part: str, reader: "_Reader") -> None:
        for _ in self.pieces_read(part, reader):
            pass

    def pieces_read(self, part: str, reader: "_Reader") -> Iterator[None]:
        """Stops after each piece that the reader was given."""
        given_bytes = 0
        parser = reader.parser()
        for piece in self._pieces(part):
            parser.Parse(piece)
            given_bytes += len(piece)
            if given_bytes - parser.CurrentByteIndex > LONGEST_TAG_BYTES:
                raise UnreadableFile(TOO_LARGE)
            yield
        parser.Parse(b"", True)
        yield

    def _pieces(self, part: str) -> Iterator[bytes]:
        info = self.parts.get(part.lower())
        # Others unpack without a bound, whatever they are asked for.
        if info is None or info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableFile(NOT_READABLE)
        with self.archive.open(info) as file:
            while piece := file.read(PIECE_BYTES):
                self.require_time()
                self.unpacked_bytes += len(piece)
                if self.unpacked_bytes > MOST_UNPACKED_BYTES:
                    raise UnreadableFile(TOO_LARGE)
                yield piece


class _Reader:
    """What is told of each tag and text. Names come without their prefix, since programs choose that."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.depth = 0

    def parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self._refuse_entities
        return parser

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.names.add(name)
        self.names.update(attributes)
        if self.depth > DEEPEST or len(self.names) > MOST_NAMES:
            raise UnreadableFile(TOO_LARGE)
        self.start(_local(name), attributes)

    def _end(self, name: str) -> None:
        self.depth -= 1
        self.end(_local(name))

    def _refuse_entities(self, *declared: object) -> None:
        """No program writes a document type into a workbook; entities would unpack to any size, or read other files."""
        raise UnreadableFile(NOT_READABLE)

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Relations(_Reader):
    def __init__(self) -> None:
        super().__init__()
        self.relations: dict[str, tuple[str, str]] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            self.relations[attributes.get("Id", "")] = attributes.get("Type", ""), attributes.get("Target", "")
            if len(self.relations) > MOST_RELATIONS:
                raise UnreadableFile(TOO_LARGE)


class _Workbook(_Reader):
    def __init__(self) -> None:
        super().__init__()
        self.sheets: list[str] = []
        self.open_place = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "workbookView" and _NUMBER.fullmatch(attributes.get("activeTab", "")):
            self.open_place = int(attributes["activeTab"])
        elif name == "sheet":
            self.sheets += [value for key, value in attributes.items() if _local(key) == "id"]
            if len(self.sheets) > MOST_RELATIONS:
                raise UnreadableFile(TOO_LARGE)

    def open_sheet(self, with_cells: set[str]) -> str:
        """The open sheet's relation, or the first one's that is no chart."""
        for sheet in [*self.sheets[self.open_place : self.open_place + 1], *self.sheets]:
            if sheet in with_cells:
                return sheet
        raise UnreadableFile(NOT_READABLE)


class _TextReader(_Reader):
    """Gathers the text of the tags that it is told to, up to what a cell holds."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] | None = None
        self.characters = 0

    def gather(self) -> None:
        self.parts = []
        self.characters = 0

    def gathered(self) -> str:
        text = "".join(self.parts or ())[:MOST_CHARACTERS]
        self.parts = None
        return text

    def text(self, text: str) -> None:
        if self.parts is not None and self.characters < MOST_CHARACTERS:
            self.parts.append(text)
            self.characters += len(text)


class _SharedTexts(_TextReader):
    """The texts that cells name by their place; how kanji are spoken (`rPh`) is no part of them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.all_characters = 0
        self.runs: list[str] = []
        self.is_spoken = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "si":
            self.runs = []
        elif name == "rPh":
            self.is_spoken = True
        elif name == "t" and not self.is_spoken:
            self.gather()

    def end(self, name: str) -> None:
        if name == "t" and not self.is_spoken:
            self.runs.append(self.gathered())
        elif name == "rPh":
            self.is_spoken = False
        elif name == "si":
            text = _unescaped("".join(self.runs))
            self.texts.append(text)
            self.all_characters += len(text)
            if len(self.texts) > MOST_SHARED_TEXTS or self.all_characters > MOST_SHARED_CHARACTERS:
                raise UnreadableFile(TOO_LARGE)


class _Sheet(_TextReader):
    def __init__(self, shared_texts: list[str]) -> None:
        super().__init__()
        self.shared_texts = shared_texts
        self.rows: list[Row] = []
        self.has_ended = False
        self.number = self.column = self.cell_count = 0
        self.cells: dict[int, str] = {}
        self.kind = self.value = self.formula = ""
        self.is_spoken = False

    def taken(self) -> list[Row]:
        """The rows that have ended since."""
        rows, self.rows = self.rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._start_cell(attributes)
        elif name == "row":
            number = attributes.get("r", "")
            self.number = int(number) if _NUMBER.fullmatch(number) else self.number + 1
            self.column, self.cells = 0, {}
        elif name == "rPh":
            self.is_spoken = True
        elif name in ("v", "f") or (name == "t" and not self.is_spoken):
            self.gather()

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self.cell_count += 1
        if self.cell_count > MOST_CELLS:
            raise UnreadableFile(TOO_LARGE)
        place = _PLACE.fullmatch(attributes.get("r", ""))
        self.column = _column_number(place[1]) if place else self.column + 1
        self.kind, self.value, self.formula = attributes.get("t", "n"), "", ""

    def end(self, name: str) -> None:
        if name == "v":
            self.value = self.gathered()
        elif name == "t" and not self.is_spoken:
            self.value += self.gathered()
        elif name == "f":
            self.formula = self.gathered()
        elif name == "rPh":
            self.is_spoken = False
        elif name == "c":
            self._end_cell()
        elif name == "row" and self.cells:
            self.rows.append((self.number, [self.cells.get(column, "") for column in range(1, max(self.cells) + 1)]))
        elif name == "sheetData":
            self.has_ended = True

    def _end_cell(self) -> None:
        text = _formula_text(self.formula) if self.formula and not self.value else self._text()
        if not text.strip():
            return
        require_no_nul(self.number, text)
        if self.column > MOST_COLUMNS:
            raise too_wide(self.number)
        self.cells[self.column] = text

    def _text(self) -> str:
        """As the spreadsheet shows it."""
        if self.kind == "s" and self.value:
            place = int(self.value) if _NUMBER.fullmatch(self.value) else -1
            if not 0 <= place < len(self.shared_texts):
                raise UnreadableFile(NOT_READABLE)
            return self.shared_texts[place]
        if self.kind == "n":
            return _number_text(self.value)
        if self.kind == "b":
            return {"0": "FALSE", "1": "TRUE"}.get(self.value, self.value)
        return _unescaped(self.value)


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _number_text(value: str) -> str:
    """Whole numbers of up to fifteen digits, which a spreadsheet keeps exactly, without `.0` or an exponent."""
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() and abs(number) < 10**15 else value


def _formula_text(formula: str) -> str:
    """Of a formula whose result was not saved: `"+49…"` is known, any other shows as what it is."""
    text = _TEXT_AS_FORMULA.fullmatch(formula)
    return text[1] if text else f"={formula}"


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(_escaped_character, text) if "_x" in text else text


def _escaped_character(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return escaped[0] if "\ud800" <= character <= "\udfff" else character
