"""How histories are kept: all records of one save have one moment, and what Frontdesk makes by itself is told apart."""

from datetime import datetime
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from simple_history.manager import HistoryManager
from simple_history.models import HistoricalRecords

# Frontdesk gives its own records neither a person nor a reason.
BY_SOMEBODY = Q(history_user__isnull=False) | Q(history_change_reason__gt="")


class _Save:
    """A transaction's moment. Waits among what is to be done after the commit, so it is gone with the transaction."""

    def __init__(self, block: Any) -> None:
        self.block = block
        self.at = timezone.now()

    def __call__(self) -> None:
        pass


def moment_of_save() -> datetime:
    """Now; in a transaction, the moment of its first record. So records of one moment are of one save, and no others.

    A save with several transactions has several moments: in between, others may have changed the same.
    """
    # As for Django's own `durable`, the transaction around a test is none.
    blocks: list[Any] = connection.atomic_blocks
    block = next((block for block in blocks if not block._from_testcase), None)
    if block is None:
        return timezone.now()
    for _, hook, *_ in connection.run_on_commit:
        if isinstance(hook, _Save) and hook.block is block:
            return hook.at
    save = _Save(block)
    transaction.on_commit(save)
    return save.at


class SavesManager(HistoryManager):
    def bulk_history_create(self, objs: Any, *args: Any, default_date: datetime | None = None, **options: Any) -> Any:
        return super().bulk_history_create(objs, *args, default_date=default_date or moment_of_save(), **options)


class Records(HistoricalRecords):
    """Keeps a record of each change, those of one save with one moment, and of another save with another one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(history_manager=SavesManager, **options)

    def create_historical_record(self, instance: Any, history_type: str, using: str | None = None) -> None:
        if hasattr(instance, "_history_date"):
            super().create_historical_record(instance, history_type, using)
            return
        instance._history_date = moment_of_save()
        try:
            super().create_historical_record(instance, history_type, using)
        finally:
            del instance._history_date


class MostlyOwnRecords(Records):
    """Keeps an index of what people and keys changed, so that the page of changes need not pass over the rest.

    For what Frontdesk makes by itself, at a first contact: far more than people and keys ever change.
    """

    def get_meta_options(self, model: type[models.Model]) -> dict[str, Any]:
        options: dict[str, Any] = super().get_meta_options(model)
        name = f"{model._meta.model_name}_by_somebody"
        index = models.Index(fields=["history_date", "history_id"], condition=BY_SOMEBODY, name=name)
        return options | {"indexes": [*options.get("indexes", ()), index]}
