"""What no page can use is taken out of a request before any page sees it."""

from collections.abc import Callable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import parse_header_parameters

from config.errors import for_staff

Handler = Callable[[HttpRequest], HttpResponseBase]

NUL_IN_ADDRESS = "The address holds a NUL character, which nothing here has. Follow a link, or type the address again."


class Utf8Request(WSGIRequest):
    """Read as UTF-8, whatever it calls itself: Python knows "encodings" such as hex that are none."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


def reading_utf8(application: WSGIHandler) -> WSGIHandler:
    application.request_class = Utf8Request
    return application


def readable_cookies(get_response: Handler) -> Handler:
    """A cookie with NUL, which PostgreSQL does not even compare with, is none."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        for name in [name for name, value in request.COOKIES.items() if "\0" in value]:
            del request.COOKIES[name]
        return get_response(request)

    return middleware


def readable_addresses(get_response: Handler) -> Handler:
    """NUL is refused in an address, in the frame for whoever has signed in. The API names the parameter by itself."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        if not request.path_info.startswith("/api/") and ("\0" in request.path_info or "%00" in query or "\0" in query):
            return for_staff(request, "This address cannot be read", NUL_IN_ADDRESS, status=400)
        return get_response(request)

    return middleware
