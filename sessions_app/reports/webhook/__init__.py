"""The webhook's health: a page whose parts have a module each."""
