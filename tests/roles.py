"""What each role, and a stranger, gets at each address with each method, measured on an installation of everything."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import patch
from urllib.parse import quote as percent_quoted

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils import timezone
from django.utils.safestring import SafeString

from automations.models import Action, Delivery
from customers.keys import create_key
from customers.models import ApiKey, Customer, CustomerChange, TierChange, TopUp
from sessions_app.models import Replay, Session
from tests.installation_of_all import NUMBER, make_installation
from tests.staff import staff

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ROLES = ("viewers", "managers", "administrators")
STRANGER = "stranger"
NO_KEY = "no key"
NO_FORM: dict[str, Any] = {}
KEYS = ("webhook", "read", "manage")
# What an address answers.
MAY, REFUSED, SIGN_IN, NO_METHOD, NOTHING = "may", "refused", "sign in", "no such method", "nothing there"
LEADS_ON = "leads on"


@dataclass(frozen=True)
class Address:
    """A pattern of the resolver's, and a path that it matches. `form` is what has to be sent to learn who may."""

    pattern: str
    path: str
    form: dict[str, str]

    @property
    def is_for_keys(self) -> bool:
        return self.path.startswith(("/api/", "/webhooks/"))


@dataclass
class Measured:
    """`outcomes` by address, who asks and method; `bodies` of all that a viewer without numbers was shown."""

    addresses: list[Address] = field(default_factory=list)
    outcomes: dict[tuple[str, str, str], str] = field(default_factory=dict)
    # By list, who asks and the action's name: whether it is offered, and taken.
    actions: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    # By what it is and role: whether pages that all of them may open show it.
    seen: dict[tuple[str, str], bool] = field(default_factory=dict)
    group_page: str = ""

    def may(self, pattern: str, who: str, method: str) -> bool:
        """Whether somebody gets something there; what is done answers by leading on."""
        return self.outcomes[pattern, who, method] in (MAY, LEADS_ON)


class _Undo(Exception):
    pass


def measure() -> Measured:
    """All of it, within a transaction that leaves nothing behind."""
    found = Measured()
    gc.disable()  # thousands of requests leave much to be gone through, again and again
    try:
        with transaction.atomic():
            _measure(found)
            raise _Undo
    except _Undo:
        return found
    finally:
        gc.enable()


def _measure(found: Measured) -> None:
    make_installation()
    people = {role: staff(role, f"one of the {role}") for role in ROLES}
    for client in people.values():
        client.get("/reports/search/")  # notes when somebody was seen, which is undone from here on
    people[STRANGER] = Client()
    somebody = staff("viewers", "somebody else").user
    keys = {scope: create_key(scope, [scope]) for scope in KEYS}
    samples = _samples(somebody, keys["manage"][0])
    forms = {"admin/automations/rule/<int:pk>/test/": {"action": str(Action.objects.order_by("rule").first().pk)}}
    found.addresses = [Address(one, _path(one, samples), forms.get(one, {})) for one in _patterns()]
    # In the order of what they may do: a member of staff without a key is a stranger to the API.
    asking_api = {NO_KEY: ("", people["administrators"])} | {scope: (keys[scope][1], Client()) for scope in KEYS}
    asking = {who: ("", client) for who, client in people.items()}
    for address in found.addresses:
        of_address = asking_api if address.is_for_keys else asking
        for method in METHODS:
            _measure_method(found, address, method, of_address)
    for path in _more_of_reports(found.addresses):
        found.bodies[path] = _ask(people["viewers"], "GET", path).whole
    _measure_what_is_seen(found, people)
    group = f"/admin/auth/group/{samples['admin/auth/group/']}/change/"
    found.group_page = _ask(people["administrators"], "GET", group).whole.decode()
    with _unrendered():
        for model, model_admin in admin.site._registry.items():
            _measure_actions(found, model, model_admin, people)


