"""Headers that every answer has, errors, static files and LiveTok's included."""

from collections.abc import Callable, Iterable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

Handler = Callable[[HttpRequest], HttpResponseBase]

NOTHING_ALLOWED = ", ".join(f"{name}=()" for name in ("camera", "geolocation", "microphone", "payment", "usb"))
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", settings.SECURE_REFERRER_POLICY),
    ("Permissions-Policy", NOTHING_ALLOWED),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
# A page says itself what it may load, and a file how long it may be kept.
UNLESS_SAID = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
)


def _as_django_keeps_them(headers: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {name.lower(): (name, value) for name, value in headers}


def constant_headers(get_response: Handler) -> Handler:
    """Nothing is kept by a browser or a proxy but what says so itself, as static files do."""
    always, unless_said = _as_django_keeps_them(ALWAYS), _as_django_keeps_them(UNLESS_SAID)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # Written there at once: the webhook's time is counted in microseconds.
        headers = response.headers._store
        for name, header in unless_said.items():
            headers.setdefault(name, header)
        headers.update(always)
        # RFC 6797, 7.2: never over plain http.
        if settings.SECURE_HSTS_SECONDS and request.is_secure():
            response["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        return response

    return middleware
