"""Staff's view of what happened, one module per subject. Nothing here is edited."""

from sessions_app.admin import log, sessions, usage

__all__ = ["log", "sessions", "usage"]
