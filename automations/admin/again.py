"""The pages that send deliveries again: one, those that were chosen, or all that a filter finds. Staff are asked."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from automations.deliveries.again import (
    MOST_AT_ONCE,
    RELATED,
    Result,
    Way,
    is_unsure,
    reasons_in_words,
    send_again,
    why_not,
)
from automations.deliveries.copies import is_copy
from automations.models import Delivery, Destination
from automations.wording import IN_A_COPY
from customers.admin.pages import admin_page
from customers.history import moment_words
from sessions_app.database.pieces import keys_of

TEMPLATE = "admin/automations/delivery/again.html"
NOTES = {Way.SAME: "Sent again, with the same id.", Way.NEW: "Filled in again, with a new id."}


class SendAgainMixin(admin.ModelAdmin):
    """For the deliveries' admin, whose rows nobody edits."""

    actions = ["send_chosen_again"]

    def get_urls(self) -> list[Any]:
        again = path("<int:pk>/again/", self.admin_site.admin_view(self.again_view), name="automations_delivery_again")
        return [again, *super().get_urls()]

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("automations.change_delivery")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["may_send_again"] = self.has_send_permission(request)
        delivery = kwargs.get("obj")
        if delivery is not None:  # its key says nothing to a reader
            context["subtitle"] = _title(delivery)
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        shown = {"title": "Who sent it again", "subtitle": _title(delivery) if delivery else None}
        return super().history_view(request, object_id, {**(extra_context or {}), **shown})

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return require_http_methods(["GET", "HEAD", "POST"])(self._again)(request, pk)

    def _again(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_send_permission(request):
            raise PermissionDenied
        delivery = Delivery.objects.filter(pk=pk).select_related(*RELATED).first()
        if delivery is None:
            raise Http404
        page = reverse("admin:automations_delivery_change", args=[pk])
        way = _way_of(request)
        if way is not None:
            result = self._send(request, [pk], way)
            made = result.sent[0].pk if result.sent else pk
            return HttpResponseRedirect(reverse("admin:automations_delivery_change", args=[made]))
        ways = [(way, why_not(delivery, way)) for way in Way]
        return self._ask(
            request,
            {
                "title": "Send again",
                "delivery": delivery,
                "back": page,
                "ways": ways,
                "can": any(not problem for _, problem in ways),
                "unsure": int(is_unsure(delivery)),
            },
        )

    @admin.action(description="Send the selected deliveries again", permissions=["send"])
    def send_chosen_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse | None:
        """Asks first. What comes meanwhile, such as another that fails, is not part of what was counted."""
        newest = request.POST.get("newest", "")
        if newest.isdecimal() and len(newest) < 19:
            queryset = queryset.filter(pk__lte=int(newest))
        count = queryset.order_by()[: MOST_AT_ONCE + 1].count()
        if count > MOST_AT_ONCE:
            text = f"Nothing was sent: these are more than {MOST_AT_ONCE:,}. Filter for fewer."
            self.message_user(request, text, messages.ERROR)
            return None
        way = _way_of(request)
        if way is not None:
            self._send(request, list(keys_of(queryset)), way)
            return None
        unsure = queryset.filter(state=Delivery.State.UNKNOWN, destination__kind=Destination.Kind.WHATSAPP)
        return self._ask(
            request,
            {
                "title": "Send again",
                "count": count,
                "newest": queryset.aggregate(newest=Max("pk"))["newest"],
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "select_across": request.POST.get("select_across", "0"),
                "back": request.get_full_path(),
                "ways": [(way, "") for way in Way],
                "can": count > 0,
                "unsure": unsure.order_by().count(),
            },
        )

    def _ask(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        return admin_page(request, TEMPLATE, {"checkbox": ACTION_CHECKBOX_NAME, **context}, of=self)

    def _send(self, request: HttpRequest, pks: list[int], way: Way) -> Result:
        def note(sent: list[Delivery]) -> None:
            if sent:
                who: Any = request.user.pk
                LogEntry.objects.log_actions(who, sent, CHANGE, change_message=NOTES[way])

        result = send_again(pks, way, may_arrive_twice=request.POST.get("may_arrive_twice") == "on", note=note)
        if result.sent:
            text = "1 delivery is" if len(result.sent) == 1 else f"{len(result.sent):,} deliveries are"
            self.message_user(request, f"{text} on the way again.", messages.SUCCESS)
            if is_copy():
                self.message_user(request, IN_A_COPY, messages.WARNING)
        for words in reasons_in_words(result.left):
            self.message_user(request, words, messages.WARNING)
        return result


def _title(delivery: Delivery) -> str:
    return f"To {delivery.destination}, {moment_words(delivery.created_at)}"


def _way_of(request: HttpRequest) -> Way | None:
    """How to send again, once staff have said so."""
    asked = request.POST.get("way", "") if request.method == "POST" else ""
    return Way(asked) if asked in set(Way) else None
