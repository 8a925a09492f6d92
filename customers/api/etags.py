"""ETags: a script may say which state its write is meant for, and hears when there is another (RFC 9110, 13.1.1)."""

import hashlib
from collections.abc import Callable, Collection
from typing import Any

from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": r'^(\*|"[0-9a-f]+")$'},
    OpenApiParameter.HEADER,
    description="An ETag that was read: nothing is written where the state is another by now. `*`: where there is any.",
)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="Of this state, for `If-Match`."
)
_LENGTH = 32


class ChangedMeanwhile(exceptions.APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed_meanwhile"
    default_detail = (
        "This is not in the state that If-Match names: somebody changed it since. GET it again, make your change to "
        "what you find, and send that with its ETag as If-Match; or leave If-Match out to write whatever is there."
    )


def etag_of(data: Any) -> str:
    """A strong one: of the very bytes that an answer with this data has."""
    return f'"{hashlib.sha256(JSONRenderer().render(data)).hexdigest()[:_LENGTH]}"'


def tagged(data: Any, status_code: int = 200, *, beside: Collection[str] = ()) -> Response:
    """`beside` are fields that a write is answered with, and a GET is not."""
    state = {name: value for name, value in data.items() if name not in beside}
    return Response(data, status=status_code, headers={"ETag": etag_of(state)})


def check_match(request: Request, stored: Callable[[], Any] | None) -> None:
    """Raises ChangedMeanwhile where If-Match names another state than the answer of `stored()`; None: there is none.

    To be asked with the row locked. Weak ETags never match, as the RFC has it.
    """
    given = request.headers.get("If-Match")
    if given is None:
        return
    tags = parse_etags(given)
    if stored is None or not ("*" in tags or etag_of(stored()) in tags):
        raise ChangedMeanwhile
