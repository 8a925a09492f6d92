"""What a person may do about a session that was denied, by its reason: links and buttons of the session's page."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from customers.limits import Limit, Metric, Period
from customers.models import Customer
from customers.models.top_ups import LIFTED_METRICS
from sessions_app.decision.rules import Reason
from sessions_app.models import Session
from sessions_app.reports.change_forms import limit_code
from sessions_app.reports.customer_changes import ADD_TOP_UP, ALLOW_MORE, CHANGE_CUSTOMERS
from sessions_app.reports.frame.figures import query_of

POLICY = "customers.change_policy"
# The number stands in the form's address.
MAKE_CUSTOMERS = ("customers.add_customer", "customers.add_phonenumber", "customers.view_numbers")


@dataclass(frozen=True)
class Step:
    """A link; with `shown`, a button that lets a customer in again who had this status when the page was made."""

    words: str
    address: str
    shown: str = ""


def next_steps(found: Session, check: Mapping[str, Any] | None, user: Any) -> list[Step]:
    """The likeliest first. `check` is the one that decided. Empty where nothing was denied, the person may not, or the
    caller was erased."""
    reason = found.reason
    if found.allowed is not False or reason is None or found.is_erased:
        return []
    if check is not None and "limit" in check:
        return list(_of_limit(found, check, user))
    offers = _OFFERS.get(Reason(reason)) if reason in set(Reason) else None
    return list(offers(found, user)) if offers else []


def _of_limit(found: Session, check: Mapping[str, Any], user: Any) -> Iterator[Step]:
    if found.customer_id is None:
        return
    if user.has_perms(ALLOW_MORE):
        limit = Limit(
            Metric(check["metric"]),
            Period(check["period"]),
            check["limit"],
            channel=check["channel"],
            agent=check["agent"],
        )
        address = reverse("reports:allow-more", args=[found.customer_id])
        yield Step("Allow more until…", f"{address}{query_of(limit=limit_code(limit))}")
    if check["metric"] in LIFTED_METRICS and user.has_perms(ADD_TOP_UP):
        address = reverse("reports:add-top-up", args=[found.customer_id])
        yield Step("Add a top-up…", f"{address}{query_of(metric=check['metric'])}")
    yield from _change_tier(found, user)


def _change_tier(found: Session, user: Any) -> Iterator[Step]:
    if found.customer_id is not None and user.has_perm(CHANGE_CUSTOMERS):
        yield Step("Change tier", reverse("reports:change-tier", args=[found.customer_id]))


def _of_channel(found: Session, user: Any) -> Iterator[Step]:
    yield from _change_tier(found, user)
    tier_id = found.customer.tier_id if found.customer is not None else found.tier_id
    if tier_id is not None and user.has_perm("customers.change_tier"):
        yield Step("The tier's channels", reverse("admin:customers_tier_change", args=[tier_id]))


def _let_in(found: Session, user: Any) -> Iterator[Step]:
    """Of those alone who are kept out still."""
    customer = found.customer
    if customer is not None and customer.status != Customer.Status.ACTIVE and user.has_perm(CHANGE_CUSTOMERS):
        yield Step("Let in again", reverse("reports:change-status", args=[customer.pk]), customer.status)


def _validity(found: Session, user: Any) -> Iterator[Step]:
    if found.customer_id is not None and user.has_perm(CHANGE_CUSTOMERS):
        address = reverse("admin:customers_customer_change", args=[found.customer_id])
        yield Step("Change until when the customer is valid", f"{address}#id_valid_from_0")


def _unknown(found: Session, user: Any) -> Iterator[Step]:
    """The caller may be a customer by now."""
    owners = Customer.objects.none()
    if found.phone_key:
        owners = Customer.objects.filter(numbers__key=found.phone_key)
    elif found.external_id:
        owners = Customer.objects.filter(external_id=found.external_id)
    owner = owners.values_list("pk", flat=True).first()
    if owner is not None:
        yield Step("A customer by now", reverse("reports:customer", args=[owner]))
    elif (found.phone_key or found.external_id) and user.has_perms(MAKE_CUSTOMERS):
        given = {"number": found.phone_key} if found.phone_key else {"external_id": found.external_id}
        yield Step("Make a customer", f"{reverse('admin:customers_customer_add')}{query_of(**given)}")
    yield from _policy(found, user)


def _policy(found: Session, user: Any) -> Iterator[Step]:
    if user.has_perm(POLICY):
        yield Step("Change the policy", reverse("admin:customers_policy_changelist"))


def _emergency(found: Session, user: Any) -> Iterator[Step]:
    if user.has_perm(POLICY):
        yield Step("Emergency switch", reverse("admin:customers_policy_changelist"))


_OFFERS: dict[Reason, Callable[[Session, Any], Iterator[Step]]] = {
    Reason.EMERGENCY_DENY: _emergency,
    Reason.UNKNOWN_CALLER: _unknown,
    Reason.NO_NUMBER: _policy,
    Reason.CUSTOMER_BLOCKED: _let_in,
    Reason.CUSTOMER_PAUSED: _let_in,
    Reason.CUSTOMER_NOT_YET_VALID: _validity,
    Reason.CUSTOMER_EXPIRED: _validity,
    Reason.CHANNEL_NOT_ALLOWED: _of_channel,
}
