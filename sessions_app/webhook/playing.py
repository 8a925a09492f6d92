"""A session that staff play: its begin and end through the webhook's own reception, as test traffic."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db.models import QuerySet

from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.payloads import PLAYED, Conversation, begin_document, end_document
from sessions_app.models import Session, WebhookEvent
from sessions_app.webhook.reception import Reply, receive

# What stands in the log in place of a key. No request over HTTP gets it.
PLAYED_BY = "Played by "


def play(talk: Conversation, begin_at: datetime, length: timedelta, *, now: datetime, by: str) -> Session:
    """Store a begin and, where it lets in, its end, as if LiveTok had sent them now. Uses and counts nothing."""
    talk = replace(talk, session_id=f"{PLAYED}{uuid4().hex[:12]}", is_test=True)
    delivery = Delivery(f"{PLAYED_BY}{by}"[: _longest_key()])
    begin = _sent(begin_document(talk, begin_at), "begin", now, delivery)
    if json.loads(begin.content)["allowed"]:
        _sent(end_document(talk, begin_at + length, round(length.total_seconds())), "end", now, delivery)
    return Session.objects.get(session_id=talk.session_id, is_test=True)


def _sent(document: dict[str, Any], route: str, now: datetime, delivery: Delivery) -> Reply:
    return receive(json.dumps(document).encode(), route=route, received_at=now, delivery=delivery)


def _longest_key() -> int:
    longest = WebhookEvent._meta.get_field("key").max_length
    assert longest is not None
    return longest


def of_livetok(events: "QuerySet[WebhookEvent]") -> "QuerySet[WebhookEvent]":
    """Without what staff played, which is no sign of LiveTok's."""
    return events.exclude(key__startswith=PLAYED_BY)


def sessions_of_livetok(sessions: "QuerySet[Session]") -> "QuerySet[Session]":
    """The same of sessions."""
    return sessions.exclude(is_test=True, session_id__startswith=PLAYED)
