"""DRF's view of API keys: who sent the request, and whether the key's scope is enough."""

from collections.abc import Mapping
from typing import Any, cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from customers.keys import KeyHolder, key_holder
from customers.models import ApiKey

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
NO_KEY = "Send a valid API key as X-API-Key, or as Authorization: Bearer. This request's is missing, wrong or revoked."


class ApiKeyAuthentication(BaseAuthentication):
    """A key in `X-API-Key` or `Authorization: Bearer`. A missing and a wrong one are alike: nobody."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, KeyHolder] | None:
        for secret in presented_secrets(request):
            holder = self.holder(secret)
            if holder is not None:
                return holder, holder
        return None

    def holder(self, secret: str) -> KeyHolder | None:
        return key_holder(secret)

    # Without it DRF would answer 403 instead of 401.
    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def presented_secrets(request: Request) -> list[str]:
    return secrets_in(request.META)


def secrets_in(meta: Mapping[str, Any]) -> list[str]:
    """The secrets that a request's headers present, as WSGI names them."""
    found = [meta.get("HTTP_X_API_KEY", "").strip()]
    scheme, _, token = meta.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(token.strip())
    return [secret for secret in found if secret]


def holder_of(request: Request) -> KeyHolder:
    """Who sent an authenticated request."""
    return cast(KeyHolder, request.auth)


class HasScope(BasePermission):
    """`read` for safe methods, `manage` for the others; a view may name another scope as `required_scope`."""

    message = "This API key's scope does not allow that. Make one with the scope that the documentation names."

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise NotAuthenticated(NO_KEY)
        scope = getattr(view, "required_scope", None)
        if scope is None:
            scope = ApiKey.Scope.READ if request.method in SAFE_METHODS else ApiKey.Scope.MANAGE
        return holder_of(request).may(scope)
