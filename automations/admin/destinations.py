"""Destinations with their secrets: by a click, signed where that is wanted, and resumed by hand."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import models, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from automations.admin.offers import LIVETOK_ADDRESS, LIVETOK_HEADERS, OFFERS, Offer, known_host
from automations.admin.secret_rows import SecretInline, keep_secret, missing_key, names_after, sealed_parts
from automations.admin.signing_pages import rotate_page, rule_for, secret_page, show_once
from automations.deliveries.copies import is_copy
from automations.deliveries.pausing import held_by, resume
from automations.facts import deliveries_that_failed
from automations.models import Delivery, Destination, Secret
from automations.needs import incomplete_destinations, needs_words
from automations.outgoing.mail import NO_SERVER, has_mail_server
from automations.outgoing.signing import SIGNING, made_signing_secret
from automations.sealing import SealingError
from automations.texts.destinations import check_destination
from automations.texts.kinds import DESTINATION_FIELDS, DESTINATION_FIELDS_OF_SOME
from automations.wording import IN_A_COPY
from customers.admin.pages import KeptWhereUsedAdmin
from customers.history import Part, moment_words

Kind = Destination.Kind

ADDRESS_HELP: dict[str, str] = {
    Kind.SLACK: "Leave it: the part that is a secret is given below.",
    Kind.TEAMS: "Leave it: all of it is a secret, and given below.",
    Kind.HTTP: "Where requests go. A part that is a secret stands as {{ secrets.name }}; a rule may add a path.",
    Kind.WHATSAPP: "LiveTok's own, unless you were given another.",
}
SIGNED_HELP = "By Standard Webhooks. A secret for it is made and shown once, unless one named “signing” is given below."


class DestinationForm(forms.ModelForm):
    # Of a page whose kind is settled already, by what is stored or by a preset.
    kind_known = ""
    # What a new one is made by, where that is an HTTP request: another kind has one preset alone.
    preset = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.kind_known or self.instance.kind
        if kind in ADDRESS_HELP and "address" in self.fields:
            self.fields["address"].help_text = ADDRESS_HELP[kind]
        if "is_signed" in self.fields:
            self.fields["is_signed"].help_text = SIGNED_HELP
        if self.kind_known:
            self.instance.kind = self.kind_known
        if self.preset:
            self.instance.preset = self.preset

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kind = self.kind_known or data.get("kind", "")
        fitting = DESTINATION_FIELDS.get(kind, ())
        for name in DESTINATION_FIELDS_OF_SOME:
            if name in data and name not in fitting:
                data[name] = False if name == "is_signed" else ""
        if kind == Kind.WHATSAPP and "address" in data:
            data["address"] = data["address"] or LIVETOK_ADDRESS
            data["headers"] = data.get("headers") or LIVETOK_HEADERS
        if "address" in fitting and "address" in data:
            self._check_address(kind, data)
        self.signing = self._signing_secret() if data.get("is_signed") else None
        return data

    def _names(self) -> set[str]:
        stored = Secret.objects.filter(destination=self.instance.pk) if self.instance.pk else Secret.objects.none()
        return names_after(self.data, stored)

    def _check_address(self, kind: str, data: dict[str, Any]) -> None:
        problems = check_destination(
            kind,
            data["address"],
            data.get("headers") or "",
            self._names(),
            allows_http=settings.OUTGOING_ALLOW_HTTP,
            allowed=settings.OUTGOING_ALLOWED_HOSTS,
        )
        for name, sentences in problems.items():
            for sentence in sentences:
                self.add_error(name if name in self.fields else None, sentence)

    def _signing_secret(self) -> tuple[str, str] | None:
        """A new one, where requests are to be signed and there is none; sealed here, so that it fails in time."""
        if SIGNING in self._names():
            return None
        try:
            return sealed_parts(made_signing_secret())
        except (SealingError, ImproperlyConfigured) as error:
            self.add_error("is_signed", str(error))
            return None


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("paused", "paused"), ("needs", "needs secrets"), ("failing", "failing"), ("working", "working")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Destination]) -> QuerySet[Destination]:
        if self.value() not in {choice for choice, _ in self.lookup_choices}:
            return queryset
        needs = Q(pk__in=incomplete_destinations())
        conditions = {
            "paused": Q(paused_at__isnull=False),
            "needs": Q(paused_at__isnull=True) & needs,
            "failing": Q(paused_at__isnull=True, failures_in_row__gt=0) & ~needs,
            "working": Q(paused_at__isnull=True, failures_in_row=0) & ~needs,
        }
        return queryset.filter(conditions[self.value() or ""])


@admin.register(Destination)
class DestinationAdmin(KeptWhereUsedAdmin):
    instead_of_deleting = "Take it out of the rules, or switch them off: then nothing goes there any more."
    form = DestinationForm
    change_form_template = "admin/automations/destination/change_form.html"
    list_display = ["name", "kind", "host", "state", "waiting", "last_delivered"]
    list_filter = ["kind", StateFilter]
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ["name"]
    inlines = [SecretInline]
    history_parts = [Part(Secret, "destination")]

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        kind = _known_kind(request, obj)
        fields = DESTINATION_FIELDS.get(kind, DESTINATION_FIELDS_OF_SOME)
        first = ["name", *([] if kind and obj is None else ["kind"]), *(["state"] if obj is not None else [])]
        pace = ("at_once", "per_second")
        return [
            (None, {"fields": first}),
            *([("Requests", {"fields": fields})] if fields else []),
            ("How much and who is told", {"fields": [pace, "owner_email"]}),
        ]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [] if _known_kind(request, obj) == Kind.EMAIL else list(self.inlines)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["kind", "state"] if obj is not None else []

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        known = {"kind_known": _known_kind(request, obj)}
        offer = _offer(request)
        if obj is None and offer and offer.kind == Kind.HTTP:
            known["preset"] = offer.slug
        kwargs["form"] = type("DestinationForm", (DestinationForm,), known)
        return super().get_form(request, obj, change=change, **kwargs)

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "headers":
            kwargs["widget"] = forms.Textarea(attrs={"rows": 3, "cols": 60, "class": "code", "spellcheck": "false"})
        if db_field.name == "address":
            kwargs["widget"] = forms.TextInput(attrs={"class": "vTextField code", "spellcheck": "false"})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def initial_data(self, request: HttpRequest) -> dict[str, Any]:
        offer = _offer(request)
        return offer.initial if offer else {}

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        offer = _offer(request)
        if request.method == "GET" and obj.pk is None and offer:
            kwargs["initial"] = [{"name": name} for name, _ in offer.secrets]
        return kwargs

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        is_mail = _known_kind(request, obj) == Kind.EMAIL
        context["mail_problem"] = NO_SERVER if is_mail and not has_mail_server() else ""
        context |= {"offers": OFFERS.values(), "offer": _offer(request) if obj is None else None}
        if obj is not None:
            context |= {"held": held_by(obj), "failed_page": deliveries_that_failed(obj.pk)} if obj.paused_at else {}
            context["may_rotate"] = obj.is_signed and obj.secrets.filter(name=SIGNING).exists()
        return super().render_change_form(request, context, *args, **kwargs)

    # Saving

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.signing:
            keep_secret(form.instance, SIGNING, form.signing)
            request._made_signing = form.signing  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Destination, post_url_continue: str | None = None) -> Any:
        answer = super().response_add(request, obj, post_url_continue)
        text = format_html('<a href="{}">Add a rule for it</a>: nothing goes there without one.', rule_for(obj))
        self.message_user(request, text, messages.INFO)
        return self._or_its_secret(request, obj, answer)

    def response_change(self, request: HttpRequest, obj: Destination) -> Any:
        answer = super().response_change(request, obj)
        if obj.paused_at:
            text = format_html(
                'It is still paused, and what is for it waits: <a href="{}">resume it</a> once all is mended.',
                _change_page(obj),
            )
            self.message_user(request, text, messages.WARNING)
        return self._or_its_secret(request, obj, answer)

    def _or_its_secret(self, request: HttpRequest, destination: Destination, answer: HttpResponse) -> HttpResponse:
        made = getattr(request, "_made_signing", None)
        return show_once(request, destination, made) if made else answer

    # What its buttons do

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Any] = {"secret": secret_page, "rotate": rotate_page, "resume": resume_view}
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(lambda request, pk, view=view: view(self, request, pk)),
                name=f"automations_destination_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    # Columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Destination]:
        delivered = Delivery.objects.filter(destination=OuterRef("pk"), state=Delivery.State.DELIVERED).order_by("-pk")
        waiting = Delivery.objects.filter(destination=OuterRef("pk"), finished_at__isnull=True).order_by()
        return (
            super()
            .get_queryset(request)
            .prefetch_related("secrets")
            .annotate(
                last_delivered_at=Subquery(delivered.values("finished_at")[:1]),
                waiting_count=Subquery(waiting.values("destination").annotate(n=Count("pk")).values("n")),
            )
        )

    @admin.display(description="host")
    def host(self, destination: Destination) -> str:
        if not destination.address:
            return "–"
        return known_host(destination.address) or "secret"

    @admin.display(description="state")
    def state(self, destination: Destination) -> SafeString:
        if destination.paused_at:
            since = moment_words(destination.paused_at)
            because = destination.paused_because
            return format_html('<span class="state denied">paused</span> since {}. {}', since, because)
        needs = needs_words(destination)
        if needs:
            return format_html('<span class="state denied">{}</span>', needs)
        missing = [problem for secret in destination.secrets.all() if (problem := missing_key(secret))]
        if missing:
            return format_html('<span class="state denied">key missing</span> {}', missing[0])
        if destination.failures_in_row:
            words = f"{destination.failures_in_row} in a row"
            if destination.failing_since:
                words += f", since {moment_words(destination.failing_since)}"
            return format_html('<span class="state missing_end">failing</span> {}', words)
        return format_html('<span class="state open">{}</span>', "working")

    @admin.display(description="waiting", ordering="waiting_count")
    def waiting(self, destination: Any) -> int:
        return destination.waiting_count or 0

    @admin.display(description="last delivered", ordering="last_delivered_at")
    def last_delivered(self, destination: Any) -> str:
        return moment_words(destination.last_delivered_at) if destination.last_delivered_at else "–"


def _offer(request: HttpRequest) -> Offer | None:
    """What the page's address names, of those that we know."""
    return OFFERS.get(request.GET.get("preset", ""))


def _known_kind(request: HttpRequest, destination: Destination | None) -> str:
    """Blank where the form asks for it."""
    offer = _offer(request)
    return destination.kind if destination is not None else offer.kind if offer else ""


def resume_view(model_admin: DestinationAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """What waits goes out again; what made it fail is forgotten. Who came without its button is led back to that."""
    with transaction.atomic():
        destination = Destination.objects.select_for_update(of=("self",)).filter(pk=pk).first()
        if destination is None:
            raise Http404
        if not model_admin.has_change_permission(request, destination):
            raise PermissionDenied
        if request.method == "POST":
            resume(destination)
            model_admin.log_change(request, destination, "Resumed.")
            text = f"“{destination.name}” is resumed: what waited goes out now."
            model_admin.message_user(request, text, messages.SUCCESS)
            if is_copy():
                model_admin.message_user(request, IN_A_COPY, messages.WARNING)
    return HttpResponseRedirect(_change_page(destination))


def _change_page(destination: Destination) -> str:
    return reverse("admin:automations_destination_change", args=[destination.pk])
