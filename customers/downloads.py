"""How many files a web process makes and sends at once."""

import weakref
from collections.abc import Callable
from functools import wraps
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

AT_ONCE = 2
WAIT_SECONDS = 2.0
RETRY_SECONDS = 10

Parameters = ParamSpec("Parameters")

# A queue, since Python may collect a response, which gives its place back, in the midst of taking one.
_places: SimpleQueue[None] = SimpleQueue()
for _ in range(AT_ONCE):
    _places.put(None)


class TooManyDownloads(Exception):
    """Others are being made or taken."""


def one_of_few(
    make: Callable[Parameters, HttpResponseBase],
) -> Callable[Parameters, HttpResponseBase]:
    """What it makes is a download: it counts until its client has taken it, or gave up. Raises TooManyDownloads."""

    @wraps(make)
    def counted(*args: Parameters.args, **kwargs: Parameters.kwargs) -> HttpResponseBase:
        try:
            _places.get(timeout=WAIT_SECONDS)
        except Empty:
            raise TooManyDownloads from None
        try:
            response: Any = make(*args, **kwargs)
        except BaseException:
            _places.put(None)
            raise
        # Once, by whichever comes first: its end, or that nobody has it any more.
        done = weakref.finalize(response, _places.put, None)
        done.atexit = False
        response._resource_closers.append(done)
        counted_response: HttpResponseBase = response
        return counted_response

    return counted


def say_too_many(request: HttpRequest) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": "Other downloads are running", "most": AT_ONCE}
    response = render(request, "admin/too_many_downloads.html", context, status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    response._has_been_logged = True  # type: ignore[attr-defined]  # anybody who downloads may cause any number
    return response
