"""How many examples a property tries that takes long for each."""

from hypothesis import settings


def examples(times: float) -> int:
    """So many times those of the profile: `make torture` has one with ten times those of `make test`."""
    return max(1, round(times * settings().max_examples))
