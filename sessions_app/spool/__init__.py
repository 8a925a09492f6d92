"""Requests that wait on disk until the database takes them."""