def _measure_method(found: Measured, address: Address, method: str, asking: dict[str, tuple[str, Client]]) -> None:
    """A method that an address does not have for administrators it has for no other role; HEAD is GET for all, if it is
    so for administrators and strangers. The others are not asked again."""
    first = [who for who in ("administrators", STRANGER) if who in asking and method != "GET"]
    told = {who: found.outcomes.get((address.pattern, who, "GET")) for who in asking}
    for who in sorted(asking, key=lambda who: first.index(who) if who in first else len(first)):
        asked = [found.outcomes.get((address.pattern, one, method)) for one in first]
        if first and who in ROLES and asked[0] == NO_METHOD:
            found.outcomes[address.pattern, who, method] = NO_METHOD
            continue
        if method == "HEAD" and first and asked == [told[one] for one in first]:
            found.outcomes[address.pattern, who, method] = str(told[who])
            continue
        secret, client = asking[who]
        is_read = who == "viewers" and method == "GET"
        with nullcontext() if is_read else _unrendered():
            response = _ask(client, method, address.path, address.form if method == "POST" else {}, secret)
        found.outcomes[address.pattern, who, method] = _outcome(response, address.path)
        if is_read:
            found.bodies[address.path] = response.whole


def _measure_what_is_seen(found: Measured, people: dict[str, Client]) -> None:
    session, delivery = Session.objects.order_by("pk").first(), Delivery.objects.filter(destination__name="CRM").first()
    assert session is not None
    assert delivery is not None
    pages = (f"/reports/sessions/{session.pk}/", f"/admin/automations/delivery/{delivery.pk}/change/")
    for role in ROLES:
        of_session, of_delivery = (_ask(people[role], "GET", page).whole.decode() for page in pages)
        found.seen["Numbers and e-mail addresses, whole", role] = NUMBER in of_session
        found.seen["Raw bodies of sessions and requests", role] = "phoneNumber&quot;" in of_session
        found.seen["What deliveries say", role] = "mail&quot;" in of_delivery


@contextmanager
def _unrendered() -> Iterator[None]:
    """Pages as nobody reads them, where what is asked is whether somebody gets one at all: a third of the time."""
    with patch("django.template.backends.django.Template.render", lambda *args, **more: SafeString()):
        yield


def _patterns() -> Iterator[str]:
    """Each pattern that the resolver tries; of two alike the first answers."""

    def walk(patterns: Any, before: str) -> Iterator[str]:
        for one in patterns:
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns, before + str(one.pattern))
            else:
                yield before + str(one.pattern)

    yield from dict.fromkeys(walk(get_resolver().url_patterns, ""))


def _samples(somebody: User, key: ApiKey) -> dict[str, str]:
    """What stands for an address's variables, by the address up to them."""
    ada, session = Customer.objects.get(name="Ada"), Session.objects.order_by("pk").first()
    assert session is not None
    samples = {
        "reports/customers/": str(ada.pk),
        "reports/statements/": f"{ada.pk}/{timezone.now():%Y-%m}",
        "reports/sessions/": str(session.pk),
        "api/v1/sessions/": str(session.pk),
        "api/v1/customers/": str(ada.pk),
        "api/v1/customers/by-external-id/": "crm-1",
        "api/v1/customers/by-phone/": NUMBER,
        "api/v1/tiers/": "premium",
        "api/v1/tiers/premium/changes/": str(TierChange.objects.get(starts_at=None).pk),
        f"api/v1/customers/{ada.pk}/tier-changes/": str(CustomerChange.objects.get().pk),
        f"api/v1/customers/{ada.pk}/top-ups/": str(TopUp.objects.get().pk),
        f"reports/customers/{ada.pk}/tier/": str(CustomerChange.objects.get().pk),
        "admin/customers/tierchange/draft/": str(ada.tier_id),
        "reports/replays/": str(Replay.objects.get().pk),
        "reports/replays/of/": str(TierChange.objects.get(starts_at=None).pk),
        "accounts/invitation/": "MQ/a-token",
        "accounts/second-factor/webauthn/keys/": "1",
        "admin/": "nowhere",
    }
    chosen: dict[Any, Any] = {User: somebody, ApiKey: key, Group: Group.objects.get(name="viewers"), Customer: ada}
    for model in admin.site._registry:
        one = chosen.get(model) or model._default_manager.order_by("pk").first()
        assert one is not None, f"Make a {model._meta.label} in tests/installation_of_all.py."
        samples[f"admin/{model._meta.app_label}/{model._meta.model_name}/"] = percent_quoted(
            admin.utils.quote(str(one.pk))
        )
    return samples


