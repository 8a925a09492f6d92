"""Months of LiveTok's events, one after the other by our clock, each through `webhook.receive`."""

import heapq
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from zoneinfo import ZoneInfo

from customers.phones import phone_key
from customers.zones import company_zone
from sessions_app.decision.rules import Reason
from sessions_app.demo.people import AGENTS, Company, Person
from sessions_app.demo.rhythm import OFFICE, arrivals, dice, duration_seconds
from sessions_app.demo.story import Story
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.payloads import Conversation, begin_document, end_document
from sessions_app.webhook.reception import Reply, receive

KEY = "LiveTok (demo)"
ADDRESS = "203.0.113.7"
AGENT_SHARES = {
    "telephony": (5, 3, 2, 3),
    "whatsapp": (1, 5, 2, 3),
    "web": (1, 6, 3, 1),
    "chat": (1, 6, 3, 1),
}
# Denials that trying again does not change: people give up.
STANDING = frozenset(
    {
        Reason.UNKNOWN_CALLER,
        Reason.NO_NUMBER,
        Reason.CUSTOMER_BLOCKED,
        Reason.CUSTOMER_PAUSED,
        Reason.CUSTOMER_NOT_YET_VALID,
        Reason.CUSTOMER_EXPIRED,
        Reason.CHANNEL_NOT_ALLOWED,
    }
)
IGNORED = (
    b'{"event": "agent_updated", "agentId": 2, "agentName": "Support"}',
    b'{"type": "conversation.rated", "data": {"rating": 5}}',
)
REJECTED = (
    b'{"event": "session_begin", "kind": "web", "agentId": 2}',
    b'{"event": "session_end", "sessionId": "", "duration": 12}',
    b'{"event": "session_begin", "sessionId": "ses_',
    b'["session_begin"]',
)


@dataclass
class Call:
    """One session as it takes place, whatever the events say of it."""

    person: Person
    talk: Conversation
    at: datetime
    seconds: int
    rng: Random
    redials: int

    @property
    def ends_at(self) -> datetime:
        return self.at + timedelta(seconds=self.seconds)


