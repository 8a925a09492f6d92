"""Lists page by page, by cursor: pages stay right while rows are added."""

from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, QuerySet
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.fields import Text
from customers.api.reading import StrictSerializer

PAGE_SIZE = 100
LARGEST_PAGE = 500


class PageQuery(StrictSerializer):
    """What every list takes beside its filters."""

    page_size = serializers.IntegerField(
        min_value=1, max_value=LARGEST_PAGE, default=PAGE_SIZE, help_text=f"Rows of a page, {LARGEST_PAGE} at most."
    )
    cursor = Text(required=False, help_text="Where a page starts; comes in `next` and `previous`.")


class Pages(CursorPagination):
    def __init__(self, ordering: tuple[str, ...], page_size: int) -> None:
        self.ordering = ordering
        self.page_size = page_size

    def get_page_size(self, request: Request) -> int | None:
        return self.page_size

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, DjangoValidationError, ValueError) as error:
            raise ValidationError({"cursor": ["No such page. Take cursors from next and previous."]}) from error


def page_response(
    request: Request,
    rows: QuerySet[Any],
    query: dict[str, Any],
    serializer: type[serializers.Serializer[Any]],
    *,
    ordering: tuple[str, ...],
    **context: Any,
) -> Response:
    pages = Pages(ordering, query["page_size"])
    page = cast(list[Model], pages.paginate_queryset(rows, request))
    return pages.get_paginated_response(serializer(page, many=True, context=context).data)


def page_of(serializer: type[serializers.Serializer[Any]], name: str) -> serializers.Serializer[Any]:
    """How the API's description says "a page of these"."""
    return inline_serializer(
        name=name,
        fields={
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )
