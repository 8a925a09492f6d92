"""What the API answers where it cannot do as told: `{"field": ["message"]}`, or `{"detail": "sentence"}`."""

import logging
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import TooManyFieldsSent
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, IntegrityError, OperationalError
from django.db.models import Model, ProtectedError
from django.utils.module_loading import import_string
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from customers.authentication import presented_secrets
from customers.editing import kinds_that_use

logger = logging.getLogger(__name__)
MOST_ERRORS = 50


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "This was changed by somebody else at the same time. Read it again, then send the request again."


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class Busy(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "busy"
    default_detail = "Other files are being made. Send the request again in a moment."


class DatabaseAway(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "database_away"
    # A commit that was broken off may have been made.
    default_detail = (
        "The database cannot be reached or is busy. Send the request again in a moment. If it makes something new, "
        "look first whether that is there."
    )


def _is_a_look(request: Request) -> bool:
    """Whether staff who are signed in opened the address in their browser: nobody sends a wrong key then."""
    if presented_secrets(request):
        return False
    try:
        return SESSION_KEY in request._request.session  # DRF has made nobody of the user by now
    except DatabaseError:  # it is away
        return False


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler with ours: places in lists have a name, and databases' refusals are no server errors."""
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # Counted by an app that this one must not import.
        for name in settings.REFUSED_KEY_HOOKS if not _is_a_look(context["request"]) else ():
            import_string(name)(context["request"].META.get("REMOTE_ADDR", ""))
    if isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(django_detail(error))
    elif isinstance(error, ProtectedError | IntegrityError):
        logger.warning("API write refused by the database", extra={"error": str(error)})
        error = Conflict()
    elif isinstance(error, TooManyFieldsSent):
        error = exceptions.ValidationError({"body": ["The address has too many parameters."]})
    elif isinstance(error, OperationalError):
        logger.error("API request without a database", exc_info=error)
        error = DatabaseAway()
    if isinstance(error, exceptions.ValidationError):
        # As DRF's own handler does, which would not name the places in lists.
        set_rollback()
        return Response(flat_errors(error.detail), status=error.status_code)
    return exception_handler(error, context)


def django_detail(error: DjangoValidationError) -> Any:
    """The same as DRF would have it."""
    return error.message_dict if hasattr(error, "error_dict") else {"non_field_errors": error.messages}


def flat_errors(detail: Any, *, most: int = MOST_ERRORS) -> dict[str, list[str]]:
    """DRF's nested errors by the name of their place, such as `limits[1].period`; of many, the first."""
    flat: dict[str, list[str]] = {}
    for count, (place, message) in enumerate(_places(detail, "")):
        if count == most:
            flat.setdefault("body", []).append(f"There are more errors; these are the first {most}.")
            break
        flat.setdefault(place or "body", []).append(message)
    return flat


def _places(detail: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, dict):
        for name, nested in detail.items():
            yield from _places(nested, _place(place, name))
    elif isinstance(detail, list):
        for index, nested in enumerate(detail):
            yield from _places(nested, f"{place}[{index}]" if isinstance(nested, dict | list) else place)
    else:
        yield place, str(detail)


def _place(place: str, name: Any) -> str:
    if name == "non_field_errors":
        return place
    if isinstance(name, int):
        return f"{place}[{name}]"
    return f"{place}.{name}" if place else str(name)


def refuse_where_used(instance: Model) -> None:
    """Raises Conflict where protected rows hang on the instance; names the first kind alone."""
    if kind := next(kinds_that_use(instance), None):
        name = str(instance._meta.verbose_name)
        raise Conflict(f"This {name} has {kind}, so it cannot be deleted. {_INSTEAD.get(name, '')}")


_INSTEAD = {
    "tier": 'Move its customers and cancel what is scheduled, or send {"active": false} to offer it no longer.',
    "customer": 'Send {"status": "blocked"} to keep the customer out.',
}
