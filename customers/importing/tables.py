"""The rows of an uploaded file, whatever its format: read one by one, and never more of them than a table may have."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

MOST_ROWS = 20_000  # below the header, with something in them
MOST_COLUMNS = 500
MOST_CHARACTERS = 16_000_000  # in all cells that are kept
READING_SECONDS = 10.0

Row = tuple[int, Sequence[str]]  # its number in the file, from 1, and its cells


class UnreadableFile(Exception):
    """The file is not imported; the text says why, and what to do."""


@dataclass(frozen=True)
class Table:
    """The columns that were asked for, as texts: blank cells are "", and rows without any are left out."""

    columns: Sequence[str]
    rows: Sequence[Row]
    columns_not_read: Sequence[str]


def table_of(rows: Iterable[Row], known: Sequence[str], required: str) -> Table:
    """The table whose first row names its columns. Raises UnreadableFile where it is not one."""
    rows = (row for row in rows if any(cell.strip() for cell in row[1]))
    header = next(rows, None)
    if header is None:
        raise UnreadableFile("The file is empty. Its first row must name the columns.")
    names = [_column_name(cell) for cell in header[1]]
    if required not in names:
        raise UnreadableFile(f'The file has no column "{required}". Its first row must name the columns.')
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        raise UnreadableFile(f"More than one column is named {', '.join(repeated)}. Leave one.")
    places = [place for place, name in enumerate(names) if name in known]
    not_read = [name for name in names if name and name not in known]
    unnamed: set[int] = set()
    kept = list(_bounded(rows, names, places, unnamed))
    return Table([names[place] for place in places], kept, [*not_read, *(f"column {n + 1}" for n in sorted(unnamed))])


def _column_name(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_")


def _bounded(rows: Iterator[Row], names: Sequence[str], places: Sequence[int], unnamed: set[int]) -> Iterator[Row]:
    """The cells in `places`; adds to `unnamed` where something stands below no name."""
    without_name = [place for place, name in enumerate(names) if not name]
    characters = 0
    for count, (number, cells) in enumerate(rows, 1):
        if count > MOST_ROWS:
            raise UnreadableFile(f"The file has more than {MOST_ROWS:,} rows. Divide it, or use the API.")
        if any(cell.strip() for cell in cells[len(names) :]):
            raise UnreadableFile(
                f"Row {number} has more cells than the first row names columns. Name each column; in a CSV file, put a "
                "cell that holds a comma, a semicolon or a line break into double quotes."
            )
        kept = [cells[place] if place < len(cells) else "" for place in places]
        unnamed.update(place for place in without_name if place < len(cells) and cells[place].strip())
        characters += sum(map(len, kept))
        if characters > MOST_CHARACTERS:
            raise UnreadableFile("The file holds too much text. Divide it, or use the API.")
        yield number, kept


def too_wide(number: int) -> UnreadableFile:
    return UnreadableFile(f"Row {number} has more than {MOST_COLUMNS} columns. Leave out those that are not imported.")


def require_no_nul(number: int, text: str) -> None:
    if "\0" in text:
        raise UnreadableFile(
            f"Row {number} holds a NUL character, as a file does that is not in UTF-8. Remove it, or save as CSV UTF-8."
        )


def time_limit() -> Callable[[], None]:
    """To be asked while reading; raises UnreadableFile once that has taken too long."""
    until = time.monotonic() + READING_SECONDS

    def require_time() -> None:
        if time.monotonic() > until:
            raise UnreadableFile(
                f"Reading the file takes longer than {READING_SECONDS:.0f} seconds. Save its columns as CSV UTF-8, or "
                "divide it."
            )

    return require_time
