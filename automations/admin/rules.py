"""Rules: when, under which conditions, what; switched on and off, rehearsed and tried out."""

from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from automations.admin import tryouts
from automations.admin.actions import ActionInline, initial_action
from automations.admin.rule_fields import RuleForm
from automations.models import Action, Destination, Firing, Rule, Trigger
from automations.needs import why_not_on
from automations.rules.rehearsal import Rehearsal, can_be_rehearsed, rehearse
from automations.texts.liquid import fill
from automations.texts.names import NAMES, Name, sample_data
from customers.admin.pages import KeptWhereUsedAdmin, counted, without_related_links
from customers.history import Part, moment_words

# On the form itself, which is not to wait for it.
MOST_ON_FORM, SECONDS_ON_FORM = 2000, 1.0
MOST_OFFERED = 30


@cache
def names_with_samples() -> list[tuple[str, Name, str]]:
    """Each name with its sample as a text would show it."""
    data = sample_data()
    return [(name, entry, fill(f"{{{{ {name} }}}}", data)) for name, entry in NAMES.items()]


@admin.register(Rule)
class RuleAdmin(KeptWhereUsedAdmin):
    instead_of_deleting = "Switch it off instead: then it fires no more, and what it did stays on its sessions."
    form = RuleForm
    change_form_template = "admin/automations/rule/change_form.html"
    list_display = ["name", "trigger_in_words", "does", "is_active", "since", "last_fired"]
    list_filter = ["is_active", "trigger", ("actions__destination", admin.RelatedOnlyFieldListFilter)]
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ["name"]
    inlines = [ActionInline]
    history_parts = [Part(Action, "rule")]
    autocomplete_fields = ["agents", "customers"]
    actions = ["switch_on", "switch_off"]
    fieldsets = [
        (None, {"fields": ["name"]}),
        ("When", {"fields": ["trigger", "is_active"]}),
        (
            "Conditions",
            {
                "fields": [
                    "tiers",
                    "channels",
                    "agents",
                    "customers",
                    "reasons",
                    "least_duration_seconds",
                    "weekdays",
                    ("from_time", "until_time"),
                    "thresholds",
                    "covers_tests",
                ],
                "description": "All that are given must hold. One that is left blank holds for all.",
            },
        ),
    ]

    # The form

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("tiers", "channels"):
            kwargs["widget"] = forms.CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        return without_related_links(super().formfield_for_dbfield(db_field, request, **kwargs))

    def initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"trigger": Trigger.ENDED, "is_active": False}

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        action = initial_action(request.GET.get("destination", "")) if request.method == "GET" and not obj.pk else {}
        return kwargs | ({"initial": [action]} if action else {})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        context["names"] = names_with_samples()
        if obj is None:
            context["destinations"] = Destination.objects.all()[:MOST_OFFERED]
            context["chosen"] = request.GET.get("destination", "")
        elif request.user.has_perm("sessions_app.view_session"):
            context["rehearsal"] = self._short_rehearsal(obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _short_rehearsal(self, rule: Rule) -> Rehearsal | None:
        """Of the rule as it is stored: a form with errors may hold what cannot be judged."""
        stored = Rule.objects.filter(pk=rule.pk).first()
        if stored is None or not can_be_rehearsed(stored):
            return None
        return rehearse(stored, most=MOST_ON_FORM, seconds=SECONDS_ON_FORM)

    def save_model(self, request: HttpRequest, obj: Rule, form: forms.ModelForm, change: bool) -> None:
        was_on = change and bool(form.initial.get("is_active"))
        if obj.is_active and not was_on:
            obj.active_since = timezone.now()
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Rule, post_url_continue: str | None = None) -> Any:
        answer = super().response_add(request, obj, post_url_continue)
        self._say_that_it_is_off(request, obj)
        return answer

    def response_change(self, request: HttpRequest, obj: Rule) -> Any:
        answer = super().response_change(request, obj)
        self._say_that_it_is_off(request, obj)
        return answer

    def _say_that_it_is_off(self, request: HttpRequest, rule: Rule) -> None:
        if not rule.is_active:
            text = f"“{rule}” is off: it fires on nothing until it is switched on."
            self.message_user(request, text, messages.WARNING)

    # Pages of its own

    def get_urls(self) -> list[URLPattern]:
        views = {"rehearsal": tryouts.rehearsal_page, "preview": tryouts.preview_page, "test": tryouts.send_test}
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(lambda request, pk, view=view: view(self, request, pk)),
                name=f"automations_rule_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    # Actions

    @admin.action(description="Switch on the selected rules", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        idle = [str(rule) for rule in queryset.filter(actions__isnull=True)]
        if idle:
            text = f"Not switched on, since nothing would be done: {', '.join(idle)}. Add an action first."
            self.message_user(request, text, messages.WARNING)
        off, unfit = queryset.filter(is_active=False, actions__isnull=False).distinct(), []
        for rule in off.prefetch_related("actions__destination__secrets"):
            problems = why_not_on(action.destination for action in rule.actions.all())
            if problems:
                unfit.append(rule.pk)
                self.message_user(request, f"“{rule}” was not switched on. {' '.join(problems)}", messages.WARNING)
        self._switch(request, off.exclude(pk__in=unfit), is_active=True)

    @admin.action(description="Switch off the selected rules", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        self._switch(request, queryset.filter(is_active=True), is_active=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Rule], *, is_active: bool) -> None:
        """Row by row, for the history."""
        word, changed = "on" if is_active else "off", 0
        for pk in list(queryset.values_list("pk", flat=True)):
            with transaction.atomic():
                rule = Rule.objects.select_for_update(of=("self",)).get(pk=pk)
                if rule.is_active == is_active:
                    continue
                rule.is_active = is_active
                if is_active:
                    rule.active_since = timezone.now()
                rule.save(update_fields=["is_active", "active_since"])
                self.log_change(request, rule, f"Switched {word}.")
            changed += 1
        self.message_user(request, f"{counted(changed, 'rule')} switched {word}.", messages.SUCCESS)

    # Columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        fired = Firing.objects.filter(rule=OuterRef("pk")).order_by("-fired_at").values("fired_at")[:1]
        rules = super().get_queryset(request).annotate(last_fired_at=Subquery(fired))
        return rules.prefetch_related("actions__destination")

    @admin.display(description="when", ordering="trigger")
    def trigger_in_words(self, rule: Rule) -> str:
        return capfirst(rule.get_trigger_display())

    @admin.display(description="what it does")
    def does(self, rule: Rule) -> str:
        return ", ".join(str(action.destination) for action in rule.actions.all()) or "nothing"

    @admin.display(description="since", ordering="active_since")
    def since(self, rule: Rule) -> str:
        return moment_words(rule.active_since) if rule.is_active and rule.active_since else "–"

    @admin.display(description="last fired", ordering="last_fired_at")
    def last_fired(self, rule: Any) -> str | SafeString:
        return moment_words(rule.last_fired_at) if rule.last_fired_at else "never"