def _path(pattern: str, samples: dict[str, str]) -> str:
    """An address of the pattern. Its variables are what `samples` has for what stands before the first of them."""
    if pattern.startswith("admin/^(?P<app_label>"):
        return "/admin/customers/"
    if pattern == "admin/autocomplete/":
        return "/admin/autocomplete/?app_label=customers&model_name=customer&field_name=tier"
    plain = pattern.replace("^", "").replace("/?$", "/").replace("(?P<url>.*)$", "<url>")
    if pattern == "api/":
        return "/api/nowhere/"
    while "<" in plain:
        before, _, rest = plain.partition("<")
        assert before in samples, f"Say in tests/roles.py what stands for the variables of {pattern}."
        rest = re.sub(r"^[^>]*>(/<[^>]*>)*", "", rest)
        plain = before + samples[before] + rest
    return f"/{plain}"


def _more_of_reports(addresses: list[Address]) -> Iterator[str]:
    """Files of report pages, searches and narrowed lists, which have no pattern of their own."""
    for address in addresses:
        if address.pattern.startswith("reports/") and "/more/" not in address.path:
            yield f"{address.path}?format=csv"
    yield "/admin/customers/customer/?q=Ada"
    yield "/reports/search/?q=Ada"
    yield "/reports/sessions/?q=Ada&format=csv"
    yield "/reports/live/?fragment=1"


def _ask(client: Client, method: str, path: str, data: dict[str, Any] = NO_FORM, secret: str = "") -> Any:
    """Whatever it does is undone, a sign-out among it."""
    headers = {"X-API-Key": secret} if secret else {}
    if path.startswith("/accounts/"):
        cache.clear()  # of guesses: after a few, everybody is told to wait
    cookies = SimpleCookie(client.cookies.output(header="", sep=";"))
    user = getattr(client, "user", None)
    # Who it is, and what that person may, is read once, not for each of a thousand requests.
    known = patch("django.contrib.auth.middleware.get_user", return_value=user) if user else nullcontext()
    with known, nullcontext() if method in ("GET", "HEAD") else transaction.atomic():
        response: Any = client.post(path, data) if data else client.generic(method, path, headers=headers)
        # Read before all is undone: files are made while they are taken.
        response.whole = b"".join(response.streaming_content) if response.streaming else response.content
        if method not in ("GET", "HEAD"):
            transaction.set_rollback(True)
    client.cookies = cookies
    return response


def _outcome(response: HttpResponse, path: str) -> str:
    if response.status_code in (301, 302):
        to = response.headers["Location"]
        if to.startswith(("/accounts/login/", "/admin/login/")) and not path.startswith(
            ("/accounts/log", "/admin/log")
        ):
            return SIGN_IN
        return LEADS_ON
    return {401: REFUSED, 403: REFUSED, 404: NOTHING, 405: NO_METHOD}.get(response.status_code, MAY)


def _measure_actions(found: Measured, model: Any, model_admin: Any, people: dict[str, Client]) -> None:
    path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    pk = model._default_manager.order_by("pk").first().pk
    names = [action if isinstance(action, str) else action.__name__ for action in model_admin.actions or ()]
    for name in [*names, "delete_selected"]:
        for who in ROLES:
            response: Any = _ask(people[who], "POST", path, {"action": name, ACTION_CHECKBOX_NAME: [pk], "index": "0"})
            told = [str(message) for message in get_messages(response.wsgi_request)]
            is_taken = _outcome(response, path) in (MAY, LEADS_ON) and "No action selected." not in told
            found.actions[path, who, name] = is_taken
