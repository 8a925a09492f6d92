"""Forms that know which state they showed: what somebody else saved meanwhile is not undone unawares.

A stale form is refused and shown again, with what the person had changed laid over what is stored now: saving again is
a decision, and undoes nothing that the page does not say. Whoever sends one form twice is told what came of the first.
"""

import hmac
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import models, transaction
from django.forms.formsets import DELETION_FIELD_NAME
from django.forms.utils import ErrorDict
from django.http import HttpRequest
from django.template.response import TemplateResponse

from customers.history import Entry, Part

STATE_FIELD = "_shown_state"
OWN_KEPT = "This was changed meanwhile. What you gave is kept here; saving again replaces what is stored now."
OTHERS_TAKEN = "This was changed meanwhile. This is what is stored now."
ROW_REMOVED = "This row was removed meanwhile. Saving again adds it again; to leave it out, empty the row."
# They change by themselves, or no form shows them.
_LEFT_OUT = frozenset({"last_login", "last_used_at", "password", "secret_sha256"})
_DIGEST_LENGTH = 8
Digests = dict[str, str]


@dataclass(frozen=True)
class State:
    """What is stored of an object and its rows, as a digest for each field; `seen` is how far the history went."""

    rows: dict[str, Digests]
    seen: dict[str, int]

    def __str__(self) -> str:
        return json.dumps([self.rows, self.seen], separators=(",", ":"))


def read_state(text: str) -> State | None:
    """What `str(State)` wrote; None where it did not. A made-up one gains nothing: who may save may save again."""
    try:
        rows, seen = json.loads(text)
        digests = {name: {key: str(value) for key, value in row.items()} for name, row in rows.items()}
        return State(digests, {name: int(number) for name, number in seen.items()})
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def digest(value: Any) -> str:
    """Of a field's value, alike for what is stored and what a form makes of it.

    Keyed: a page may show a number masked, and whoever sees it could try all numbers for the digest of this one.
    """
    text = json.dumps(_plain(value), sort_keys=True, default=str)
    return hmac.digest(settings.SECRET_KEY.encode(), b"shown state " + text.encode(), "sha256").hex()[:_DIGEST_LENGTH]


def _plain(value: Any) -> Any:
    if isinstance(value, models.Model):
        return value.pk
    if isinstance(value, models.QuerySet | list | tuple | set):
        return sorted(str(_plain(item)) for item in value)
    if isinstance(value, datetime):  # forms show whole seconds
        return value.astimezone(UTC).replace(microsecond=0).isoformat()
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def digests_of(model: type[models.Model], values: Mapping[str, Any]) -> Digests:
    """By field's name; `values` are by column's."""
    columns = [column for column in model._meta.concrete_fields if column.name not in _LEFT_OUT]
    return {column.name: digest(values[column.attname]) for column in columns}


def rows_of(model: type[models.Model], pk: Any, parts: Sequence[Part]) -> dict[str, Digests]:
    """The object's digests at "", its parts' at the names that their forms have, such as "limits-12"."""
    stored = model._base_manager.filter(pk=pk).values().first()
    if stored is None:
        return {}
    chosen = {
        many.name: digest(list(getattr(model(pk=pk), many.name).values_list("pk", flat=True)))
        for many in model._meta.many_to_many
    }
    rows = {"": digests_of(model, stored) | chosen}
    for part in parts:
        for row in part.model._base_manager.filter(**{part.parent: pk}).values():
            rows[f"{_prefix(part)}-{row[part.model._meta.pk.attname]}"] = digests_of(part.model, row)
    return rows


def _prefix(part: Part) -> str:
    relation: Any = part.model._meta.get_field(part.parent).remote_field
    return str(relation.get_accessor_name())


@dataclass
class Laid:
    """What to show in a form over what is stored, and what to say at its fields."""

    initial: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class LaidOver:
    """One person's own input: of the object's form, of rows that are stored, by their names, and of new rows."""

    form: Laid = field(default_factory=Laid)
    rows: dict[str, Laid] = field(default_factory=dict)
    new: dict[str, list[Laid]] = field(default_factory=dict)


