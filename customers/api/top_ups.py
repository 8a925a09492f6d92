"""A customer's top-ups over the API."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api import fields
from customers.api.base import ApiView
from customers.api.errors import Conflict
from customers.api.pages import PageQuery, page_of, page_response
from customers.api.personal import BY_ID
from customers.api.reading import StrictSerializer, read_body
from customers.api.schema import READING, WRITING, answers
from customers.editing import CustomerIsErased, lock_customer
from customers.models import Customer, TopUp
from customers.models.top_ups import LIFTED_METRICS
from customers.topping_up import add_top_up, change_top_up, delete_top_up

SIXTY = OpenApiExample(
    "Sixty minutes until the end of the year",
    {"metric": "call_minutes", "amount": 60, "valid_until": "2027-01-01T00:00:00Z", "note": "ordered on the phone"},
    request_only=True,
)
_TOP_UP = OpenApiParameter("top_up_id", int, "path", description="The top-up's own id.")


class TopUpSerializer(StrictSerializer):
    """Used once a limit of a day, week or month is used up. What is left of it is under usage."""

    id = serializers.IntegerField(source="pk", read_only=True)
    metric = fields.Choice(
        choices=[metric.value for metric in LIFTED_METRICS], required=False, help_text="Stays what it was made with."
    )
    amount = fields.Amount(required=False, min_value=1, help_text="Minutes or sessions.")
    valid_from = fields.Moment(required=False, help_text="Absent: now.")
    valid_until = fields.Moment(required=False, allow_null=True, help_text="Up to but not including. Null: for ever.")
    note = fields.Text(required=False, allow_blank=True, max_length=200)
    created_at = fields.Moment(read_only=True)


@extend_schema(parameters=BY_ID)
class TopUpList(ApiView):
    query_serializer = PageQuery

    @extend_schema(
        operation_id="list_top_ups",
        tags=["customers"],
        parameters=[PageQuery],
        responses=answers({200: page_of(TopUpSerializer, "TopUpPage")}, 404, *READING),
    )
    def get(self, request: Request, pk: int) -> Response:
        """A customer's top-ups, oldest first, those that have ended too."""
        # By the customer: a number that no database holds is simply none.
        customer = Customer.objects.filter(pk=pk).first()
        if customer is None:
            raise _no_customer(pk)
        top_ups = TopUp.objects.filter(customer=customer)
        return page_response(request, top_ups, self.query, TopUpSerializer, order=("pk",))

    @extend_schema(
        operation_id="add_top_up",
        tags=["customers"],
        request=TopUpSerializer,
        examples=[SIXTY],
        responses=answers({201: TopUpSerializer}, 404, *WRITING),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Add a top-up. It takes a metric and an amount. Sent twice, it is added twice."""
        values = read_body(TopUpSerializer, request)
        for name in ("metric", "amount"):
            if name not in values:
                raise serializers.ValidationError({name: ["Give one: a top-up needs it."]})
        with transaction.atomic():
            top_up = add_top_up(_locked(pk), why=self.why, **values)
        return Response(TopUpSerializer(top_up).data, status=201)


@extend_schema(parameters=[*BY_ID, _TOP_UP])
class TopUpDetail(ApiView):
    @extend_schema(
        operation_id="get_top_up", tags=["customers"], responses=answers({200: TopUpSerializer}, 404, *READING)
    )
    def get(self, request: Request, pk: int, top_up_id: int) -> Response:
        """One top-up."""
        return Response(TopUpSerializer(_found(pk, top_up_id)).data)

    @extend_schema(
        operation_id="patch_top_up",
        tags=["customers"],
        request=TopUpSerializer,
        responses=answers({200: TopUpSerializer}, 404, *WRITING),
    )
    def patch(self, request: Request, pk: int, top_up_id: int) -> Response:
        """Change its amount, start, end or note. It holds for the decisions that come after it."""
        values = read_body(TopUpSerializer, request)
        with transaction.atomic():
            _locked(pk)
            top_up = _found(pk, top_up_id)
            if values.pop("metric", top_up.metric) != top_up.metric:
                raise serializers.ValidationError({"metric": ["It stays what it was. Add another top-up."]})
            change_top_up(top_up, values, why=self.why)
        return Response(TopUpSerializer(top_up).data)

    @extend_schema(operation_id="delete_top_up", tags=["customers"], responses=answers({204: None}, 404, *WRITING))
    def delete(self, request: Request, pk: int, top_up_id: int) -> Response:
        """Delete a top-up on which no session has drawn. To end one that was used, give it a `valid_until`."""
        with transaction.atomic():
            _locked(pk)
            if wrong := delete_top_up(_found(pk, top_up_id), why=self.why):
                raise Conflict(f'{wrong} Send {{"valid_until": "…"}} to end it.')
        return Response(status=204)


def _locked(pk: int) -> Customer:
    try:
        return lock_customer(pk)
    except Customer.DoesNotExist:
        raise _no_customer(pk) from None
    except CustomerIsErased as error:
        raise Conflict(error.message) from None


def _found(pk: int, top_up_id: int) -> TopUp:
    top_up = TopUp.objects.filter(customer__in=Customer.objects.filter(pk=pk), pk=top_up_id).first()
    if top_up is None:
        raise NotFound(f"There is no top-up {top_up_id} of the customer with id {pk}.")
    return top_up


def _no_customer(pk: int) -> Any:
    return NotFound(f"There is no customer with id {pk}.")
