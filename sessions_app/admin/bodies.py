"""Raw bodies, which are for those who have the permission."""

import contextlib
import json
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

SEE_BODIES = "sessions_app.view_bodies"
NO_BODIES = "You may not see raw bodies. The permission is “Can see the raw bodies of sessions and events”."


def body_shown(body: Any) -> SafeString:
    """Bytes as a person reads them: JSON with indents, else as they came."""
    text = bytes(body).decode("utf-8", "backslashreplace")
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    text = text.encode("utf-8", "backslashreplace").decode()
    return format_html('<pre class="body" tabindex="0">{}</pre>', text)
