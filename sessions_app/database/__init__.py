"""How statements reach SQLite and PostgreSQL, and how long anybody waits. Nothing here knows a session."""
