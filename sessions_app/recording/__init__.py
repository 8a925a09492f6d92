"""The only place that writes sessions."""
