"""Statements of a month: counted, closed, corrected."""
