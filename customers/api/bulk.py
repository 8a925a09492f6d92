"""Many customers at once over the API: a list is read whole, then stored in short transactions."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, OperationalError
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api import fields
from customers.api.base import ApiView
from customers.api.bulk_rows import Row, RowAnswer, named_row, refused, write_rows
from customers.api.errors import Conflict, DatabaseAway
from customers.api.reading import StrictJSONParser, refuse_larger
from customers.api.schema import READING, answers
from customers.api.serializers import CustomerSerializer
from customers.lengths import LARGEST_ID
from customers.turns import FIRST_ROWS, PAUSE_SECONDS, next_rows, short_transaction

MOST_CUSTOMERS = 1000
# Four kilobytes for each, on average.
LARGEST_BODY = 4 * 1024 * 1024
# Somebody else may store the same customers meanwhile: then they are read again.
TRIES = 3

logger = logging.getLogger(__name__)


class BulkParser(StrictJSONParser):
    most_bytes = LARGEST_BODY


class BulkCustomerSerializer(CustomerSerializer):
    """A customer, found by `id`, else by `external_id`, else by one of its `numbers`, or made where nobody has them."""

    id = fields.WholeNumber(
        required=False, min_value=1, max_value=LARGEST_ID, help_text="Frontdesk's own id of a customer who is there."
    )


ROW_ANSWER = inline_serializer(
    "BulkCustomerAnswer",
    {
        "index": serializers.IntegerField(help_text="The row's place in the list; the first is 0."),
        "status": serializers.IntegerField(
            help_text="200: it was there, changed or not. 201: it is new. Not stored: 400, 404, 409 or 503."
        ),
        "id": serializers.IntegerField(allow_null=True, help_text="The customer's; null where nothing was stored."),
        "errors": serializers.DictField(
            child=serializers.ListField(child=serializers.CharField()), help_text="By field. Empty where it is stored."
        ),
        "warnings": serializers.ListField(
            child=serializers.CharField(), help_text="Of each number given that is no phone number, a sentence."
        ),
    },
    many=True,
)
ANSWER = inline_serializer(
    "BulkCustomersAnswer",
    {
        "refused": serializers.IntegerField(help_text="How many rows were not stored. 0: all were."),
        "results": ROW_ANSWER,
    },
)
# The description puts it into a list.
PUSHED = OpenApiExample(
    "What a CRM knows",
    {"external_id": "crm-2", "tier": "premium", "numbers": ["+1234567891"], "context": {"language": "es"}},
    request_only=True,
)


class BulkCustomers(ApiView):
    parser_classes = [BulkParser]

    @extend_schema(
        operation_id="bulk_customers",
        tags=["customers"],
        request=BulkCustomerSerializer(many=True),
        examples=[PUSHED],
        responses=answers({200: ANSWER}, 413, 415, *READING),
    )
    def post(self, request: Request) -> Response:
        """Make or change up to 1,000 customers. Each row is stored or refused by itself.

        What a row lacks stays as it is, and its context is merged, as with PATCH. Look at `refused`: the answer is 200
        whatever became of the rows.
        """
        if "If-Match" in request.headers:
            raise ValidationError({"If-Match": ["A list has no state of its own. Leave it out, or PATCH one by one."]})
        refuse_larger(request, LARGEST_BODY)
        results: list[RowAnswer] = []
        rows = _read(_list_in(request.data), results)
        _store(rows, results, self.why)
        results.sort(key=lambda answer: answer.index)
        count = sum(answer.id is None for answer in results)
        return Response({"refused": count, "results": [asdict(answer) for answer in results]})


def _list_in(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise ValidationError({"body": ["Send a JSON list of customers."]})
    if len(body) > MOST_CUSTOMERS:
        text = f"Send at most {MOST_CUSTOMERS} customers at once; these are {len(body)}. Send the others after them."
        raise ValidationError({"body": [text]})
    return body


def _read(body: list[Any], results: list[RowAnswer]) -> list[Row]:
    """The rows that can be read; the others are refused in `results`."""
    reader = BulkCustomerSerializer()
    row_of_name: dict[tuple[str, Any], int] = {}
    rows = []
    for index, sent in enumerate(body):
        try:
            rows.append(named_row(index, dict(reader.run_validation(sent)), row_of_name))
        except (ValidationError, DjangoValidationError) as error:
            results.append(refused(index, error))
    return rows


def _store(rows: Sequence[Row], results: list[RowAnswer], why: str) -> None:
    """Store the rows in their order, a few at once, as many as keep nobody waiting long.

    Raises OperationalError where the database is away and nothing is stored yet.
    """
    row_of_customer: dict[int, int] = {}
    size, is_any_stored, alone_until = FIRST_ROWS, False, -1
    while rows:
        piece = rows[: 1 if rows[0].index <= alone_until else size]
        try:
            answered, seconds = _store_piece(piece, row_of_customer, why)
        except IntegrityError:
            if len(piece) > 1:  # what the database refuses in one row shall not keep the others out
                alone_until = piece[-1].index
                continue
            answered, seconds = [_refused_late(piece[0], Conflict)], 0.0
        except OperationalError:
            if not is_any_stored:
                raise
            logger.exception("bulk write broken off at row %s", piece[0].index)
            results += [_refused_late(row, DatabaseAway) for row in rows]
            return
        results += answered
        is_any_stored = is_any_stored or any(answer.id is not None for answer in answered)
        rows = rows[len(piece) :]
        if len(piece) == size:
            size = next_rows(size, seconds)
        if rows:
            time.sleep(PAUSE_SECONDS)


def _refused_late(row: Row, error: type[APIException]) -> RowAnswer:
    return RowAnswer(row.index, error.status_code, errors={"body": [str(error.default_detail)]})


def _store_piece(rows: Sequence[Row], row_of_customer: dict[int, int], why: str) -> tuple[list[RowAnswer], float]:
    """Returns the answers, and for how many seconds others had to wait, so far as Python knows.

    Raises IntegrityError where the database still refuses the rows after they were read again.
    """
    tries_left = TRIES
    while True:
        try:
            with short_transaction():
                started = time.perf_counter()
                answered = write_rows(rows, row_of_customer, why)
            return answered, time.perf_counter() - started
        except IntegrityError as error:
            logger.warning("bulk write refused by the database", extra={"error": str(error)})
            tries_left -= 1
            if not tries_left:
                raise
