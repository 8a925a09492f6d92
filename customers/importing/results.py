"""What is told of an import: what is wrong in its rows, what they change, and how far it came."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString
from import_export import resources

from customers.importing.shown import Marks

MOST_LISTED = 500  # on a page; the others are counted


@dataclass(frozen=True)
class Remark:
    """What is to be said of a row; a column of "" means the whole row."""

    number: int
    column: str
    text: str


@dataclass(frozen=True)
class ChangedRow:
    number: int
    is_new: bool
    cells: Sequence[SafeString]


class ImportResult(resources.Result):
    """The library's result with what our page shows of it.

    `marks` are of all that the rows change; `not_shown` are the rows that change more than a preview had shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[Remark] = []
        self.warnings: list[Remark] = []
        self.changed_rows: list[ChangedRow] = []
        self.changed_places: list[int] = []
        self.marks: Marks = frozenset()
        self.not_shown: list[ChangedRow] = []
        self.columns_not_read: Sequence[str] = ()
        self.broken_off_at: int | None = None

    def break_off(self, number: int, problems: Sequence[Remark]) -> None:
        """From this row of the file on, nothing is stored."""
        self.broken_off_at = number
        self.problems = list(problems)


def changed_row(number: int, is_new: bool, before: Sequence[str], after: Sequence[str]) -> ChangedRow:
    return ChangedRow(number, is_new, [_difference(old, new) for old, new in zip(before, after, strict=True)])


def _difference(old: str, new: str) -> SafeString:
    if old == new:
        return format_html("{}", new)
    if not old:
        return format_html("<ins>{}</ins>", new)
    return format_html("<del>{}</del> <ins>{}</ins>", old, new) if new else format_html("<del>{}</del>", old)
