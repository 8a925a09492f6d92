"""What the API's views have in common: strict queries, JSON alone, errors that name their place."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from customers.api.errors import answer_error
from customers.api.reading import StrictJSONParser, StrictSerializer, read_query
from customers.editing import BY_KEY, change_reason
from customers.keys import KeyHolder


class ApiView(APIView):
    """A GET's parameters are in `self.query`, read by `query_serializer`; the other methods have none."""

    parser_classes = [StrictJSONParser]
    query_serializer: type[StrictSerializer] | None = None
    query: dict[str, Any]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # A key is no user: the history would refuse it as the author, and names it in the change's reason instead.
        request._request.user = AnonymousUser()
        self.query = read_query(request, self.query_serializer if request.method in ("GET", "HEAD") else None)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return answer_error

    @property
    def why(self) -> str:
        """What the history says of this request's changes."""
        holder = cast(KeyHolder, self.request.user)
        return f"{BY_KEY}{holder.label}"

    def say_why(self, instance: Model) -> None:
        change_reason(instance, self.why)


class NoSuchAddress(ApiView):
    """Every other address below /api/, so that scripts get JSON there too."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is no such address. Addresses end in a slash; /api/docs/ lists them.")
