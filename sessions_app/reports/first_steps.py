"""The way to LiveTok's first begin: what is done of it, and what LiveTok has to be told."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.urls import reverse

from customers.keys import valid_keys
from customers.models import ApiKey, TierLimit
from sessions_app.models import Session, WebhookEvent
from sessions_app.reports.webhook.channels import Heard, newest_of_all
from sessions_app.webhook.playing import of_livetok, sessions_of_livetok

REFRESH_SECONDS = 5


@dataclass(frozen=True)
class Step:
    """`words` say how it stands or what to do; `address` leads to where it is done, for whoever may go there."""

    name: str
    is_done: bool
    words: str
    address: str = ""
    link: str = ""


def has_begun(heard: Heard) -> bool:
    """Whether LiveTok's first begin has come, after which there is more to say than these steps.

    It may be long ago: of the newest sessions all may have lost theirs.
    """
    if heard.begin is not None:
        return True
    begun = Session.objects.filter(begin_received_at__isnull=False).order_by()
    return sessions_of_livetok(begun).exists()


def steps_context(request: HttpRequest, heard: Heard | None = None) -> dict[str, Any]:
    """What `reports/_first_steps.html` needs. `heard` is the newest of all, where it is known already."""
    heard = heard or newest_of_all()
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    is_begun = has_begun(heard)
    steps = _steps(request, heard, is_begun)
    return {
        "steps": steps,
        "steps_done": sum(step.is_done for step in steps),
        "has_begun": is_begun,
        "told_livetok": [
            ("Begin Session URL", base + reverse("webhook-begin").rstrip("/")),
            ("End Session URL", base + reverse("webhook-end").rstrip("/")),
            ("Header", "X-API-Key"),
        ],
        "steps_seconds": REFRESH_SECONDS,
    }


def _steps(request: HttpRequest, heard: Heard, is_begun: bool) -> list[Step]:
    may = request.user.has_perm
    keys = [key.name for key in valid_keys() if ApiKey.Scope.WEBHOOK in key.scopes]
    keys += ["WEBHOOK_SECRET"] if settings.WEBHOOK_SECRET else []
    told = ", ".join(keys) if may("customers.view_apikey") else f"{len(keys)} key{pluralize(len(keys))}"
    newest = of_livetok(WebhookEvent.objects.order_by("-received_at"))
    has_request = newest.values_list("pk", flat=True).first() is not None
    public, has_limit = settings.PUBLIC_URL, TierLimit.objects.exists()
    return [
        Step(
            "Give Frontdesk its address",
            bool(public),
            f"PUBLIC_URL is {public}."
            if public
            else "Set PUBLIC_URL to the https address that LiveTok and staff reach Frontdesk by, such as "
            "https://frontdesk.example.com, and start Frontdesk again. To try it out, a tunnel will do.",
        ),
        Step(
            "Make a key",
            bool(keys),
            f"LiveTok may use: {told}. What is secret was shown once, when it was made."
            if keys
            else "LiveTok proves who it is by a key with the scope webhook.",
            reverse("admin:customers_apikey_add") if may("customers.add_apikey") else "",
            "Make another key" if keys else "Make a key",
        ),
        Step(
            "Tell LiveTok",
            has_request or is_begun,
            "A request with a valid key has come."
            if has_request or is_begun
            else "In LiveTok, under Dashboard > Agents > your agent > Webhooks, enter what follows.",
        ),
        Step(
            "First begin",
            is_begun,
            "LiveTok has asked whether a caller may come in."
            if is_begun
            else "Talk to your agent, or have a session played: manage.py livetok session --phone +15550100 --key …",
        ),
        Step(
            "First end",
            heard.end is not None,
            "LiveTok has told how long a session took."
            if heard.end is not None
            else "Hang up. Where begins come and no end does, look at the End Session URL.",
        ),
        Step(
            "First tier with a limit",
            has_limit,
            "A tier has a limit. What has none is unlimited."
            if has_limit
            else "What has no limit is unlimited. Give a tier a limit, such as 60 call minutes a day.",
            reverse("admin:customers_tier_changelist") if may("customers.change_tier") else "",
            "Look at the tiers",
        ),
    ]