class Player:
    """Whatever is to come, in the order in which it reaches us."""

    def __init__(self, seed: int, company: Company, story: Story, start: datetime, until: datetime) -> None:
        self.seed, self.company, self.story = seed, company, story
        self.start, self.until = start, until
        self.begins = 0
        self._due: list[tuple[datetime, int, Callable[[datetime], object]]] = []
        self._order = count()
        self._calls = count()
        self._in_vain: Counter[tuple[Person, str]] = Counter()
        self._newest_id = ""

    def play(self, progress: Callable[[float, int], None]) -> None:
        """Play it all; `progress` is told the share that is done and how many sessions began."""
        self._plan()
        length = (self.until - self.start) / timedelta(seconds=1)
        while self._due and self._due[0][0] <= self.until:
            at, _, action = heapq.heappop(self._due)
            action(at)
            progress((at - self.start) / timedelta(seconds=1) / length, self.begins)
        progress(1.0, self.begins)

    def _at(self, moment: datetime, action: Callable[[datetime], object]) -> None:
        # The number keeps actions of one moment in order, and keeps heapq from comparing functions.
        heapq.heappush(self._due, (moment, next(self._order), action))

    def _plan(self) -> None:
        for moment, doing in self.story.doings:
            self._at(moment, doing)
        for index, person in enumerate(self.company.people):
            rng = dice(self.seed, "arrivals", index)
            for moment in arrivals(rng, person.rhythm, person.zone, person.a_day, self.start, self.until):
                self._at(moment, partial(self._arrive, person))
                if self.story.busy.holds(moment) and rng.random() < 0.8:
                    self._at(moment + timedelta(minutes=rng.randrange(5, 240)), partial(self._arrive, person))
        self._plan_oddities()
        self._plan_open_sessions()

    def _plan_oddities(self) -> None:
        """Test traffic, events that are none of ours, and bodies that nobody can read."""
        rng = dice(self.seed, "oddities")
        moments = partial(arrivals, rng, OFFICE, company_zone(), start=self.start, until=self.until)
        tester = Person("", ("+441632960000",), ZoneInfo("UTC"), OFFICE, 0, {"web": 1.0})
        for moment in moments(a_day=1.2):
            self._at(moment, partial(self._arrive, tester, is_test=True))
        for bodies, a_day in ((IGNORED, 2.5), (REJECTED, 0.5)):
            for moment in moments(a_day=a_day):
                self._at(moment, partial(self._send, rng.choice(bodies), ""))

    def _plan_open_sessions(self) -> None:
        """Whatever the hour, somebody is talking right now."""
        rng = dice(self.seed, "open")
        likely = [person for person in self.company.customers if person.tier != "free"]
        for person in rng.sample(likely, min(8, len(likely))):
            moment = self.until - timedelta(seconds=rng.randrange(20, 900))
            self._at(moment, partial(self._arrive, person, at_least_seconds=3600))

    def _arrive(
        self, person: Person, at: datetime, *, redials: int = 0, at_least_seconds: int = 0, is_test: bool = False
    ) -> None:
        # Of its own, so that what one call draws changes no other.
        rng = dice(self.seed, "call", next(self._calls))
        channel = rng.choices(list(person.channels), list(person.channels.values()))[0]
        tries = self._in_vain[person, channel]
        if tries and rng.random() < min(0.93, 1 - 0.6**tries):
            return
        at = at.astimezone(UTC).replace(microsecond=0)
        seconds = max(at_least_seconds, duration_seconds(rng, channel))
        call = Call(person, self._conversation(rng, person, channel, is_test), at, seconds, rng, redials)
        lag = rng.uniform(20, 90) if rng.random() < 0.002 else _lag(rng)
        body = json.dumps(begin_document(call.talk, at)).encode()
        self._at(at + timedelta(seconds=lag), partial(self._begin, call, body))

    def _conversation(self, rng: Random, person: Person, channel: str, is_test: bool) -> Conversation:
        """Whom LiveTok sees: on the web a customer who is signed in, or nobody; else a number."""
        agent = rng.choices(list(AGENTS), AGENT_SHARES[channel])[0]
        session_id = f"ses_{rng.getrandbits(48):012x}"
        if rng.random() < 0.0004 and self._newest_id:
            session_id = self._newest_id  # LiveTok does not promise that an id is never used again
        self._newest_id = session_id
        is_web = channel == "web" and not is_test
        number = None if is_web or not person.numbers else _number(rng, person, channel)
        return Conversation(
            session_id=session_id,
            channel=channel,
            number=number,
            agent=int(agent),
            agent_name=AGENTS[agent],
            customer_id=person.customer_id if is_web else "",
            is_test=is_test,
            second_envelope=is_test or (is_web and bool(person.customer_id)),
        )

    def _begin(self, call: Call, body: bytes, at: datetime) -> None:
        if call.rng.random() < 0.0015:
            self._end(call)  # the begin got lost on its way
            return
        reply = self._send(body, "begin", at)
        if reply is None:
            self._end(call)
            return
        self.begins += 1
        self._again(call, body, "begin", at)
        answer = json.loads(reply.content)
        if answer["allowed"]:
            self._in_vain[call.person, call.talk.channel] = 0
            self._end(call)
        else:
            self._turned_away(call, Reason(answer["context"]["denied_reason"]), at)

    def _end(self, call: Call) -> None:
        rng = call.rng
        if rng.random() < 0.006:
            return  # its end never comes
        odd = rng.random()
        stated: int | None = call.seconds
        if odd < 0.004:
            stated = None
        elif odd < 0.006:
            stated = call.seconds + rng.randrange(90, 400)
        elif odd < 0.0065:
            stated = -1
        lag = _lag(rng)
        if self.story.slow.holds(call.ends_at):
            lag = rng.uniform(1800, 7200)
        elif rng.random() < 0.012:
            lag = rng.uniform(600, 6 * 3600)
        self._send_end(call, call.ends_at, stated, lag)
        if rng.random() < 0.01:
            corrected_at = call.ends_at + timedelta(seconds=rng.randrange(1, 30))
            self._send_end(call, corrected_at, max(1, call.seconds + rng.randrange(-20, 40)), lag + rng.uniform(5, 900))

    def _send_end(self, call: Call, at: datetime, stated_seconds: int | None, lag: float) -> None:
        body = json.dumps(end_document(call.talk, at, stated_seconds)).encode()

        def arrives(at: datetime) -> None:
            if self._send(body, "end", at) is not None:
                self._again(call, body, "end", at)

        self._at(at + timedelta(seconds=lag), arrives)

    def _again(self, call: Call, body: bytes, route: str, at: datetime) -> None:
        """LiveTok tries again where our answer does not get back to it."""
        if call.rng.random() < (0.7 if self.story.lossy.holds(at) else 0.013):
            for retry in range(call.rng.choice([1, 1, 1, 2, 3])):
                self._at(at + timedelta(seconds=2**retry + _lag(call.rng)), partial(self._send, body, route))

    def _turned_away(self, call: Call, reason: Reason, at: datetime) -> None:
        rng, outcome = call.rng, call.rng.random()
        if reason in STANDING:
            self._in_vain[call.person, call.talk.channel] += 1
        if outcome < 0.1:
            self._send_end(call, call.at + timedelta(seconds=2), 0, _lag(rng))
        elif outcome < 0.115:
            self._send_end(call, call.ends_at, call.seconds, _lag(rng))  # it was not kept out
        elif outcome < 0.35 and call.redials < 2:
            again_at = at + timedelta(seconds=rng.uniform(40, 1200))
            self._at(again_at, partial(self._arrive, call.person, redials=call.redials + 1))

    def _send(self, body: bytes, route: str, at: datetime) -> Reply | None:
        """None where Frontdesk is away, and the event lost."""
        if any(window.holds(at) for window in self.story.away):
            return None
        return receive(body, route=route, received_at=at, delivery=Delivery(KEY, ADDRESS))


def _number(rng: Random, person: Person, channel: str) -> str:
    """The way LiveTok writes it. SIP addresses are for telephony alone."""
    numbers = [number for number in person.numbers if channel == "telephony" or not number.startswith("sip:")]
    number = phone_key(numbers[0] if rng.random() < 0.7 else rng.choice(numbers)) or "anonymous"
    return f"whatsapp:{number}" if channel == "whatsapp" and rng.random() < 0.05 else number


def _lag(rng: Random) -> float:
    """Seconds from LiveTok to us."""
    return round(min(15.0, rng.lognormvariate(math.log(0.3), 0.6)), 3)
