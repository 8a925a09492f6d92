"""Drafts and scheduled changes over the API: of a tier's limits, and of a customer's tier."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api import fields
from customers.api.base import ApiView
from customers.api.errors import Conflict
from customers.api.etags import ETAG, IF_MATCH, check_match, tagged
from customers.api.pages import PageQuery, page_of, page_response
from customers.api.personal import BY_ID
from customers.api.reading import StrictSerializer, read_body
from customers.api.schema import READING, WRITING, answers
from customers.api.serializers import LimitSerializer
from customers.api.writing import make_scopes
from customers.editing import CustomerIsErased, LimitValues, bring_instance, lock_customer, lock_tier
from customers.models import Customer, CustomerChange, Tier, TierChange
from customers.models.changes import Change
from customers.scheduling import (
    cancel,
    check_is_draft,
    check_schedule,
    make_change,
    replace_change_limits,
    schedule_tier,
)

SLUG = OpenApiParameter("slug", str, OpenApiParameter.PATH, description="The tier's slug, such as `premium`.")
CHANGE = OpenApiParameter("change", int, OpenApiParameter.PATH, description="The change's own id.")
FROM_DECEMBER = OpenApiExample(
    "25 minutes instead of 20 from December on",
    {
        "starts_at": "2026-12-01T00:00:00Z",
        "note": "Agreed with sales",
        "limits": [{"metric": "call_minutes", "period": "day", "amount": 25}],
    },
    request_only=True,
)
PREMIUM_FROM_DECEMBER = OpenApiExample(
    "Premium from December on", {"tier": "premium", "starts_at": "2026-12-01T00:00:00Z"}, request_only=True
)


class ChangeSerializer(StrictSerializer):
    """`state`: a draft holds for nobody, what is scheduled from its moment on, what is in force stays as it is."""

    id = serializers.IntegerField(read_only=True)
    state = serializers.SerializerMethodField()
    note = fields.Text(required=False, allow_blank=True, max_length=200, help_text="Why, for your colleagues.")
    created_at = fields.Moment(read_only=True)

    def get_state(self, change: Change) -> str:
        if change.starts_at is None:
            return "draft"
        return "in_force" if change.has_come else "scheduled"


class TierChangeSerializer(ChangeSerializer):
    """Other limits for a tier, in place of all that it has."""

    starts_at = fields.Moment(required=False, allow_null=True, help_text="From when they hold. Null: a draft.")
    limits = LimitSerializer(
        many=True, required=False, source="shown_limits", help_text="All limits of the tier then. Needed for a new one."
    )


class CustomerChangeSerializer(ChangeSerializer):
    """Another tier for a customer from a moment on."""

    tier = fields.TierSlug(help_text="A tier's slug.")
    starts_at = fields.Moment(help_text="From when the customer is on it: a moment in the future.")


@extend_schema(tags=["tiers"], parameters=[SLUG])
class TierChanges(ApiView):
    query_serializer = PageQuery

    @extend_schema(
        operation_id="list_tier_changes",
        parameters=[PageQuery],
        responses=answers({200: page_of(TierChangeSerializer, "TierChangePage")}, 404, *READING),
    )
    def get(self, request: Request, slug: str) -> Response:
        """A tier's draft and scheduled changes, those in force included, the oldest first."""
        found = _changes_of_tier(_tier_or_404(Tier.objects.filter(slug=slug).first(), slug))
        return page_response(request, found, self.query, TierChangeSerializer, order=("pk",))

    @extend_schema(
        operation_id="create_tier_change",
        request=TierChangeSerializer,
        examples=[FROM_DECEMBER],
        responses=answers({201: TierChangeSerializer}, 404, *WRITING),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Make a tier's draft, or schedule other limits for it. They replace all limits that it has then."""
        values = read_body(TierChangeSerializer, request)
        if "shown_limits" not in values:
            text = "Give all limits that the tier is to have; an empty list makes it unlimited."
            raise serializers.ValidationError({"limits": [text]})
        with transaction.atomic():
            tier = _tier_or_404(lock_tier(Tier.objects.filter(slug=slug)), slug)
            rows = [LimitValues(**row) for row in values["shown_limits"]]
            make_scopes(rows)
            made = make_change(tier, rows, values.get("starts_at"), note=values.get("note", ""), why=self.why)
            return tagged(_tier_answer(tier, made.pk), 201)


@extend_schema(tags=["tiers"], parameters=[SLUG, CHANGE])
class TierChangeDetail(ApiView):
    @extend_schema(
        operation_id="get_tier_change", parameters=[ETAG], responses=answers({200: TierChangeSerializer}, 404, *READING)
    )
    def get(self, request: Request, slug: str, change: int) -> Response:
        """One draft or scheduled change."""
        tier = _tier_or_404(Tier.objects.filter(slug=slug).first(), slug)
        return tagged(TierChangeSerializer(_change_or_404(_changes_of_tier(tier), change)).data)

    @extend_schema(
        operation_id="put_tier_change",
        parameters=[IF_MATCH, ETAG],
        request=TierChangeSerializer,
        responses=answers({200: TierChangeSerializer}, 404, *WRITING),
    )
    def put(self, request: Request, slug: str, change: int) -> Response:
        """Change a draft, or schedule it by giving `starts_at`. What is absent stays as it is."""
        values = read_body(TierChangeSerializer, request)
        with transaction.atomic():
            tier = _tier_or_404(lock_tier(Tier.objects.filter(slug=slug)), slug)
            draft = _change_or_404(_changes_of_tier(tier), change)
            check_match(request, lambda: _tier_answer(tier, change))
            _or_conflict(lambda: check_is_draft(draft))
            if "shown_limits" in values:
                rows = [LimitValues(**row) for row in values["shown_limits"]]
                make_scopes(rows)
                replace_change_limits(draft, rows, why=self.why)
            if values.get("starts_at") is not None:
                check_schedule(draft, values["starts_at"])
            bring_instance(draft, {name: values[name] for name in ("starts_at", "note") if name in values}, self.why)
            return tagged(_tier_answer(tier, change))

    @extend_schema(
        operation_id="delete_tier_change", parameters=[IF_MATCH], responses=answers({204: None}, 404, *WRITING)
    )
    def delete(self, request: Request, slug: str, change: int) -> Response:
        """Delete a draft, or cancel what is scheduled. What is in force stays."""
        with transaction.atomic():
            tier = _tier_or_404(lock_tier(Tier.objects.filter(slug=slug)), slug)
            found = _change_or_404(_changes_of_tier(tier), change)
            check_match(request, lambda: _tier_answer(tier, change))
            _or_conflict(lambda: cancel(found, why=self.why))
        return Response(status=204)


@extend_schema(tags=["customers"], parameters=BY_ID)
class CustomerChanges(ApiView):
    query_serializer = PageQuery

    @extend_schema(
        operation_id="list_customer_tier_changes",
        parameters=[PageQuery],
        responses=answers({200: page_of(CustomerChangeSerializer, "CustomerChangePage")}, 404, *READING),
    )
    def get(self, request: Request, pk: int) -> Response:
        """The tiers that are scheduled for a customer, those in force included, the oldest first."""
        if not Customer.objects.filter(pk=pk).exists():
            raise _no_customer(pk)
        return page_response(request, _changes_of_customer(pk), self.query, CustomerChangeSerializer, order=("pk",))

    @extend_schema(
        operation_id="create_customer_tier_change",
        request=CustomerChangeSerializer,
        examples=[PREMIUM_FROM_DECEMBER],
        responses=answers({201: CustomerChangeSerializer}, 404, *WRITING),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Schedule another tier for a customer."""
        values = read_body(CustomerChangeSerializer, request)
        with transaction.atomic():
            customer = _locked_customer(pk)
            tier = Tier.objects.filter(slug=values["tier"]).first()
            if tier is None:
                text = f'There is no tier "{values["tier"]}". /api/v1/tiers/ lists them.'
                raise serializers.ValidationError({"tier": [text]})
            made = schedule_tier(customer, tier, values["starts_at"], note=values.get("note", ""), why=self.why)
            return tagged(_customer_answer(pk, made.pk), 201)


@extend_schema(tags=["customers"], parameters=[*BY_ID, CHANGE])
class CustomerChangeDetail(ApiView):
    @extend_schema(
        operation_id="get_customer_tier_change",
        parameters=[ETAG],
        responses=answers({200: CustomerChangeSerializer}, 404, *READING),
    )
    def get(self, request: Request, pk: int, change: int) -> Response:
        """One scheduled change of a customer's tier."""
        return tagged(_customer_answer(pk, change))

    @extend_schema(
        operation_id="delete_customer_tier_change", parameters=[IF_MATCH], responses=answers({204: None}, 404, *WRITING)
    )
    def delete(self, request: Request, pk: int, change: int) -> Response:
        """Cancel it. What is in force stays."""
        with transaction.atomic():
            _locked_customer(pk)
            found = _change_or_404(_changes_of_customer(pk), change)
            check_match(request, lambda: _customer_answer(pk, change))
            _or_conflict(lambda: cancel(found, why=self.why))
        return Response(status=204)


def _changes_of_tier(tier: Tier) -> Any:
    return TierChange.objects.filter(tier=tier).prefetch_related("limits")


def _changes_of_customer(pk: int) -> Any:
    # By the customer, of whom a number that no database holds is simply none.
    return CustomerChange.objects.filter(customer__in=Customer.objects.filter(pk=pk)).select_related("tier")


def _tier_answer(tier: Tier, pk: int) -> Any:
    return TierChangeSerializer(_changes_of_tier(tier).get(pk=pk)).data


def _customer_answer(pk: int, change: int) -> Any:
    return CustomerChangeSerializer(_change_or_404(_changes_of_customer(pk), change)).data


def _tier_or_404(tier: Tier | None, slug: str) -> Tier:
    if tier is None:
        raise NotFound(f'There is no tier "{slug}". /api/v1/tiers/ lists them.')
    return tier


def _change_or_404(changes: Any, pk: int) -> Any:
    found = changes.filter(pk=pk).first()
    if found is None:
        raise NotFound(f"There is no change with id {pk} here. It may have been cancelled; the list has all.")
    return found


def _no_customer(pk: int) -> NotFound:
    return NotFound(f"There is no customer with id {pk}.")


def _locked_customer(pk: int) -> Customer:
    try:
        return lock_customer(pk)
    except Customer.DoesNotExist:
        raise _no_customer(pk) from None
    except CustomerIsErased as error:
        raise Conflict(error.message) from None


def _or_conflict(check: Callable[[], object]) -> None:
    """What its state does not allow is no error of a field."""
    try:
        check()
    except DjangoValidationError as error:
        raise Conflict(" ".join(error.messages)) from None
