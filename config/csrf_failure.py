"""What people are told whose form is refused because it seems to come from elsewhere: what was expected, what came, and
which setting mends it.

Strangers can see this page too, so it has nothing but what they sent, PUBLIC_URL and the nearest proxy's address.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import REASON_NO_CSRF_COOKIE

from config.errors import page_in_words
from config.middleware import DISBELIEVED, PROXY

Handler = Callable[[HttpRequest], HttpResponseBase]

LONGEST_SHOWN = 200
_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]_-]+", re.IGNORECASE)
START_AGAIN = "Settings are read at the start, so start Frontdesk again afterwards."


@dataclass(frozen=True)
class Asked:
    """How a request came, as far as it can be believed. Texts are the client's, cut, and blank where nothing came.

    `unbelieved_scheme` is what a proxy said that is not trusted.
    """

    origin: str
    host: str
    scheme: str
    proxy: str
    is_proxy_trusted: bool
    unbelieved_scheme: str


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    asked = asked_by(request)
    rows = compared(asked, settings.PUBLIC_URL)
    return page_in_words(
        request, "This form was not accepted", advice(asked, settings.PUBLIC_URL, reason), status=403, rows=rows
    )


def tell_of_untrusted_proxies(get_response: Handler) -> Handler:
    """Else people who come by https, through a proxy that is not trusted, would be sent to https again and again."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if DISBELIEVED in request.META and settings.SECURE_SSL_REDIRECT:
            asked = asked_by(request)
            if asked.unbelieved_scheme == "https":
                text = f"{_trust(asked.proxy)} {START_AGAIN}"
                rows = compared(asked, settings.PUBLIC_URL)
                return page_in_words(request, "This proxy is not trusted", text, status=403, rows=rows)
        return get_response(request)

    return middleware


def asked_by(request: HttpRequest) -> Asked:
    meta = request.META
    disbelieved = meta.get(DISBELIEVED)
    return Asked(
        origin=(meta.get("HTTP_ORIGIN") or _origin_of(meta.get("HTTP_REFERER", "")))[:LONGEST_SHOWN],
        host=meta.get("HTTP_HOST", "")[:LONGEST_SHOWN],
        scheme=request.scheme or "",
        proxy=meta.get("REMOTE_ADDR", "") if disbelieved else meta.get(PROXY, ""),
        is_proxy_trusted=not disbelieved,
        unbelieved_scheme=(disbelieved or {}).get("HTTP_X_FORWARDED_PROTO", "")[:LONGEST_SHOWN],
    )


def compared(asked: Asked, public_url: str) -> list[tuple[str, str, str]]:
    """Rows of: what, expected, came."""
    public = urlsplit(public_url)
    scheme = asked.scheme
    if asked.unbelieved_scheme:
        scheme += f" (the proxy says {asked.unbelieved_scheme}, and is not believed)"
    if asked.proxy:
        proxy = f"{asked.proxy}, {'trusted' if asked.is_proxy_trusted else 'not trusted'}"
    else:
        proxy = "none that passes X-Forwarded-For"
    return [
        ("Origin (the page with the form)", public_url or f"{asked.scheme}://{asked.host}", asked.origin or "none"),
        ("Host", public.netloc or "localhost or 127.0.0.1", asked.host or "none"),
        ("Scheme", public.scheme or "http", scheme),
        ("Proxy", "none, or one in TRUSTED_PROXIES", proxy),
    ]


def advice(asked: Asked, public_url: str, reason: str) -> str:
    """What to do about it. `reason` is Django's."""
    if reason == REASON_NO_CSRF_COOKIE:
        text = (
            "The browser sent no cookie of Frontdesk's. Allow cookies for this address, go back, and load the page "
            "again."
        )
        if public_url.startswith("https:"):
            text += f" Cookies go by https alone, so open {public_url}."
        return text
    if not reason.startswith(("Origin checking", "Referer checking")):
        return (
            "The page was older than your sign-in, or was changed on its way. Nothing was saved. Go back, load the "
            "page again, and send it once more."
        )
    if asked.origin in ("", "null"):
        return (
            "The browser did not say from which page the form came. Let no browser extension or proxy take away the "
            "headers Origin and Referer, and start from Frontdesk's own page."
        )
    text = f"The form came from {asked.origin}, which is not Frontdesk's address. Nothing was saved. "
    if not _ORIGIN.fullmatch(asked.origin):
        return text + f"Open {public_url or 'Frontdesk'} and start from its own page."
    text += "If you did not start there, somebody else's page sent the form: close it. "
    if not asked.is_proxy_trusted:
        text += f"{_trust(asked.proxy)} "
    if public_url:
        text += f"If you did, open {public_url} instead; or, if that is where people should reach Frontdesk, set "
    else:
        text += "If you did, and people reach Frontdesk there, set "
    return f"{text}PUBLIC_URL={asked.origin}. {START_AGAIN}"


def _trust(proxy: str) -> str:
    return (
        f"What the proxy at {proxy} says is not believed, since it is not in TRUSTED_PROXIES. If it is yours, add its "
        f"address or network there: {proxy}."
    )


def _origin_of(referer: str) -> str:
    try:
        parts = urlsplit(referer)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
