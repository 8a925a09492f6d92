"""On the page of a draft or scheduled change: what it would have done, as a replay of the last days tells."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from customers.admin.changes import TierChangeAdmin, TierChangeForm
from customers.models import TierChange
from sessions_app.models import Replay
from sessions_app.models.replays import DAYS
from sessions_app.replay.running import ask_for_replay

SEE_SESSIONS = "sessions_app.view_session"
# Buttons of the draft's own form, by how many days they replay.
BUTTONS = {f"_replay_{days}": days for days in DAYS}
NOT_WITH_A_MOMENT = "A replay saves the draft as a draft. Take the moment out, or press Save to schedule it."

admin.site.unregister(TierChange)


class ReplayedChangeForm(TierChangeForm):
    def clean_starts_at(self) -> Any:
        starts_at = super().clean_starts_at()
        if starts_at is not None and BUTTONS.keys() & self.data.keys():
            raise ValidationError(NOT_WITH_A_MOMENT)
        return starts_at


@admin.register(TierChange)
class ReplayedChangeAdmin(TierChangeAdmin):
    form = ReplayedChangeForm

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        change = kwargs.get("obj")
        if change is not None and request.user.has_perm(SEE_SESSIONS):
            context["replays"] = list(Replay.objects.filter(change=change).defer("result").order_by("days"))
            context["replay_days"] = DAYS
            context["may_replay"] = not change.has_come and self.has_delete_permission(request, change)
        return super().render_change_form(request, context, *args, **kwargs)

    def response_change(self, request: HttpRequest, obj: TierChange) -> HttpResponse:
        """What the form has is saved by now: the draft that is replayed is the one that was in sight."""
        asked = [days for button, days in BUTTONS.items() if button in request.POST]
        if not asked:
            return super().response_change(request, obj)
        if not request.user.has_perm(SEE_SESSIONS):
            raise PermissionDenied
        draft = TierChange.objects.select_related("tier").get(pk=obj.pk)
        replay = ask_for_replay(draft, asked[0], cast(User, request.user))
        return HttpResponseRedirect(reverse("reports:replay", args=[replay.pk]))
