"""How many wrong passwords may be tried, by name and by address. allauth counts them, in the shared cache."""

import hashlib
import time
from typing import NamedTuple

from allauth.core.internal.ratelimit import RateLimitUsage, consume, get_cache_key, parse_rate
from django.core.cache import cache
from django.http import HttpRequest

APP = "frontdesk"
# Strangers who guess one name from everywhere slow that name everywhere, but where it signed in before.
KNOWN_SECONDS = 90 * 24 * 60 * 60


class Limit(NamedTuple):
    """`rate` as allauth writes it: how many, in which time, counted by key."""

    action: str
    rate: str


FOR_NAME_AND_ADDRESS = Limit("sign_in_name_and_address", "5/5m/key")
FOR_ADDRESS = Limit("sign_in_address", "20/5m/key")
FOR_NAME = Limit("sign_in_name", "50/15m/key")


class TooManyGuesses(Exception):
    """`seconds` until the next one is looked at."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Guess:
    """A try that counts as a wrong one until it is `taken_back`. Raises TooManyGuesses."""

    def __init__(self, request: HttpRequest, name: str, network: str) -> None:
        self._request, self._known = request, _key(name, network)
        self._counted: list[RateLimitUsage] = []
        self._count(FOR_NAME_AND_ADDRESS, self._known)
        self._count(FOR_ADDRESS, _key(network))
        if not cache.get(f"{APP}:known:{self._known}"):
            self._count(FOR_NAME, _key(name))

    def take_back(self) -> None:
        for usage in self._counted:
            usage.rollback()

    def was_right(self) -> None:
        self.take_back()
        cache.set(f"{APP}:known:{self._known}", True, KNOWN_SECONDS)

    def _count(self, limit: Limit, key: str) -> None:
        config = {limit.action: limit.rate}
        usage = consume(self._request, app=APP, action=limit.action, config=config, key=key)
        if usage is None:
            self.take_back()
            raise TooManyGuesses(_seconds_left(self._request, limit, key))
        self._counted.append(usage)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).casefold().encode("utf-8", "surrogatepass")).hexdigest()


def _seconds_left(request: HttpRequest, limit: Limit, key: str) -> int:
    rate = parse_rate(limit.rate)
    history = cache.get(get_cache_key(request, app=APP, action=limit.action, rate=rate, key=key), [])
    # allauth keeps the newest first.
    oldest = history[-1] if history else time.time() - rate.duration
    return max(1, int(oldest + rate.duration - time.time()) + 1)