def own_input(form: forms.BaseForm, shown: Digests, now: Digests, not_theirs: Iterable[str] = ()) -> Laid:
    """What the person changed in a form that was sent, and what others changed since it was shown."""
    laid = Laid()
    cleaned = form.cleaned_data if form.is_valid() else getattr(form, "cleaned_data", {})
    for name, form_field in form.fields.items():
        if form_field.disabled or name in not_theirs:
            continue
        own = name not in cleaned or digest(cleaned[name]) != shown.get(name)
        if own:
            laid.initial[name] = form[name].data
        if shown.get(name) != now.get(name):
            laid.notes[name] = OWN_KEPT if own else OTHERS_TAKEN
    return laid


def _would_store(form: forms.BaseForm, now: Iterable[str], not_stored: Iterable[str]) -> Digests | None:
    """By field, what a form that was sent would store; None where something is wrong in it, or nobody can tell."""
    form.is_valid()
    names = [name for name, given in form.fields.items() if not given.disabled and name not in not_stored]
    cleaned: dict[str, Any] = getattr(form, "cleaned_data", {})
    unknown = [name for name in names if name not in now]
    if any(name not in cleaned for name in names) or any(cleaned[name] for name in unknown):
        return None
    return {name: digest(cleaned[name]) for name in names if name in now}


def _rows_are_stored(formset: Any, prefix: str, now: dict[str, Digests]) -> bool:
    """Whether the rows that a formset would keep are those that are stored, whatever their numbers are."""
    stored = [row for name, row in now.items() if name.startswith(f"{prefix}-")]
    columns = {column.name for column in formset.model._meta.concrete_fields}
    kept: Counter[tuple[tuple[str, str], ...]] = Counter()
    names: Iterable[str] = ()
    for index, form in enumerate(formset.forms):
        is_deleted = DELETION_FIELD_NAME in form.fields and form[DELETION_FIELD_NAME].data
        if is_deleted or (index >= formset.initial_form_count() and not form.has_changed()):
            continue
        wanted = _would_store(form, columns, _own_fields(formset))
        if wanted is None:
            return False
        names = wanted.keys()
        kept[tuple(wanted.items())] += 1
    return kept == Counter(tuple((name, row[name]) for name in names) for row in stored)


def _own_fields(formset: Any) -> set[str]:
    """What a formset has in each row for itself."""
    return {formset.model._meta.pk.name, DELETION_FIELD_NAME, getattr(getattr(formset, "fk", None), "name", "")}


def _lay_rows(formset: Any, prefix: str, shown: State, now: dict[str, Digests], laid_over: LaidOver) -> None:
    pk_name = formset.model._meta.pk.name
    hidden = _own_fields(formset)
    for index, form in enumerate(formset.forms):
        is_stored = index < formset.initial_form_count()
        name = f"{prefix}-{form.data.get(form.add_prefix(pk_name))}" if is_stored else ""
        stored = now.get(name) if is_stored else None
        laid = own_input(form, shown.rows.get(name, stored or {}), stored or {}, hidden)
        is_deleted = bool(form[DELETION_FIELD_NAME].data) if DELETION_FIELD_NAME in form.fields else False
        if stored is not None:
            if is_deleted:
                laid.initial[DELETION_FIELD_NAME] = True
            laid_over.rows[name] = laid
        elif laid.initial and not is_deleted and (is_stored or form.has_changed()):
            whole = {field: form[field].data for field in form.fields if field not in hidden}
            notes = {str(NON_FIELD_ERRORS): ROW_REMOVED} if is_stored else {}
            laid_over.new.setdefault(prefix, []).append(Laid(whole, notes))


class _WithNotes(forms.BaseForm):
    """A form that nobody has sent, and that says something at its fields all the same."""

    def __init__(self, *args: Any, laid: Laid | None = None, **kwargs: Any) -> None:
        laid = laid or Laid()
        kwargs["initial"] = {**(kwargs.get("initial") or {}), **laid.initial}
        super().__init__(*args, **kwargs)
        self._notes = laid.notes

    @property
    def errors(self) -> ErrorDict:
        return ErrorDict({name: self.error_class([note]) for name, note in self._notes.items()})


def laid_form(kind: Any, laid: Laid) -> Any:
    class LaidForm(_WithNotes, kind):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, laid=laid, **kwargs)

    return LaidForm


