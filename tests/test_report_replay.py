"""The page of a replay, from a draft's page to what the draft would have done, and who may ask and read."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Agent, Customer, PhoneNumber, TierChange, TierChangeLimit
from customers.personal.erasing import begin_erasing
from customers.scheduling import put_into_force, start_draft
from sessions_app.models import DailyUsage, Replay, Session
from sessions_app.replay.running import replay_further
from sessions_app.replay.summing import Line, Summary, Turned
from sessions_app.reports.replay import minutes_more, result_sentence
from tests.builders import limit, make_customer, make_override, make_tier
from tests.staff import form_of, staff, text_of
from tests.test_replay import NOW, NUMBERS, call

pytestmark = pytest.mark.django_db
ASKED_AT = NOW + timedelta(hours=2)
STATEMENTS = 16


@pytest.fixture(autouse=True)
def then():
    with time_machine.travel(ASKED_AT, tick=False):
        yield


@pytest.fixture
def managers(db):
    return staff("managers", sees_numbers=True)


@pytest.fixture
def draft(managers) -> TierChange:
    """Of a tier with 10 minutes a day: Ada has called three times for 5, and Bob, who has no name, once."""
    tier = make_tier("free", limit("call_minutes", 10))
    make_customer(tier, NUMBERS[0])
    make_customer(tier, NUMBERS[1], name="")
    for number in range(3):
        call(f"ada-{number}", NOW + timedelta(minutes=10 * number), 300)
    call("bob", NOW, 60, NUMBERS[1])
    assert Session.objects.filter(allowed=False).count() == 1
    return with_amount(start_draft(tier, None), 25)


def with_amount(draft: TierChange, amount: int) -> TierChange:
    draft.limits.update(amount=amount)
    return draft


def asked(client, draft: TierChange, days: int = 30) -> str:
    """The address of the result."""
    response = client.post(f"/reports/replays/of/{draft.pk}/", {"days": days})
    assert response.status_code == 302, response
    assert response.url == f"/reports/replays/{Replay.objects.get(change=draft, days=days).pk}/"
    return response.url


def replayed(client, draft: TierChange, days: int = 30) -> str:
    address = asked(client, draft, days)
    replay_further(lambda: False)
    return address


def lines(response) -> list[tuple[str, str, str, str]]:
    return [(line.what, line.now, line.then, line.difference) for line in response.context["compared"]]


def test_a_draft_says_in_its_first_line_what_it_would_have_done(managers, draft):
    page = managers.get(replayed(managers, draft))

    text = text_of(page)
    assert (
        "With this draft, 1 session of 1 customer would have been let in that today's limits deny: "
        "about 5 call minutes more." in text
    )
    assert text.index("With this draft") < text.index("Limits now")
    assert lines(page) == [
        ("Sessions let in", "3", "4", "+1"),
        ("Sessions denied", "1", "0", "−1"),
        ("Call minutes of the day", "1", "0", "−1"),
        ("Customers who met a denial", "1", "0", "−1"),
        ("Call minutes", "11", "16", "+5"),
    ]
    assert "10 call minutes a day 25 call minutes a day" in text
    session = Session.objects.get(session_id="ada-2")
    assert f'href="/reports/sessions/{session.pk}/"' in page.content.decode()
    assert (
        "Fri 29 Mar 2024, 12:20:00 Ada Would have been let in Call minutes of the day by the limits now +5.0 a guess"
    ) in text
    assert "data-seconds" not in page.content.decode()
    assert "changed since" not in text


def test_a_smaller_draft_denies(managers, draft):
    text = text_of(managers.get(replayed(managers, with_amount(draft, 1))))

    assert (
        "With this draft, 1 session of 1 customer would have been denied that today's limits let in: "
        "5 call minutes less." in text
    )
    assert "Would have been denied Call minutes of the day by this draft −5.0" in text


def test_a_draft_that_changes_nothing_says_so(managers, draft):
    text = text_of(managers.get(replayed(managers, with_amount(draft, 10))))

    assert "With this draft, every session would have been decided as by today's limits." in text
    assert "Which sessions" not in text


def test_until_the_worker_has_begun_the_page_waits_and_then_shows_how_far_it_is(managers, draft):
    address = asked(managers, draft)
    page = managers.get(address)
    assert "Waiting for the worker" in text_of(page)
    assert re.search(r'<progress id="replay-progress" max="100"></progress>', page.content.decode())
    assert "live.js" in page.content.decode()

    replay_further(lambda: False)
    Replay.objects.update(finished_at=None, customers=340, customers_done=12)
    fragment = managers.get(address, {"fragment": "1"})

    assert "12 of 340 customers, 3 %" in text_of(fragment)
    assert '<progress id="replay-progress" max="100" value="3">' in fragment.content.decode()
    assert 'data-seconds="2"' in fragment.content.decode()
    assert "So far With this draft, 1 session of 1 customer" in text_of(fragment)
    assert "<html" not in fragment.content.decode()


def test_a_replay_that_broke_off_says_so(managers, draft, monkeypatch):
    address = asked(managers, draft)
    monkeypatch.setattr("sessions_app.replay.running.replayed_customers", lambda *args: 1 / 0)
    replay_further(lambda: False)

    text = text_of(managers.get(address))

    assert "It broke off by an error, which is in the worker's log. Replay it again." in text
    assert "No session of this tier" not in text
    assert "Replay again" in text


def test_days_without_a_session_say_so(managers, draft):
    Session.objects.all().delete()
    assert "No session of this tier's customers in these days" in text_of(managers.get(replayed(managers, draft)))


def test_what_was_changed_since_is_told_and_replayed_anew(managers, draft):
    address = replayed(managers, draft)
    with_amount(draft, 12)

    page = managers.get(address)

    assert "Draft or tier were changed since." in text_of(page)
    assert "10 call minutes a day 25 call minutes a day" in text_of(page)  # as they were then
    assert replayed(managers, draft) == address
    assert "changed since." not in text_of(managers.get(address))
    assert Replay.objects.count() == 1


def test_what_has_come_into_force_is_not_replayed_again(managers, draft):
    address = replayed(managers, draft)
    put_into_force(draft, draft.tier, managers.user)

    page = managers.get(address)

    assert "These limits have come into force." in text_of(page)
    assert "Replay again" not in text_of(page)
    response = managers.post(f"/reports/replays/of/{draft.pk}/", {"days": 30}, follow=True)
    assert "These limits have come into force: there is nothing to compare" in text_of(response)
    assert f"/reports/replays/{Replay.objects.get().pk}/" == address  # the old result stays


def test_decisions_that_limits_would_make_otherwise_today_are_counted(managers, draft):
    make_override(Customer.objects.get(name="Ada"), limit("call_minutes", 30))

    text = text_of(managers.get(replayed(managers, draft)))

    assert "1 session was decided otherwise at the time than today's limits decide it" in text


def test_who_may_not_see_numbers_sees_none(managers, draft):
    address = replayed(managers, with_amount(draft, 0))
    number = PhoneNumber.objects.get(key=NUMBERS[1])

    shown = text_of(managers.get(address))
    masked = text_of(staff("viewers", "masked").get(address))

    assert str(number) in shown
    assert NUMBERS[1] not in masked
    assert f"{number.customer.numbered} 0 1 −1.0" in masked


def test_who_may_read_and_who_may_ask(managers, draft):
    address = replayed(managers, draft)
    viewer, nobody = staff("viewers", "viewer"), staff(None, "nobody")

    page = viewer.get(address)
    assert page.status_code == 200
    assert "Replay" not in re.sub("What a replay cannot know", "", text_of(page))
    assert viewer.post(f"/reports/replays/of/{draft.pk}/", {"days": 30}).status_code == 403
    assert nobody.get(address).status_code == 403
    sees_sessions_alone = staff(None, "strict")
    sees_sessions_alone.user.user_permissions.add(permission("view_session"))
    refused = sees_sessions_alone.get(address)
    assert refused.status_code == 403
    assert "customers.view_tier" in text_of(refused)


def permission(codename: str) -> Permission:
    return Permission.objects.get(codename=codename, content_type__app_label__in=("customers", "sessions_app"))


def test_days_that_are_not_offered_are_not_replayed(managers, draft):
    for sent in ({}, {"days": "365"}, {"days": "x"}):
        assert managers.post(f"/reports/replays/of/{draft.pk}/", sent).url.endswith(f"/tierchange/{draft.pk}/change/")
    assert managers.get(f"/reports/replays/of/{draft.pk}/").status_code == 302
    assert not Replay.objects.exists()


def test_the_page_stays_when_sessions_customers_and_names_are_gone(managers, draft):
    address = replayed(managers, with_amount(draft, 0))
    begin_erasing(Customer.objects.get(name="Ada").pk, "ana")
    Session.objects.filter(session_id="bob").delete()
    bob = Customer.objects.get(name="")
    PhoneNumber.objects.filter(customer=bob).delete()
    DailyUsage.objects.filter(customer=bob).delete()
    Customer.objects.filter(pk=bob.pk).delete()

    text = text_of(managers.get(address))

    assert "Ada" not in text
    assert "Erased customer" in text
    assert f"Fri 29 Mar 2024, 12:00:00 deleted by age since Customer {bob.pk} gone since" in text
    assert f"Customer {bob.pk} gone since 0 1 −1.0" in text


def test_agents_stand_by_their_names_and_scheduled_changes_by_their_moment(managers, draft):
    Agent.objects.update_or_create(livetok_id="7", defaults={"name": "Sofia"})
    TierChangeLimit.objects.create(change=draft, metric="sessions", period="day", amount=3, agent_id="7")
    TierChange.objects.filter(pk=draft.pk).update(starts_at=ASKED_AT + timedelta(days=3))

    text = text_of(managers.get(replayed(managers, draft)))

    assert "3 sessions a day with agent Sofia" in text
    assert "Free from Mon 1 Apr 2024, 14:00:00, the last 30 days" in text
    assert "With this change, 1 session of 1 customer" in text


def test_many_sessions_are_paged_and_beyond_a_thousand_told(managers, draft, monkeypatch):
    monkeypatch.setattr("sessions_app.reports.replay.SESSIONS_A_PAGE", 2)
    monkeypatch.setattr("sessions_app.replay.summing.MOST_CHANGED", 3)
    address = replayed(managers, with_amount(draft, 0))

    first, last = managers.get(address), managers.get(address, {"page": "2"})

    began = [[line.changed.began_at for line in page.context["session_lines"]] for page in (first, last)]
    assert [len(one) for one in began] == [2, 1]
    assert began[0][0] >= began[0][1] >= began[1][0]
    assert "Older ›" in text_of(first)
    assert "‹ Newer" in text_of(last)


def test_the_newest_of_many_are_counted(managers, draft, monkeypatch):
    monkeypatch.setattr("sessions_app.replay.summing.MOST_CHANGED", 2)
    assert "The newest 2 of 3 sessions" in text_of(managers.get(replayed(managers, with_amount(draft, 0))))


def test_the_page_asks_a_fixed_number_of_statements(managers, draft):
    for number in range(8):
        numbers = f"+3460000010{number}"
        make_customer(draft.tier, numbers, name="")
        call(f"more-{number}", NOW, 60, numbers)
    address = replayed(managers, with_amount(draft, 0))

    with CaptureQueriesContext(connection) as captured:
        managers.get(address)

    assert len(captured) <= STATEMENTS


# On the draft's page


def draft_page(draft: TierChange) -> str:
    return f"/admin/customers/tierchange/{draft.pk}/change/"


def test_a_button_of_the_draft_saves_what_stands_in_the_form_and_replays_that(managers, draft):
    form = form_of(managers, draft_page(draft))
    (name,) = [name for name, value in form.items() if name.endswith("-amount") and value == "25"]

    response = managers.post(draft_page(draft), form | {name: "11", "_replay_7": "Replay the last 7 days"})

    replay = Replay.objects.get()
    assert response.url == f"/reports/replays/{replay.pk}/"
    assert (replay.days, replay.limits[0][2], replay.limits_now[0][2]) == (7, 11, 10)
    assert replay.asked_by == managers.user
    draft.refresh_from_db()
    assert draft.starts_at is None
    assert [row.amount for row in draft.shown_limits] == [11]
    shown = text_of(managers.get(draft_page(draft)))
    assert "What would it have done?" in shown
    assert "The last 7 days , up to Fri 29 Mar 2024, 14:00: still being worked out" in shown


def test_a_replay_does_not_schedule_the_draft(managers, draft):
    form = form_of(managers, draft_page(draft)) | {"starts_at_0": "2024-05-01", "starts_at_1": "00:00:00"}

    response = managers.post(draft_page(draft), form | {"_replay_30": "Replay"})

    assert "A replay saves the draft as a draft." in text_of(response)
    assert not Replay.objects.exists()
    draft.refresh_from_db()
    assert draft.starts_at is None


def test_a_scheduled_change_is_replayed_until_it_has_come(managers, draft):
    TierChange.objects.filter(pk=draft.pk).update(starts_at=ASKED_AT + timedelta(days=3))
    page = managers.get(draft_page(draft)).content.decode()
    assert f'name="days" value="90" formaction="/reports/replays/of/{draft.pk}/"' in page

    TierChange.objects.filter(pk=draft.pk).update(starts_at=ASKED_AT - timedelta(days=3))
    assert "What would it have done?" not in managers.get(draft_page(draft)).content.decode()


def test_who_may_not_see_sessions_has_no_replays(managers, draft):
    replayed(managers, draft)
    alone = staff(None, "tiers alone")
    for codename in ("view_tier", "change_tier"):
        alone.user.user_permissions.add(permission(codename))
    form = form_of(alone, draft_page(draft))

    assert "What would it have done?" not in text_of(alone.get(draft_page(draft)))
    assert alone.post(draft_page(draft), form | {"_replay_7": "Replay"}).status_code == 403
    assert alone.post(f"/reports/replays/of/{draft.pk}/", {"days": 7}).status_code == 403
    viewer = text_of(staff("viewers", "viewer").get(draft_page(draft)))
    assert "The last 30 days" in viewer
    assert "Replay the last" not in viewer


def test_a_draft_is_deleted_with_its_replays(managers, draft):
    replayed(managers, draft)

    managers.post(f"/admin/customers/tierchange/{draft.pk}/delete/", {"post": "yes"})

    assert not TierChange.objects.exists()
    assert not Replay.objects.exists()


# In words


def test_the_sentence_counts_both_ways():
    summary = Summary(
        sessions=900,
        now=Line(call_seconds=60_000),
        then=Line(call_seconds=72_720),
        let_in=Turned(14, 6, 14_000, 14),
        denied=Turned(3, 1, 1_280),
    )
    assert result_sentence(summary, "draft") == (
        "With this draft, 14 sessions of 6 customers would have been let in that today's limits deny, and 3 sessions "
        "of 1 customer would have been denied that today's limits let in: about 212 call minutes more."
    )


@pytest.mark.parametrize("seconds, words", [(0, "0"), (90, "+1.5"), (-90, "−1.5"), (6_000_000, "+100,000.0")])
def test_minutes_more_and_less(seconds, words):
    assert minutes_more(seconds) == words
