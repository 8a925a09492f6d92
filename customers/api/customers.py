"""Customers over the API: by id, by the CRM's id, and by number."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.base import ApiView
from customers.api.errors import Conflict, refuse_where_used
from customers.api.etags import ETAG, IF_MATCH, check_match, tagged
from customers.api.fields import ExternalId, Text
from customers.api.pages import page_of, page_response
from customers.api.reading import read_address, read_body
from customers.api.schema import READING, WRITING, answers
from customers.api.serializers import (
    CustomerDetailSerializer,
    CustomerQuery,
    CustomerSerializer,
    SavedCustomerSerializer,
    customers_with_rows,
)
from customers.api.writing import write_customer
from customers.editing import CustomerIsErased, is_erased, lock_customer, number_key
from customers.models import Customer

ADA = OpenApiExample(
    "A customer with an override",
    {
        "name": "Ada",
        "tier": "premium",
        "status": "active",
        "numbers": ["+1234567890"],
        "time_zone": "",
        "context": {},
        "overrides": [
            {"metric": "call_minutes", "period": "day", "amount": 90, "valid_until": "2027-01-01T00:00:00Z"},
        ],
    },
    request_only=True,
)


class CustomerList(ApiView):
    query_serializer = CustomerQuery

    @extend_schema(
        operation_id="list_customers",
        tags=["customers"],
        parameters=[CustomerQuery],
        responses=answers({200: page_of(CustomerSerializer, "CustomerPage")}, *READING),
    )
    def get(self, request: Request) -> Response:
        """Customers, oldest first."""
        return page_response(request, _matching(self.query), self.query, CustomerSerializer, order=("pk",))


def _matching(query: dict[str, Any]) -> Any:
    customers = customers_with_rows()
    conditions = {"tier": "tier__slug", "status": "status", "external_id": "external_id"}
    customers = customers.filter(**{conditions[name]: query[name] for name in conditions if name in query})
    if "phone" in query:
        customers = customers.filter(numbers__key=phone_of(query["phone"], "phone"))
    return customers


def phone_of(text: str, parameter: str) -> str:
    """The key of a number in an address. Raises DRF's ValidationError, named by the parameter, where it is none."""
    try:
        return number_key(text)
    except ValidationError as error:
        raise Invalid({parameter: error.messages}) from error


class CustomerView(ApiView):
    """One customer. Subclasses say by what the address names it, and how the description calls that."""

    def condition(self, **address: Any) -> dict[str, Any]:
        raise NotImplementedError

    def missing(self, **address: Any) -> NotFound:
        raise NotImplementedError

    def get(self, request: Request, **address: Any) -> Response:
        """One customer, with numbers, overrides and the limits in force now."""
        return tagged(_answer(self._found(**address)))

    def put(self, request: Request, **address: Any) -> Response:
        """Change a customer. What is absent stays as it is; a list that is given replaces the whole list."""
        values = read_body(CustomerSerializer, request)
        with transaction.atomic():
            customer = self._locked(self._found(**address), **address)
            return self._written(customer, values, merge_context=False)

    def patch(self, request: Request, **address: Any) -> Response:
        """Change a customer. As PUT, but the context is merged (RFC 7396: null removes a key)."""
        values = read_body(CustomerSerializer, request)
        with transaction.atomic():
            customer = self._locked(self._found(**address), **address)
            return self._written(customer, values, merge_context=True)

    def delete(self, request: Request, **address: Any) -> Response:
        """Delete a customer who has no sessions."""
        with transaction.atomic():
            # With the key: begins that are storing a session of the customer hold it, and are waited for.
            customer = Customer.objects.select_for_update().filter(pk=self._found(**address)).first()
            if customer is None:
                raise self.missing(**address)
            if is_erased(customer):
                raise Conflict(CustomerIsErased().message)
            refuse_where_used(customer)
            check_match(request, lambda: _answer(customer.pk))
            self.say_why(customer)
            customer.delete()
        return Response(status=204)

    def _find(self, **address: Any) -> int | None:
        return Customer.objects.filter(**self.condition(**address)).values_list("pk", flat=True).first()

    def _found(self, **address: Any) -> int:
        pk = self._find(**address)
        if pk is None:
            raise self.missing(**address)
        return pk

    def _locked(self, pk: int, /, **address: Any) -> Customer:
        try:
            return lock_customer(pk)
        except Customer.DoesNotExist:
            raise self.missing(**address) from None
        except CustomerIsErased as error:
            raise Conflict(error.message) from None

    def _written(self, stored: Customer | None, values: dict[str, Any], *, merge_context: bool) -> Response:
        """Answered in the transaction, so that the ETag is of this write and of none that follows it."""
        check_match(self.request, None if stored is None else lambda: _answer(stored.pk))
        customer = write_customer(stored, values, merge_context=merge_context, why=self.why)
        saved = SavedCustomerSerializer(customers_with_rows().get(pk=customer.pk)).data
        return tagged(saved, 201 if stored is None else 200, beside=("warnings",))


