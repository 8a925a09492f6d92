"""Parts of a session's page that other apps bring, by dotted names in the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from sessions_app.models import Session
from sessions_app.recording.hooks import imported


@dataclass(frozen=True)
class Part:
    """`template` is a whole section of the page; it finds `context` under the name `part`."""

    template: str
    context: Mapping[str, Any]


def page_parts(session: Session, user: Any) -> list[Part]:
    """What SESSION_PAGE_PARTS bring. Each is called as `part(session, user)`, and returns a Part, or None."""
    return [part for name in settings.SESSION_PAGE_PARTS if (part := imported(name)(session, user)) is not None]
