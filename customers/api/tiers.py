"""Tiers over the API, by slug."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.base import ApiView
from customers.api.errors import refuse_where_used
from customers.api.etags import ETAG, IF_MATCH, check_match, tagged
from customers.api.fields import TierSlug
from customers.api.pages import page_of, page_response
from customers.api.reading import read_address, read_body
from customers.api.schema import READING, WRITING, answers
from customers.api.serializers import TierQuery, TierSerializer, tiers_with_rows
from customers.api.writing import write_tier
from customers.editing import lock_tier
from customers.models import Tier

PREMIUM = OpenApiExample(
    "A tier with limits",
    {
        "name": "Premium",
        "context": {"custom_field": "value"},
        "call_hold_minutes": 1,
        "rounding_seconds": 60,
        "price_per_minute_over": "0.15",
        "currency": "EUR",
        "limits": [
            {"metric": "messages", "period": "day", "amount": 100},
            {"metric": "call_minutes", "period": "day", "amount": 60, "hard": True},
            {"metric": "concurrent_sessions", "amount": 2, "channel": "telephony", "agent": 1},
        ],
    },
    request_only=True,
)
_SLUG = OpenApiParameter(
    "slug",
    {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "maxLength": 64},
    OpenApiParameter.PATH,
    description="The tier's slug, such as `premium`.",
)


class TierList(ApiView):
    query_serializer = TierQuery

    @extend_schema(
        operation_id="list_tiers",
        tags=["tiers"],
        parameters=[TierQuery],
        responses=answers({200: page_of(TierSerializer, "TierPage")}, *READING),
    )
    def get(self, request: Request) -> Response:
        """All tiers, oldest first."""
        tiers = tiers_with_rows()
        if self.query["active"] is not None:
            tiers = tiers.filter(is_active=self.query["active"])
        return page_response(request, tiers, self.query, TierSerializer, order=("pk",))


@extend_schema(tags=["tiers"], parameters=[_SLUG])
class TierDetail(ApiView):
    @extend_schema(operation_id="get_tier", parameters=[ETAG], responses=answers({200: TierSerializer}, 404, *READING))
    def get(self, request: Request, slug: str) -> Response:
        """One tier with its limits."""
        return tagged(TierSerializer(_found(tiers_with_rows(), slug)).data)

    @extend_schema(
        operation_id="put_tier",
        parameters=[IF_MATCH, ETAG],
        request=TierSerializer,
        examples=[PREMIUM],
        responses=answers({200: TierSerializer, 201: TierSerializer}, 404, *WRITING),
    )
    def put(self, request: Request, slug: str) -> Response:
        """Make a tier or change it. What is absent stays as it is; a list that is given replaces the whole list."""
        read_address("slug", slug, TierSlug(max_length=Tier._meta.get_field("slug").max_length))
        values = read_body(TierSerializer, request)
        with transaction.atomic():
            stored = lock_tier(Tier.objects.filter(slug=slug))
            check_match(request, None if stored is None else lambda: _answer(slug))
            write_tier(stored, slug, values, merge_context=False, why=self.why)
            return tagged(_answer(slug), 200 if stored else 201)

    @extend_schema(
        operation_id="patch_tier",
        parameters=[IF_MATCH, ETAG],
        request=TierSerializer,
        responses=answers({200: TierSerializer}, 404, *WRITING),
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Change a tier. As PUT, but its context is merged (RFC 7396: null removes a key)."""
        values = read_body(TierSerializer, request)
        with transaction.atomic():
            stored = _or_404(lock_tier(Tier.objects.filter(slug=slug)), slug)
            check_match(request, lambda: _answer(slug))
            write_tier(stored, slug, values, merge_context=True, why=self.why)
            return tagged(_answer(slug))

    @extend_schema(operation_id="delete_tier", parameters=[IF_MATCH], responses=answers({204: None}, 404, *WRITING))
    def delete(self, request: Request, slug: str) -> Response:
        """Delete a tier that no customer, session or policy names."""
        with transaction.atomic():
            # With the key: what is being stored with this tier holds it, and is waited for.
            tier = _found(Tier.objects.select_for_update(), slug)
            refuse_where_used(tier)
            check_match(request, lambda: _answer(slug))
            self.say_why(tier)
            tier.delete()
        return Response(status=204)


def _answer(slug: str) -> Any:
    return TierSerializer(tiers_with_rows().get(slug=slug)).data


def _found(tiers: Any, slug: str) -> Tier:
    return _or_404(tiers.filter(slug=slug).first(), slug)


def _or_404(tier: Tier | None, slug: str) -> Tier:
    if tier is None:
        raise NotFound(f'There is no tier "{slug}". /api/v1/tiers/ lists them; PUT makes one.')
    return tier
