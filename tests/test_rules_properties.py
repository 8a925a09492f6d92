"""A rule fires once for a session, whatever comes in which order, how often, and whenever it is judged."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from automations.models import Delivery, Firing, Occurrence
from automations.rules.judging import Judge
from tests.builders import make_customer, make_tier
from tests.examples import examples
from tests.following import make_destination, make_rule

pytestmark = pytest.mark.property

TRIGGERS = ("began_allowed", "ended", "end_corrected", "new_caller")
NUMBERS = {"a": "+1234567890", "b": "+15550001", "c": "+15550001"}
SESSIONS = st.sampled_from(sorted(NUMBERS))
BEGINS = st.tuples(st.just("begin"), SESSIONS, st.just(None))
ENDS = st.tuples(st.just("end"), SESSIONS, st.sampled_from([10, 20, 30]))
JUDGED = st.just(("judge", "", None))


def test_any_order_and_repetition_fires_a_rule_once_for_a_session(livetok):
    make_customer(make_tier("premium"))
    destination = make_destination()
    rules = {trigger: make_rule(trigger, destination) for trigger in TRIGGERS}

    @settings(max_examples=examples(0.2))
    @given(st.lists(BEGINS | ENDS | JUDGED, max_size=14))
    def check(steps):
        with transaction.atomic():
            _play(livetok, steps)
            fired = list(Firing.objects.values_list("rule", "session__session_id"))
            begun = {session for what, session, _ in steps if what == "begin"}
            ended = {session for what, session, _ in steps if what == "end"}
            durations = {(session, duration) for what, session, duration in steps if what == "end"}
            corrected = {one for one in ended if sum(session == one for session, _ in durations) > 1}

            assert len(fired) == len(set(fired)) == Delivery.objects.count()
            assert {one for rule, one in fired if rule == rules["began_allowed"].pk} == begun
            assert {one for rule, one in fired if rule == rules["ended"].pk} == ended
            assert {one for rule, one in fired if rule == rules["end_corrected"].pk} <= corrected
            assert sum(rule == rules["new_caller"].pk for rule, _ in fired) == bool((begun | ended) & {"b", "c"}), steps
            assert not Occurrence.objects.exists()
            transaction.set_rollback(True)

    check()


def _play(livetok, steps):
    now = timezone.now()
    for what, session, duration in [*steps, ("judge", "", None)]:
        said = {"sessionId": session, "phoneNumber": NUMBERS.get(session)}
        if what == "judge":
            Judge().judge()
        elif what == "begin":
            livetok.begin(**said, timestamp=now.isoformat())
        else:
            livetok.end(**said, duration=duration, timestamp=(now + timedelta(minutes=1)).isoformat())
