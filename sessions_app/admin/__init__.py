"""Staff's view of what happened, one module per subject. Nothing here is edited."""

from sessions_app.admin import drafts, log, sessions, usage

__all__ = ["drafts", "log", "sessions", "usage"]
