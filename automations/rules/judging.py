"""Events that rules wait for are judged: which rules fire on each."""

import logging
from collections.abc import Callable, Sequence

from automations.happenings import triggers_of_kind
from automations.models import Occurrence, Rule, Trigger
from automations.rules.conditions import failed_condition
from automations.rules.firing import event_of, fire
from automations.rules.matching import conditions_of, subject_of
from automations.rules.usage_alerts import usage_events
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import Session

logger = logging.getLogger("frontdesk.automations")

AT_ONCE = 50


class Judge:
    """One for a process. What cannot be judged stays in the table, and holds up nothing."""

    def __init__(self) -> None:
        self._failed: set[int] = set()

    def judge(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Judge what waits, some at a time. Returns how many."""
        judged = 0
        while not should_stop():
            taken = self._judge_some()
            judged += taken
            if taken < AT_ONCE:
                break
        return judged

    def _judge_some(self) -> int:
        """Taken and deleted in one transaction with what follows: a worker that dies leaves them to another."""
        if not Occurrence.objects.exclude(pk__in=self._failed).exists():
            return 0
        with bulk_transaction():
            waiting = Occurrence.objects.exclude(pk__in=self._failed).order_by("pk")
            some = list(waiting.select_for_update(skip_locked=True)[:AT_ONCE])
            rules = list(Rule.objects.active(*(set(Trigger) - {Trigger.MISSING_END, Trigger.SILENT})))
            done = [one.pk for one in some if self._judge_one(one, rules)]
            Occurrence.objects.filter(pk__in=done).delete()
        return len(some)

    def _judge_one(self, occurrence: Occurrence, rules: Sequence[Rule]) -> bool:
        try:
            judge_occurrence(occurrence, rules)
        except ValueError:
            logger.exception("an event cannot be judged", extra={"session": occurrence.session_id})
            self._failed.add(occurrence.pk)
            return False
        return True


def judge_occurrence(occurrence: Occurrence, rules: Sequence[Rule]) -> None:
    """Fire those of the rules that the event sets off. Of a session that is gone, nothing follows."""
    session = (
        Session.objects.filter(session_id=occurrence.session_id, is_test=occurrence.is_test, number=occurrence.number)
        .select_related("customer", "tier", "channel", "agent")
        .first()
    )
    if session is None:
        return
    set_off = triggers_of_kind(occurrence.kind, bool(session.allowed), occurrence.is_first_contact)
    subject = subject_of(session)
    for rule in rules:
        if rule.trigger not in set_off or failed_condition(conditions_of(rule), subject):
            continue
        if rule.trigger == Trigger.USAGE_REACHED:
            for event in usage_events(rule, session, occurrence.received_at):
                fire(rule, event)
        else:
            fire(rule, event_of(session, occurrence.received_at))


judge = Judge()
