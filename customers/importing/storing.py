"""Storing an import: all of it is checked first, then it is written in short transactions."""

import logging
import time
from collections.abc import Sequence

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User

from customers.importing.formats import FileRows
from customers.importing.resource import CustomerResource
from customers.importing.results import ImportResult, Remark
from customers.importing.shown import Marks
from customers.turns import FIRST_ROWS, PAUSE_SECONDS, next_rows, short_transaction

logger = logging.getLogger(__name__)


class RowsRefused(Exception):
    """What was good when the file was checked is not any more; `problems` says why."""

    def __init__(self, problems: Sequence[Remark]) -> None:
        super().__init__(problems)
        self.problems = problems


def import_rows(dataset: FileRows, file_name: str | None, user: User, shown: Marks | None = None) -> ImportResult:
    """Check the whole file, then store the rows that change something, in their order.

    Where something is wrong with a row, nothing is stored. Nor is where rows change more than the preview with the
    marks `shown` told: the result's `not_shown` has these rows, and its `marks` are those of a new preview. Where
    storing breaks off, the result's `broken_off_at` is the first row that is not stored, and its `problems` say why;
    the file can be imported again.
    """
    result: ImportResult = CustomerResource(shown).import_data(dataset, dry_run=True, file_name=file_name, user=user)
    if result.problems or result.not_shown:
        return result
    remaining = result.changed_places
    size = FIRST_ROWS
    while remaining:
        piece = dataset.part(remaining[:size])
        try:
            seconds = _store(piece, file_name, user, shown)
        except RowsRefused as refused:
            result.break_off(piece.numbers[0], refused.problems)
            break
        except Exception:  # whatever it is, the person is told what is stored
            logger.exception("import broken off at row %s of the file", piece.numbers[0])
            text = "The database did not take this row, or one of those that are stored together with it."
            result.break_off(piece.numbers[0], [Remark(piece.numbers[0], "", text)])
            break
        remaining = remaining[size:]
        size = next_rows(size, seconds)
        if remaining:
            time.sleep(PAUSE_SECONDS)
    return result


def _store(piece: FileRows, file_name: str | None, user: User, shown: Marks | None) -> float:
    """Returns for how many seconds others had to wait, so far as Python knows. Raises RowsRefused."""
    with short_transaction():
        started = time.perf_counter()
        resource = CustomerResource(shown)
        result: ImportResult = resource.store(piece, file_name, user)
        if result.problems:
            raise RowsRefused(result.problems)
        for flag, instances in ((ADDITION, resource.new), (CHANGE, resource.changed)):
            if instances:
                told = f"Imported from {file_name or 'a file'}."
                LogEntry.objects.log_actions(user.pk, instances, flag, change_message=told)
    return time.perf_counter() - started
