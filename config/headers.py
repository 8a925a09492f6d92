"""Headers that every answer has, errors, static files and LiveTok's included."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

Handler = Callable[[HttpRequest], HttpResponseBase]

NOTHING_ALLOWED = ", ".join(f"{name}=()" for name in ("camera", "geolocation", "microphone", "payment", "usb"))
# As Django's headers keep them. Written there at once: the webhook's time is counted in microseconds.
ALWAYS = {
    "x-content-type-options": ("X-Content-Type-Options", "nosniff"),
    "permissions-policy": ("Permissions-Policy", NOTHING_ALLOWED),
}
UNLESS_SAID = ("Cache-Control", "no-store")


def constant_headers(get_response: Handler) -> Handler:
    """Nothing is kept by a browser or a proxy but what says so itself, as static files do."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        headers = response.headers._store
        headers.setdefault("cache-control", UNLESS_SAID)
        headers.update(ALWAYS)
        return response

    return middleware
