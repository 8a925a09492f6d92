"""How many wrong passwords and codes may be tried, by name and by address. allauth counts them, in the shared cache."""

import hashlib
import logging
import time
from datetime import datetime
from math import ceil
from typing import NamedTuple

from allauth.core.internal.ratelimit import RateLimitUsage, consume, get_cache_key, parse_rate
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db.models import F
from django.http import HttpRequest

from config.minutes import minutes
from config.models import FailedSignIns
from config.sign_in.network import network_of
from sessions_app.webhook.hourly import HourlyCounter

APP = "frontdesk"
# Strangers who guess one name from everywhere slow that name everywhere, but where it signed in before.
KNOWN_SECONDS = 90 * 24 * 60 * 60
# Of a minute; strangers can fail any number of times, so further ones are only counted.
MOST_LOGGED = 20
LONGEST_NAME = 64

logger = logging.getLogger("frontdesk.sign_in")


class Limit(NamedTuple):
    """`rate` as allauth writes it: how many, in which time, counted by key."""

    action: str
    rate: str


FOR_NAME_AND_ADDRESS = Limit("sign_in_name_and_address", "5/5m/key")
FOR_ADDRESS = Limit("sign_in_address", "20/5m/key")
FOR_NAME = Limit("sign_in_name", "50/15m/key")
# Of codes, by name alone: whoever guesses them has the password, and with it as many known addresses as they like.
FOR_CODES = Limit("sign_in_codes", "10/15m/key")
# Of sign-ins that are begun by a passkey or at the issuer: each keeps a row for a while.
FOR_BEGINS = Limit("sign_in_begins", "30/5m/key")


class Guess:
    """A try that counts as a wrong one until it was right or is taken back.

    Raises ValidationError, which says how long to wait, where there were too many.
    """

    def __init__(self, request: HttpRequest, name: str) -> None:
        self._request, self._name = request, name.strip()
        self._address = str(request.META.get("REMOTE_ADDR", ""))
        network = network_of(self._address)
        self._known = _key(self._name, network)
        self._counted: list[RateLimitUsage] = []
        self._count(FOR_NAME_AND_ADDRESS, self._known)
        self._count(FOR_ADDRESS, _key(network))
        if not cache.get(f"{APP}:known:{self._known}"):
            self._count(FOR_NAME, _key(self._name))

    def take_back(self) -> None:
        for usage in self._counted:
            usage.rollback()

    def was_right(self) -> None:
        self.take_back()
        cache.set(f"{APP}:known:{self._known}", True, KNOWN_SECONDS)

    def was_wrong(self) -> None:
        note_failure(self._name, self._address)

    def _count(self, limit: Limit, key: str) -> None:
        usage = _consume(self._request, limit, key)
        if usage is None:
            self.take_back()
            _log("sign-in put off", self._name, self._address)
            raise _too_many("passwords", _seconds_left(self._request, limit, key))
        self._counted.append(usage)


def count_code(request: HttpRequest, name: str) -> RateLimitUsage:
    """Count a code as a wrong one; rolled back where it was right. Raises ValidationError, as a Guess does."""
    key = _key(name)
    usage = _consume(request, FOR_CODES, key)
    if usage is None:
        _log("sign-in put off", name, str(request.META.get("REMOTE_ADDR", "")))
        raise _too_many("codes", _seconds_left(request, FOR_CODES, key))
    return usage


def count_begin(request: HttpRequest) -> None:
    """Raises ValidationError where too many sign-ins were begun from the address."""
    key = _key(network_of(str(request.META.get("REMOTE_ADDR", ""))))
    counted = consume(request, app=APP, action=FOR_BEGINS.action, config=dict([FOR_BEGINS]), key=key, limit_get=True)
    if counted is None:
        wait = _in_words(_seconds_left(request, FOR_BEGINS, key))
        raise ValidationError(f"Too many sign-ins were begun from here. Wait {wait}, then try again.")


def note_failure(name: str, address: str) -> None:
    """A wrong password or code: counted by the hour, and in the log while there are few of them."""
    failed_sign_ins.count(address)
    _log("sign-in failed", name, address)


def _write_failures(hour: datetime, count: int, _address: str, _last_at: datetime) -> None:
    row, is_new = FailedSignIns.objects.get_or_create(hour=hour, defaults={"count": count})
    if not is_new:
        FailedSignIns.objects.filter(pk=row.pk).update(count=F("count") + count)


failed_sign_ins = HourlyCounter(_write_failures)


def _consume(request: HttpRequest, limit: Limit, key: str) -> RateLimitUsage | None:
    return consume(request, app=APP, action=limit.action, config={limit.action: limit.rate}, key=key)


def _too_many(what: str, seconds: int) -> ValidationError:
    return ValidationError(
        f"Too many wrong {what}. Wait {_in_words(seconds)}, then try again.", code="too_many_guesses"
    )


def _log(what: str, name: str, address: str) -> None:
    if minutes.count(what) <= MOST_LOGGED:
        readable = "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])
        logger.warning(what, extra={"username": readable, "address": address[:LONGEST_NAME]})


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).casefold().encode("utf-8", "surrogatepass")).hexdigest()


def _seconds_left(request: HttpRequest, limit: Limit, key: str) -> int:
    rate = parse_rate(limit.rate)
    history = cache.get(get_cache_key(request, app=APP, action=limit.action, rate=rate, key=key), [])
    # allauth keeps the newest first.
    oldest = history[-1] if history else time.time() - rate.duration
    return max(1, ceil(oldest + rate.duration - time.time()))


def _in_words(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} seconds" if seconds > 1 else "a second"
    minutes_left = -(-seconds // 60)
    return f"{minutes_left} minutes" if minutes_left > 1 else "a minute"
