"""Whom to believe, the short way for machines, and to whom numbers are shown."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import resolve

from customers.masking import shown_to
from sessions_app.database.sqlite.lock import wait_at_leisure

Handler = Callable[[HttpRequest], HttpResponseBase]

FORWARDED_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT")
# Where the environment of a request keeps them for whoever explains: what a proxy said that is not trusted, by header;
# and the address of a trusted one.
DISBELIEVED, PROXY = "frontdesk.disbelieved", "frontdesk.proxy"
MACHINE_PATHS = ("/webhooks/livetok", "/healthz", "/readyz", "/metrics")


def trusted_proxies(get_response: Handler) -> Handler:
    """Believe `X-Forwarded-*` from the proxies in TRUSTED_PROXIES alone; REMOTE_ADDR becomes the client's address."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        meta = request.META
        if not _is_trusted(meta.get("REMOTE_ADDR", "")):
            disbelieved = {header: meta.pop(header) for header in FORWARDED_HEADERS if header in meta}
            if disbelieved:
                meta[DISBELIEVED] = disbelieved
        elif "HTTP_X_FORWARDED_FOR" in meta:
            meta[PROXY] = meta["REMOTE_ADDR"]
            meta["REMOTE_ADDR"] = client_address(meta)
        return get_response(request)

    return middleware


def client_address(meta: Mapping[str, Any]) -> str:
    """Who sent the request, as far as its proxies can be believed. `meta` is WSGI's environment."""
    peer: str = meta.get("REMOTE_ADDR", "")
    forwarded = meta.get("HTTP_X_FORWARDED_FOR")
    return _client_address(forwarded, peer) if forwarded and _is_trusted(peer) else peer


def _is_trusted(address: str) -> bool:
    try:
        parsed = _parsed(address)
    except ValueError:
        return False
    return any(parsed in network for network in settings.TRUSTED_PROXIES)


_parsed = lru_cache(maxsize=1024)(ip_address)


def _client_address(forwarded_for: str, peer: str) -> str:
    """The last address of the chain that is no trusted proxy: what stands before it anybody can make up."""
    client = peer
    for text in reversed(forwarded_for.split(",")):
        try:
            # Without the scope of a link-local address, which is of one machine and may be any text of any length.
            client = str(ip_address(_without_port(text.strip()))).partition("%")[0]
        except ValueError:
            return client
        if not _is_trusted(client):
            break
    return client


def _without_port(text: str) -> str:
    """Some proxies add one: 203.0.113.1:4444, [2001:db8::1]:4444."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


_resolved = lru_cache(maxsize=64)(resolve)


def numbers_as_allowed(get_response: Handler) -> Handler:
    """Pages and files show numbers as the member of staff may see them. What an API key may see, its scopes decide."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/api/"):
            return get_response(request)
        with shown_to(request.user):
            response = get_response(request)
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            # The rows of a file are made later, maybe in another thread. A FileResponse has all of its bytes by now.
            parts: Any = response.streaming_content
            response.streaming_content = _parts_shown_to(request.user, parts)
        return response

    return middleware


def _parts_shown_to(user: Any, parts: Iterable[bytes]) -> Iterator[bytes]:
    parts = iter(parts)
    while True:
        with shown_to(user):
            part = next(parts, None)
        if part is None:
            return
        yield part


def machine_addresses(get_response: Handler) -> Handler:
    """Webhook, health and metrics addresses skip what serves people: they answer under any Host, and never redirect."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not any(path == machine or path.startswith(machine + "/") for machine in MACHINE_PATHS):
            # The connection is shared: a request of LiveTok's may have told it to be quick.
            wait_at_leisure()
            return get_response(request)
        match = _resolved(path)
        request.resolver_match = match
        response = match.func(request, *match.args, **match.kwargs)
        # What Django does further in, where this request never comes.
        if isinstance(response, SimpleTemplateResponse):
            response = response.render()
        if isinstance(response, HttpResponse):
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response

    return middleware
