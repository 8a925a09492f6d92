"""What followed the events that were acknowledged, as the receiver of rules' requests has seen it."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from benchmarks.livetok import Event
from benchmarks.sql import execute, rows
from benchmarks.traffic import number_of
from tests.live import ROOT
from tests.standins import Received

OUTGOING = {"OUTGOING_ALLOWED_HOSTS": "127.0.0.0/8", "OUTGOING_ALLOW_HTTP": "yes"}
# Every session sets off one of the first two, and the third.
TRIGGERS = ("began_allowed", "began_denied", "ended")
PATIENCE_SECONDS = 60

Subject = tuple[str, str]


@dataclass(frozen=True)
class Followed:
    """How many break the promise that all arrives at least once, always with the same key and bytes."""

    not_arrived: int  # acknowledged, and no request came
    of_nothing: int  # requests for what is not stored
    of_other_keys: int  # rule and session, with more than one key
    of_other_bytes: int  # keys that came with more than one body

    @property
    def are_none(self) -> bool:
        return not any(asdict(self).values())


def make_rules(env: dict[str, str], address: str, triggers: Iterable[str] = TRIGGERS, *, customers: int = 0) -> None:
    """Rules for each trigger: for the first `customers` alone, or for all where it is 0."""
    command = [sys.executable, "-m", "benchmarks.rules_made", address, str(customers), *triggers]
    subprocess.run(command, cwd=ROOT, env=env, check=True)


def followed(events: Iterable[Event], url: str, requests: list[Received], customers: int = 0) -> Followed:
    """`customers` as in `make_rules`."""
    keys: dict[Subject, set[str]] = defaultdict(set)
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for request in list(requests):
        said, key = json.loads(request.body), request.headers["webhook-id"]
        keys[said["trigger"], said["session"]].add(key)
        bodies[key].add(request.body)
    arrived = {(_kind(trigger), session) for trigger, session in keys}
    numbers = {number_of(index) for index in range(customers)}
    wanted = [event for event in events if not numbers or json.loads(event.body)["phoneNumber"] in numbers]
    acknowledged = {(event.name, event.session_id) for event in wanted if event.answers}
    return Followed(
        not_arrived=len(acknowledged - arrived),
        of_nothing=len(arrived - _stored(url)),
        of_other_keys=sum(len(found) > 1 for found in keys.values()),
        of_other_bytes=sum(len(found) > 1 for found in bodies.values()),
    )


def all_followed(events: list[Event], url: str, requests: list[Received], customers: int) -> Followed:
    """Once everything has arrived, or nothing more comes. Leases of what was killed end now, not in a minute."""
    execute(url, "UPDATE automations_delivery SET lease_until = created_at WHERE state = 'sending'")
    found, count = followed(events, url, requests, customers), len(requests)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while found.not_arrived and time.monotonic() < give_up_at:
        time.sleep(0.5)
        found = followed(events, url, requests, customers)
        if len(requests) > count:
            count, give_up_at = len(requests), time.monotonic() + PATIENCE_SECONDS
    return found


def _kind(trigger: str) -> str:
    return "session_end" if trigger == "ended" else "session_begin"


def _stored(url: str) -> set[Subject]:
    stored = rows(url, "SELECT session_id, begin_body IS NOT NULL, end_body IS NOT NULL FROM sessions_app_session")
    begun = {("session_begin", session) for session, has_begin, _ in stored if has_begin}
    return begun | {("session_end", session) for session, _, has_end in stored if has_end}
