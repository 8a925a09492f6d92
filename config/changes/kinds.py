"""What staff and scripts change, and who may see that it was: the histories of the admin's models, and its own log."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, User
from django.db import models
from django.http import HttpRequest
from django.urls import reverse

from automations.models import Delivery, Installation
from customers.admin.pages import HistoryAdmin
from customers.history import Part

# They have no history: only the admin's log tells of them.
LOGGED: tuple[type[models.Model], ...] = (User, Group, Delivery, Installation)


@dataclass(frozen=True)
class Kind:
    """A model that is changed, with the rows that belong to it. `parts` is None where only the admin's log tells."""

    model: type[models.Model]
    parts: tuple[Part, ...] | None

    @property
    def slug(self) -> str:
        return self.model._meta.label_lower

    @property
    def name(self) -> str:
        name = str(self.model._meta.verbose_name)
        return name[:1].upper() + name[1:]

    @property
    def models(self) -> Iterator[tuple[type[models.Model], str]]:
        """Each model whose records are of this kind, and the column of the object that they belong to."""
        yield self.model, self.model._meta.pk.attname
        for part in self.parts or ():
            yield part.model, f"{part.parent}_id"

    def history_address(self, pk: Any) -> str:
        """The object's own history; blank where the admin has no such page."""
        if self.model not in admin.site._registry:
            return ""
        return reverse(f"admin:{self.model._meta.app_label}_{self.model._meta.model_name}_history", args=[quote(pk)])


@cache
def kinds() -> tuple[Kind, ...]:
    """All there are, in an order that no permission changes."""
    found = [
        Kind(model, tuple(model_admin.history_parts))
        for model, model_admin in admin.site._registry.items()
        if isinstance(model_admin, HistoryAdmin)
    ]
    # What has pages of its own, and belongs to another's history, is told there.
    belonging = {part.model for kind in found for part in kind.parts or ()}
    found = [kind for kind in found if kind.model not in belonging]
    return tuple(sorted([*found, *(Kind(model, None) for model in LOGGED)], key=lambda kind: kind.slug))


def kinds_seen_by(request: HttpRequest) -> list[Kind]:
    """Those whose histories somebody may open in the admin."""
    return [kind for kind in kinds() if _may_see(kind.model, request)]


def _may_see(model: type[models.Model], request: HttpRequest) -> bool:
    model_admin = admin.site._registry.get(model)
    if model_admin is not None:
        return bool(model_admin.has_view_or_change_permission(request))
    return bool(request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"))


@cache
def ranks() -> dict[type[models.Model], int]:
    """A number for each model that has records, and for the admin's log, by which records of one moment are sorted."""
    recorded: set[type[models.Model]] = {LogEntry}
    recorded.update(model for kind in kinds() if kind.parts is not None for model, _ in kind.models)
    return {model: rank for rank, model in enumerate(sorted(recorded, key=lambda one: one._meta.label))}
