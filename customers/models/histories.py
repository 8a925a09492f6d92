"""Histories of what Frontdesk makes by itself, at a first contact: far more than people and keys ever change."""

from typing import Any

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

# Frontdesk gives its own records neither a person nor a reason.
BY_SOMEBODY = Q(history_user__isnull=False) | Q(history_change_reason__gt="")


class MostlyOwnRecords(HistoricalRecords):
    """Keeps an index of what people and keys changed, so that the page of changes need not pass over the rest."""

    def get_meta_options(self, model: type[models.Model]) -> dict[str, Any]:
        options: dict[str, Any] = super().get_meta_options(model)
        name = f"{model._meta.model_name}_by_somebody"
        index = models.Index(fields=["history_date", "history_id"], condition=BY_SOMEBODY, name=name)
        return options | {"indexes": [*options.get("indexes", ()), index]}
