"""Forms that add an object once: who sends one twice, as by a double click, is told of the one that was made."""

from typing import Any

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.http import HttpRequest

from customers.admin.stale import STATE_FIELD, StaleAwareAdmin, State, read_state, rows_of

# Whoever has one form open adds few objects with it; more are not compared.
MOST_COMPARED = 10


class AddedOnceAdmin(StaleAwareAdmin):
    """What a person has added since the form was shown, and is just what the form says, is not added again."""

    adds_once = True

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if object_id is not None or not self.adds_once:
            return super().changeform_view(request, object_id, form_url, extra_context)
        if request.method != "POST":
            last = LogEntry.objects.aggregate(last=models.Max("pk"))["last"] or 0
            context = {**(extra_context or {}), "shown_state": State({}, {"": last})}
            return super().changeform_view(request, object_id, form_url, context)
        shown = read_state(request.POST.get(STATE_FIELD, ""))
        with transaction.atomic():
            if shown is not None and self.has_add_permission(request):
                # One addition of a person's at a time: two clicks at once must not both find nothing.
                people = get_user_model()._base_manager
                people.select_for_update(no_key=True).filter(pk=request.user.pk or 0).first()
                made = self._made_since(request, shown.seen.get("", 0))
                if made is not None:
                    return self.response_add(request, made)
            context = {**(extra_context or {}), **({"shown_state": shown} if shown else {})}
            return super().changeform_view(request, object_id, form_url, context)

    def _made_since(self, request: HttpRequest, seen: int) -> Any:
        """The object that is just what was sent, of those that the person has added since."""
        kind = ContentType.objects.get_for_model(self.model)
        added = LogEntry.objects.filter(user=request.user.pk, content_type=kind, action_flag=ADDITION, pk__gt=seen)
        for pk in added.order_by("-pk").values_list("object_id", flat=True)[:MOST_COMPARED]:
            obj = self.get_object(request, str(pk))
            if obj is None:
                continue
            form, formsets = self.sent(request, obj)
            if self.is_stored(form, formsets, rows_of(self.model, obj.pk, self.history_parts)):
                return self.get_object(request, str(pk))
        return None
