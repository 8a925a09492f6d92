"""The overview of a period: a page whose parts have a module each."""
