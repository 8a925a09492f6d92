"""Whoever has just changed something reads the primary for a while: the replica may not have it yet."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from sessions_app.database.replica import MOST_BEHIND
from sessions_app.database.shared_connections import REPLICA_ALIAS

COOKIE = "just_wrote"
# A replica that is further behind is not read; it may have been looked at a moment ago.
SECONDS = int(MOST_BEHIND.total_seconds()) + 5
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def remember_writes(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Middleware, after Django's own that knows who has signed in. Without a replica there is nothing to remember."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        may_write = request.method not in SAFE and REPLICA_ALIAS in settings.DATABASES and request.user.is_authenticated
        response = get_response(request)
        if may_write:
            response.set_cookie(
                COOKIE, "1", max_age=SECONDS, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
            )
        return response

    return middleware


def has_just_written(request: HttpRequest) -> bool:
    return COOKIE in request.COOKIES