def laid_formset(kind: Any, prefix: str, laid_over: LaidOver) -> Any:
    new = laid_over.new.get(prefix, [])

    class LaidFormSet(kind):
        form = type(kind.form.__name__, (_WithNotes, kind.form), {})
        extra = len(new)

        def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
            kwargs = super().get_form_kwargs(index)
            if index is None:
                return kwargs
            stored = self.get_queryset()
            if index < len(stored):
                return {**kwargs, "laid": laid_over.rows.get(f"{prefix}-{stored[index].pk}")}
            return {**kwargs, "laid": new[index - len(stored)]}

    return LaidFormSet


class StaleAwareAdmin(admin.ModelAdmin):
    """A model whose forms, and whose list where it is edited, refuse what is stale. `history_parts` are its inlines."""

    history_parts: Sequence[Part] = ()
    # Fields of the form that ask for a second word, and are not stored.
    confirmations: Sequence[str] = ()

    def history_points(self) -> dict[str, int]:
        """How far the history goes now."""
        return {"": LogEntry.objects.aggregate(last=models.Max("pk"))["last"] or 0}

    def changes_since(self, pk: Any, points: Mapping[str, int]) -> list[Entry]:
        """Who has changed the object since then, the newest first."""
        kind = ContentType.objects.get_for_model(self.model)
        later = LogEntry.objects.filter(content_type=kind, object_id=str(pk), pk__gt=points.get("", 0))
        return [
            Entry(entry.action_time, _name_of(entry.user), str(entry), (), entry.user_id)
            for entry in later.select_related("user").order_by("-pk")
        ]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """An edit waits for other edits of the object, so that its forms judge what they find."""
        found = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST" or not transaction.get_connection().in_atomic_block:
            return found
        no_key = not getattr(request, "_locks_key", False)
        locked = self.model._base_manager.select_for_update(no_key=no_key).filter(pk=found.pk).first()
        if locked is not None:
            self.settle(locked)
        return super().get_object(request, object_id, from_field)

    def settle(self, locked: Any) -> None:
        """What was scheduled for an object, and has come, is written before the edit."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if object_id is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        if request.method != "POST":
            context = self._shown(request, object_id)
            return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **context})
        with transaction.atomic():
            context = self._shown(request, object_id)
            if "stored_already" in context:
                return self.response_change(request, context["stored_already"])
            return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def _shown(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """What the page needs to know of the state; a stale form's request becomes one that shows the form again."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return {}
        # Before the forms read, never after: what is saved in between is then refused, rather than overlooked.
        points = self.history_points()
        now = State(rows_of(self.model, obj.pk, self.history_parts), points)
        if request.method != "POST" or not self.has_change_permission(request, obj):
            return {"shown_state": now}
        shown = read_state(request.POST.get(STATE_FIELD, ""))
        if shown is not None and shown.rows == now.rows:
            return {"shown_state": now}
        base = shown or now
        form, formsets = self.sent(request, obj)
        changes = self.changes_since(obj.pk, base.seen)
        is_own = shown is not None and are_last_by(request.user, changes)
        if is_own and self.is_stored(form, formsets, now.rows):
            return {"stored_already": obj}
        laid_over = LaidOver(own_input(form, base.rows.get("", now.rows[""]), now.rows[""]))
        for prefix, formset in formsets.items():
            _lay_rows(formset, prefix, base, now.rows, laid_over)
        _show_anew(request, laid_over)
        return {"shown_state": now, "stale": stale_words(request.user, shown is not None, changes)}

    def is_stored(self, form: forms.BaseForm, formsets: Mapping[str, Any], now: dict[str, Digests]) -> bool:
        """Whether what was sent would leave an object and its rows as they are now."""
        wanted = _would_store(form, now[""], {*_LEFT_OUT, *self.confirmations})
        if not form.is_valid() or wanted is None or not wanted.items() <= now[""].items():
            return False
        return all(_rows_are_stored(formset, prefix, now) for prefix, formset in formsets.items())

    def sent(self, request: HttpRequest, obj: Any) -> tuple[forms.BaseForm, dict[str, Any]]:
        """The form that was sent, and by their prefixes the formsets of rows that the person may change."""
        fields = flatten_fieldsets(self.get_fieldsets(request, obj))
        form = self.get_form(request, obj, change=True, fields=fields)(request.POST, request.FILES, instance=obj)
        formsets = {}
        for kind, inline in self.get_formsets_with_inlines(request, obj):
            prefix = kind.get_default_prefix()
            if inline.has_change_permission(request, obj):
                formsets[prefix] = kind(**self.get_formset_kwargs(request, obj, inline, prefix))
        return form, formsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kind = super().get_form(request, obj, change=change, **kwargs)
        laid_over = _laid_over(request)
        return kind if laid_over is None else laid_form(kind, laid_over.form)

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Iterator[Any]:
        laid_over = _laid_over(request)
        for kind, inline in super().get_formsets_with_inlines(request, obj):
            yield (kind if laid_over is None else laid_formset(kind, kind.get_default_prefix(), laid_over)), inline

    # Lists that are edited

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.list_editable:
            return super().changelist_view(request, extra_context)
        if request.method == "POST" and "_save" in request.POST and self.has_change_permission(request):
            with transaction.atomic():
                stale = self._refuse_stale_rows(request)
                response = super().changelist_view(request, {**(extra_context or {}), **stale})
        else:
            response = super().changelist_view(request, extra_context)
        listed = getattr(response, "context_data", None) or {}
        if isinstance(response, TemplateResponse) and "cl" in listed:
            shown = {f"form-{row.pk}": digests_of(self.model, vars(row)) for row in listed["cl"].result_list}
            listed.setdefault("shown_state", State(shown, self.history_points()))
        return response

    def _refuse_stale_rows(self, request: HttpRequest) -> dict[str, Any]:
        kind = super().get_changelist_formset(request)
        prefix = kind.get_default_prefix()
        rows = self._get_list_editable_queryset(request, prefix).select_for_update().order_by("pk")
        now = {f"{prefix}-{row.pk}": digests_of(self.model, vars(row)) for row in rows}
        points = self.history_points()
        shown = read_state(request.POST.get(STATE_FIELD, ""))
        base = shown or State(now, points)
        stale = [row.pk for row in rows if base.rows.get(f"{prefix}-{row.pk}") != now[f"{prefix}-{row.pk}"]]
        if shown is not None and not stale:
            return {"shown_state": State(now, points)}
        formset = kind(request.POST, queryset=rows)
        changes = [change for pk in stale for change in self.changes_since(pk, base.seen)]
        changes.sort(key=lambda change: change.at, reverse=True)
        if shown is not None and are_last_by(request.user, changes) and _rows_are_stored(formset, prefix, now):
            self.message_user(request, "Your changes are saved.", messages.SUCCESS)
            return {"shown_state": State(now, points)}
        laid_over = LaidOver()
        _lay_rows(formset, prefix, base, now, laid_over)
        laid_over.new.clear()
        _show_anew(request, laid_over)
        return {"stale": stale_words(request.user, shown is not None, changes)}

    def get_changelist_formset(self, request: HttpRequest, **kwargs: Any) -> Any:
        kind = super().get_changelist_formset(request, **kwargs)
        laid_over = _laid_over(request)
        return kind if laid_over is None else laid_formset(kind, kind.get_default_prefix(), laid_over)


def _name_of(person: Any) -> str:
    return str(person.get_full_name() or person.get_username())


def are_last_by(person: Any, changes: Sequence[Entry]) -> bool:
    """Whether the newest of these changes, which come first, is this person's own."""
    return bool(changes) and changes[0].user_id == person.pk


def stale_words(person: Any, is_known: bool, changes: Sequence[Entry]) -> dict[str, Any]:
    """For the template that says why a form was refused."""
    is_own = bool(changes) and all(change.user_id == person.pk for change in changes)
    return {"is_known": is_known, "is_own": is_own, "changes": changes}


def _show_anew(request: HttpRequest, laid_over: LaidOver) -> None:
    """From here on Django shows the page as to a GET: nothing is saved, and each row is one that is stored now."""
    request.method = "GET"
    request._laid_over = laid_over  # type: ignore[attr-defined]


def _laid_over(request: HttpRequest) -> LaidOver | None:
    return getattr(request, "_laid_over", None)