def _answer(pk: int) -> Any:
    return CustomerDetailSerializer(customers_with_rows().get(pk=pk)).data


def _described(by: str, put: dict[int, Any] | None = None) -> Any:
    """The description of a CustomerView's methods; `by` makes their operations' names."""
    detail, saved = {200: CustomerDetailSerializer}, {200: SavedCustomerSerializer}
    return extend_schema_view(
        get=extend_schema(
            operation_id=f"get_customer_{by}",
            tags=["customers"],
            parameters=[ETAG],
            responses=answers(detail, 404, *READING),
        ),
        put=extend_schema(
            operation_id=f"put_customer_{by}",
            tags=["customers"],
            parameters=[IF_MATCH, ETAG],
            request=CustomerSerializer,
            examples=[ADA],
            responses=answers(put or saved, 404, *WRITING),
        ),
        patch=extend_schema(
            operation_id=f"patch_customer_{by}",
            tags=["customers"],
            parameters=[IF_MATCH, ETAG],
            request=CustomerSerializer,
            responses=answers(saved, 404, *WRITING),
        ),
        delete=extend_schema(
            operation_id=f"delete_customer_{by}",
            tags=["customers"],
            parameters=[IF_MATCH],
            responses=answers({204: None}, 404, *WRITING),
        ),
    )


@extend_schema(parameters=[OpenApiParameter("id", int, "path", description="Frontdesk's own id of the customer.")])
@_described("by_id")
class CustomerById(CustomerView):
    def condition(self, **address: Any) -> dict[str, Any]:
        return {"pk": address["pk"]}

    def missing(self, **address: Any) -> NotFound:
        return NotFound(f"There is no customer with id {address['pk']}. To make one, PUT by external id.")


@extend_schema(parameters=[OpenApiParameter("external_id", str, "path", description="The customer's id in your CRM.")])
@_described("by_external_id", {200: SavedCustomerSerializer, 201: SavedCustomerSerializer})
class CustomerByExternalId(CustomerView):
    def condition(self, **address: Any) -> dict[str, Any]:
        return {"external_id": read_address("external_id", address["external_id"], ExternalId())}

    def missing(self, **address: Any) -> NotFound:
        return NotFound(f"There is no customer with external id {address['external_id']}. PUT makes one.")

    def put(self, request: Request, **address: Any) -> Response:
        """Make a customer or change it. What is absent stays as it is; a list that is given replaces the whole list.

        A new customer with the number of a first-contact customer takes over that record, past sessions included.
        """
        external_id = self.condition(**address)["external_id"]
        values = read_body(CustomerSerializer, request)
        if values.setdefault("external_id", external_id) != external_id:
            raise Invalid({"external_id": ["It differs from the address. To change a customer's, PATCH."]})
        with transaction.atomic():
            pk = self._find(**address)
            stored = None if pk is None else self._locked(pk, **address)
            return self._written(stored, values, merge_context=False)


@extend_schema(
    parameters=[OpenApiParameter("number", str, "path", description="One of the customer's numbers, in any spelling.")]
)
@_described("by_phone")
class CustomerByPhone(CustomerView):
    def condition(self, **address: Any) -> dict[str, Any]:
        number = read_address("number", address["number"], Text())
        return {"numbers__key": phone_of(number, "number")}

    def missing(self, **address: Any) -> NotFound:
        return NotFound(f"There is no customer with number {address['number']}. To make one, PUT by external id.")
