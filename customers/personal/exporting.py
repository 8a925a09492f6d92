"""All that is known of one customer as one JSON file."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from customers.downloads import one_of_few
from customers.models import Customer
from customers.personal.own import traces_of
from customers.personal.parts import parts

PIECE_CHARACTERS = 64 * 1024


@one_of_few
def export_file(customer: Customer) -> HttpResponseBase:
    """A download, made while it is taken, however many sessions there are. Raises TooManyDownloads."""
    response = StreamingHttpResponse(
        _in_pieces(all_that_is_known(customer)),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="customer-{customer.pk}.json"'},
    )
    response["Cache-Control"] = "no-store"
    return response


def all_that_is_known(customer: Customer) -> Iterator[str]:
    """The text of one JSON object: a list for each kind of thing, with each row as it is stored.

    Times are UTC. What came as bytes is text: bodies and answers are JSON within it, as LiveTok and we sent them.
    """
    traces = traces_of(customer)
    yield f'{{"made_at": {_as_json(timezone.now())}'
    for part in parts():
        for name, rows in part.known(customer, traces).items():
            yield f",\n{json.dumps(name)}: ["
            for number, row in enumerate(rows):
                yield f"{',' if number else ''}\n{_as_json(row)}"
            yield "]"
    yield "}\n"


def _as_json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(type(value).__name__)


def _in_pieces(texts: Iterable[str]) -> Iterator[bytes]:
    some: list[str] = []
    length = 0
    for text in texts:
        some.append(text)
        length += len(text)
        if length >= PIECE_CHARACTERS:
            yield "".join(some).encode("utf-8", "replace")
            some, length = [], 0
    yield "".join(some).encode("utf-8", "replace")
