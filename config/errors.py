"""What people and scripts are told where a request cannot be answered: words, never a traceback. The log has that."""

import sys
from collections.abc import Sequence

from django.contrib import admin
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import DataError, Error, InterfaceError, InternalError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from config.time_limit import STATEMENT_SECONDS, was_stopped
from sessions_app.database.postgresql.base import OnOneServerAlone

LOOK_AGAIN = "Go back and look at it again."
TOO_SLOW = (
    f"The database worked on this for {STATEMENT_SECONDS} seconds and was stopped, so that LiveTok does not wait for "
    "it. Choose a shorter period or more filters."
)
TOO_MUCH = (
    "Nothing was saved. A form may have 5,000 fields, and 2.5 MB without its files. Go back, shorten what you sent, "
    "and send it again."
)
AWAY = "The database does not answer at the moment, or is busy. Try again in a minute."
ON_ONE_SERVER = (
    "What you did is stored on one database server, and the standby that should have it too does not confirm that. It "
    "may be lost if that server fails now. Look in a minute whether it is there, before you do it again."
)
UNSTORABLE = f"It has a value that the database cannot hold, such as a number that is too large. {LOOK_AGAIN}"
OURS = "This is a fault of Frontdesk's, and the log has the details. Try again; if it stays, tell whoever runs it."


def page_in_words(
    request: HttpRequest, title: str, text: str, *, status: int, rows: Sequence[tuple[str, str, str]] = ()
) -> HttpResponse:
    """Needs no database and no session. `rows` say of something what was expected and what came."""
    if request.path_info.startswith("/api/"):
        return JsonResponse({"detail": f"{title}. {text}"}, status=status)
    return HttpResponse(render_to_string("error.html", {"title": title, "text": text, "rows": rows}), status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if isinstance(exception, TooManyFieldsSent | RequestDataTooBig):
        return for_staff(request, "This is too much at once", TOO_MUCH, status=400)
    text = f"It is damaged, too large, or was not meant for this address. {LOOK_AGAIN}"
    return for_staff(request, "This request cannot be read", text, status=400)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    text = "Your account may not open this page or do this. If you need to, ask an administrator for the permission."
    return for_staff(request, "Not allowed", text, status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    text = "Nothing is at this address, or it is gone."
    return for_staff(request, "Not found", text, status=404)


def for_staff(request: HttpRequest, title: str, text: str, *, status: int) -> HttpResponse:
    """In the frame, for staff. A stranger's page shows nothing of it, nor does one while the database is away."""
    if not request.path_info.startswith("/api/") and hasattr(request, "user"):
        try:
            if admin.site.has_permission(request):
                context = {"title": title, "text": text, "has_permission": True, "is_nowhere": True}
                return render(request, "error_for_staff.html", context, status=status)
        except Error:
            # Else the next request would use a connection that may be dead.
            connection.close()
    return page_in_words(request, title, text, status=status)


def server_error(request: HttpRequest) -> HttpResponse:
    """Called while the error is being handled, wherever it came from."""
    error = sys.exc_info()[1]
    if isinstance(error, DataError | OverflowError):
        return for_staff(request, "This request cannot be used", UNSTORABLE, status=400)
    if not isinstance(error, OperationalError | InterfaceError | InternalError):
        return page_in_words(request, "Something went wrong", OURS, status=500)
    if was_stopped(error):
        return page_in_words(request, "This took too long", TOO_SLOW, status=503)
    if isinstance(error.__cause__, OnOneServerAlone):
        response = page_in_words(request, "Not confirmed", ON_ONE_SERVER, status=503)
    else:
        response = page_in_words(request, "Not available", AWAY, status=503)
    response["Retry-After"] = "60"
    return response
