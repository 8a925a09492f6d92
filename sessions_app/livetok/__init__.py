"""LiveTok's words, and ours for one event."""
