"""What drf-spectacular cannot see by itself: how keys are sent, and which errors an address may answer."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

_FIELD_ERRORS = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
_DETAIL = inline_serializer("Detail", {"detail": serializers.CharField()})
_ERRORS = {
    400: OpenApiResponse(_FIELD_ERRORS, "What is wrong with the request, by field."),
    401: OpenApiResponse(_DETAIL, "No valid API key."),
    403: OpenApiResponse(_DETAIL, "The key's scope is not enough."),
    404: OpenApiResponse(_DETAIL, "There is no such thing."),
    409: OpenApiResponse(_DETAIL, "Something hangs on it, or it was changed at the same time."),
    412: OpenApiResponse(_DETAIL, "It is not in the state that `If-Match` names; read it again."),
    413: OpenApiResponse(_DETAIL, "The body is too large."),
    415: OpenApiResponse(_DETAIL, "The body is no JSON."),
    503: OpenApiResponse(_DETAIL, "The database is away, or other files are being made; send the request again."),
}
READING = (400, 401, 403, 503)
WRITING = (*READING, 409, 412, 413, 415)


def answers(successes: dict[int, Any], *errors: int) -> dict[int, Any]:
    return successes | {code: _ERRORS[code] for code in sorted(set(errors))}


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "customers.authentication.ApiKeyAuthentication"
    name = ["X-API-Key", "Bearer"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]  # either is enough

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key of Frontdesk's."},
            {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
        ]
