"""What is known of one customer over the API: exported, or erased."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.base import ApiView
from customers.api.errors import Busy, Conflict
from customers.api.schema import READING, WRITING, answers
from customers.downloads import TooManyDownloads
from customers.models import ApiKey, Customer, Erasure
from customers.personal.erasing import CannotErase, begin_erasing
from customers.personal.exporting import export_file

BY_ID = [OpenApiParameter("id", int, "path", description="Frontdesk's own id of the customer.")]
FILE = OpenApiResponse(OpenApiTypes.OBJECT, "All that is known of the customer, a list for each kind of thing.")


class ErasureSerializer(serializers.ModelSerializer):
    customer_id = serializers.IntegerField()

    class Meta:
        model = Erasure
        fields = ["customer_id", "requested_at", "by", "sessions", "sessions_erased", "finished_at"]
        read_only_fields = fields


@extend_schema(parameters=BY_ID)
class EraseCustomer(ApiView):
    @extend_schema(
        operation_id="get_erasure", tags=["customers"], responses=answers({200: ErasureSerializer}, 404, *READING)
    )
    def get(self, request: Request, pk: int) -> Response:
        """When a customer was erased, by whom, and how far it is."""
        # By the customer, of whom a number that no database holds is simply none.
        erasure = Erasure.objects.filter(customer__in=Customer.objects.filter(pk=pk)).first()
        if erasure is None:
            raise NotFound(f"No customer with id {pk} was erased.")
        return Response(ErasureSerializer(erasure).data)

    @extend_schema(
        operation_id="erase_customer",
        tags=["customers"],
        request=None,
        responses=answers({202: ErasureSerializer}, 404, *WRITING),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Erase all that names a customer. It cannot be undone. Sessions and sums stay under a made-up name.

        What names the customer is gone at once. The rest follows within about an hour; GET says how far it is.
        """
        try:
            erasure = begin_erasing(pk, by=self.why)
        except Customer.DoesNotExist:
            raise _missing(pk) from None
        except CannotErase as reason:
            raise Conflict(str(reason)) from None
        return Response(ErasureSerializer(erasure).data, status=202)


@extend_schema(parameters=BY_ID)
class ExportCustomer(ApiView):
    # Bodies of requests and of what was delivered are in it.
    required_scope = ApiKey.Scope.MANAGE

    @extend_schema(operation_id="export_customer", tags=["customers"], responses=answers({200: FILE}, 404, *READING))
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """All that is known of a customer, as one JSON file. It takes a key with the scope `manage`."""
        customer = Customer.objects.filter(pk=pk).first()
        if customer is None:
            raise _missing(pk)
        try:
            return export_file(customer)
        except TooManyDownloads:
            raise Busy from None


def _missing(pk: int) -> Any:
    return NotFound(f"There is no customer with id {pk}.")
