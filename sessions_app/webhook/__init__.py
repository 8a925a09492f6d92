"""HTTP, from bytes to status, and what happens without a database."""
