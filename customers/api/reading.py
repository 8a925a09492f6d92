"""Reading requests strictly: a name that Frontdesk does not know is an error that lists those it knows."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from customers.api.errors import MOST_ERRORS, TooLarge
from customers.context import parse_json
from customers.lengths import LONGEST_TEXT, too_long

LARGEST_BODY = 1024 * 1024


class StrictJSONParser(JSONParser):
    """JSON in UTF-8 of a sensible size and depth."""

    most_bytes = LARGEST_BODY

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read(self.most_bytes + 1)
        if len(body) > self.most_bytes:
            raise TooLarge(f"A body has at most {self.most_bytes} bytes.")
        try:
            return parse_json(body.decode("utf-8"))
        except RecursionError as error:
            raise serializers.ValidationError({"body": ["The JSON is nested too deeply."]}) from error
        except ValueError as error:
            raise serializers.ValidationError({"body": ["Send JSON in UTF-8."]}) from error


def refuse_larger(request: Request, most: int) -> None:
    """Raises TooLarge where the body says that it is larger, before any of it is read."""
    stated = str(request.META.get("CONTENT_LENGTH") or "")
    if stated.isdecimal() and int(stated[:20]) > most:
        raise TooLarge(f"A body has at most {most} bytes.")


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not have; what it only shows (`read_only`) may be sent back, and is ignored."""

    default_error_messages = {"invalid": "Give a JSON object."}

    def to_internal_value(self, data: Any) -> Any:
        unknown = [name for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        if unknown:
            known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
            some = unknown[: MOST_ERRORS + 1]
            raise serializers.ValidationError({shown(name): [f"Unknown. There are: {known}."] for name in some})
        return super().to_internal_value(data)


def shown(text: str) -> str:
    """Text of a stranger's, so that it can be repeated in an answer."""
    return text[:100].encode("utf-8", "replace").decode("utf-8")


def read_query(request: Request, kind: type[StrictSerializer] | None) -> dict[str, Any]:
    """The query's parameters, read by `kind`; None: there are none. Each may be given once."""
    if names := too_long(request.query_params.lists()):
        raise serializers.ValidationError({shown(name): [f"Give at most {LONGEST_TEXT} characters."] for name in names})
    given: dict[str, str] = {}
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise serializers.ValidationError({shown(name): ["Give it once."]})
        given[name] = values[0]
    if kind is None:
        if given:
            raise serializers.ValidationError({shown(name): ["Unknown. There are no parameters."] for name in given})
        return {}
    query = kind(data=given)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def read_body(kind: type[StrictSerializer], request: Request) -> dict[str, Any]:
    refuse_larger(request, LARGEST_BODY)  # DRF would read all of it
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def read_address(name: str, text: str, field: serializers.Field[Any, Any, Any, Any]) -> Any:
    """A part of an address, read by `field`; errors are named as the description names that part."""
    try:
        return field.run_validation(text)
    except serializers.ValidationError as error:
        raise serializers.ValidationError({name: error.detail}) from error
