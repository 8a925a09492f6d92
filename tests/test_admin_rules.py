"""Rules in the admin: conditions that fit, texts that are sound, switched on and off, rehearsed and tried out."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from automations.facts import values_of
from automations.models import Action, Delivery, Firing, Rule, Trigger
from automations.rules import rehearsal
from automations.rules.judging import judge
from automations.rules.matching import why_not
from automations.rules.rehearsal import rehearse
from automations.texts.checks import check_action
from automations.texts.names import NAMES
from customers.models import Agent, Tier
from customers.zones import company_zone
from sessions_app.models import Session
from tests.builders import limit, make_channel, make_customer, make_tier, the_session
from tests.following import add_secret, make_destination, make_rule
from tests.staff import errors_of, form_of, staff, text_of

PATH = "/admin/automations/rule/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(livetok):
    return staff("managers")


@pytest.fixture
def mails():
    return make_destination("", kind="email", name="Mails", owner_email="sales@acme.com")


def add(client, destination=None, **changes):
    path = f"{PATH}add/" + (f"?destination={destination.pk}" if destination else "")
    return client.post(path, {**form_of(client, path), "name": "Tell sales", **changes})


def change(client, rule, **changes):
    path = f"{PATH}{rule.pk}/change/"
    return client.post(path, {**form_of(client, path), **changes})


def now_text(**ago):
    return (timezone.now() - timedelta(**ago)).isoformat()


def test_a_rule_with_all_its_conditions_is_saved_and_shown_again(ana, mails):
    tier, channel = make_tier("vip"), make_channel("telephony")
    customer = make_customer(tier)
    agent = Agent.objects.create(livetok_id="agent_7", name="Reception")
    chosen = {
        "tiers": [tier.pk],
        "channels": [channel.pk],
        "agents": [agent.pk],
        "customers": [customer.pk],
        "weekdays": ["0", "4"],
        "from_time": "18:00",
        "until_time": "06:00",
        "least_duration_seconds": "60",
        "covers_tests": "on",
    }

    response = add(ana, mails, trigger="ended", **chosen)

    assert response.status_code == 302, errors_of(response)
    rule = Rule.objects.get()
    assert (rule.weekdays, rule.reasons, rule.thresholds, rule.least_duration_seconds) == ([0, 4], [], [], 60)
    assert [list(many.all()) for many in (rule.tiers, rule.channels, rule.agents, rule.customers)] == [
        [tier],
        [channel],
        [agent],
        [customer],
    ]
    assert change(ana, rule, name="Renamed").status_code == 302
    rule.refresh_from_db()
    assert (rule.weekdays, rule.tiers.get(), rule.actions.get().destination) == ([0, 4], tier, mails)
    history = text_of(ana.get(f"{PATH}{rule.pk}/history/"))
    assert "Renamed" in history
    assert "Vip" in history


def test_thresholds_are_written_as_text(ana, mails):
    assert add(ana, mails, trigger="usage_reached", thresholds="100, 80 %,80").status_code == 302

    rule = Rule.objects.get()
    assert rule.thresholds == [80, 100]
    assert form_of(ana, f"{PATH}{rule.pk}/change/")["thresholds"] == "80, 100"


@pytest.mark.parametrize(
    ("trigger", "field", "value"),
    [
        ("began_allowed", "reasons", ["sessions_day"]),
        ("ended", "reasons", ["sessions_day"]),
        ("began_denied", "least_duration_seconds", "5"),
        ("missing_end", "least_duration_seconds", "0"),
        ("silent", "tiers", "tier"),
        ("silent", "channels", "channel"),
        ("silent", "customers", "customer"),
        ("silent", "covers_tests", "on"),
        ("new_caller", "customers", "customer"),
        ("usage_reached", "channels", "channel"),
        ("usage_reached", "covers_tests", "on"),
        ("ended", "thresholds", "80"),
        ("usage_reached", "thresholds", ""),
        ("usage_reached", "thresholds", "0"),
        ("usage_reached", "thresholds", "1001"),
        ("usage_reached", "thresholds", "80.5"),
        ("usage_reached", "thresholds", "eighty"),
        ("usage_reached", "thresholds", "²"),
        ("ended", "weekdays", ["7"]),
        ("began_denied", "reasons", ["allowed"]),
    ],
)
def test_a_condition_that_makes_no_sense_for_the_trigger_is_an_error_at_its_field(ana, mails, trigger, field, value):
    tier = make_tier("vip")
    known = {"tier": tier.pk, "channel": make_channel("telephony").pk, "customer": make_customer(tier).pk}
    fitting = {"thresholds": "80"} if trigger == "usage_reached" else {}

    response = add(ana, mails, trigger=trigger, **{**fitting, field: known.get(str(value), value)})

    assert set(response.context["adminform"].form.errors) == {field}
    assert not Rule.objects.exists()


@pytest.mark.parametrize(
    ("trigger", "conditions"),
    [
        ("began_denied", {"reasons": ["sessions_day"]}),
        ("end_corrected", {"least_duration_seconds": "5"}),
        ("usage_reached", {"thresholds": "80", "tiers": "tier"}),
        ("silent", {"weekdays": ["0"]}),
        ("new_caller", {"tiers": "tier", "covers_tests": "on"}),
    ],
)
def test_a_condition_that_fits_the_trigger_is_taken(ana, mails, trigger, conditions):
    pk = make_tier("vip").pk
    fields = {name: pk if value == "tier" else value for name, value in conditions.items()}

    response = add(ana, mails, trigger=trigger, **fields)

    assert response.status_code == 302, errors_of(response)


def test_hours_that_are_the_same_twice_are_refused(ana, mails):
    response = add(ana, mails, from_time="09:00", until_time="09:00")

    assert "Give two times that differ, or none." in errors_of(response)


HTTP = {"kind": "http", "address": "https://a.acme.com/in"}
EMAIL = {"kind": "email", "address": ""}
WHATSAPP = {"kind": "whatsapp", "address": "https://api.livetok.ai/v1"}


@pytest.mark.parametrize(
    ("destination", "field", "value", "words"),
    [
        (EMAIL, "recipient", "", "Say to whom it goes."),
        (EMAIL, "recipient", "a@acme.com, nobody", "“nobody” is no e-mail address."),
        (EMAIL, "recipient", "{{ customer.mail }}", "Did you mean customer.email?"),
        (EMAIL, "subject", "{{ session.nosuch }}", "session.nosuch"),
        (EMAIL, "subject", "", "Give the mail a subject."),
        (EMAIL, "text", "{{ secrets.token }}", "secrets are known in headers, and in a destination's address, alone"),
        (EMAIL, "text", "{% include 'x' %}", "is no tag"),
        (HTTP, "body", "", "Give the JSON to send."),
        (HTTP, "body", '{"a": {{ session.id }}}', "this is no JSON"),
        (HTTP, "body", '{"a": "{{ session.id | nosuch }}"}', "“nosuch” is no filter"),
        (HTTP, "path", "x.example.com", "so it starts with / or with ?"),
        (HTTP, "kept_pointer", "ticket.id", "A pointer starts with a slash"),
        (HTTP, "kept_link", "https://a.acme.com/{{ kept.value }}", "Say first what is kept of the answer."),
        ({**HTTP, "kind": "slack"}, "body", '{"text": "{{ nosuch }}"}', "is no name"),
        (WHATSAPP, "recipient", "", "Give a number"),
        (WHATSAPP, "template_name", "No Name", "small letters, digits and underscores"),
        (WHATSAPP, "template_language", "english", "Such as en_US."),
        (WHATSAPP, "text", "{{ nosuch.name }}", "Parameter 1:"),
    ],
)
def test_a_text_that_could_not_be_sent_is_an_error_at_its_field(ana, destination, field, value, words):
    there = make_destination(**{**destination, "owner_email": "a@acme.com"})
    named = {"actions-0-template_name": "thanks"} if there.kind == "whatsapp" else {}

    response = add(ana, there, **{**named, f"actions-0-{field}": value})

    assert words in errors_of(response)
    [form] = [form for form in response.context["inline_admin_formsets"][0].formset.forms if form.errors]
    assert set(form.errors) == {field}


def test_names_keep_their_capitals(ana, mails):
    assert check_action("whatsapp", {})["template_name"] == [
        "The name as WhatsApp has it, small letters, digits and underscores."
    ]
    rule = make_rule("silent", mails)
    assert "LiveTok's webhook is silent, or was heard again" in text_of(ana.get(PATH))
    label = values_of(rule, None, timezone.now(), key="k")["event.label"]
    assert label == "LiveTok's webhook is silent, or was heard again"


@pytest.mark.parametrize(
    ("pointer", "link", "words"),
    [
        ("/id", "https://a.acme.com/", "Name the value that was kept in it"),
        ("/id", "javascript:alert({{ kept.value }})", "An address starts with https://"),
        ("/id", "https://app.hubspot.com/contacts/YOUR-ACCOUNT/{{ kept.value }}", "Write your own account"),
    ],
)
def test_a_link_to_what_is_kept_is_checked(ana, pointer, link, words):
    kept = {"actions-0-kept_pointer": pointer, "actions-0-kept_link": link}

    assert words in errors_of(add(ana, make_destination(), **kept))


def test_an_action_shows_the_fields_of_its_destinations_kind_alone_and_keeps_no_others(ana, mails):
    response = add(ana, mails, **{"actions-0-body": '{"stays": "behind"}'})
    assert response.status_code == 302
    action = Action.objects.get()
    assert action.body == ""

    page = ana.get(f"{PATH}{action.rule_id}/change/").context["inline_admin_formsets"][0].formset.forms[0]
    shown = {name for name, field in page.fields.items() if not field.widget.is_hidden}

    assert {"recipient", "subject", "text"} <= shown
    assert not {"body", "path", "method", "template_name", "kept_pointer"} & shown


def test_the_names_that_texts_may_use_stand_beside_the_fields(ana, mails):
    page = ana.get(f"{PATH}add/?destination={mails.pk}")

    assert "customer.external_id The customer's id in your CRM." in text_of(page)
    assert '<a href="#names-table">' in page.content.decode()


@pytest.mark.parametrize("query", ["?destination=999", "?destination=x", "?destination=²", "?name=Mine"])
def test_an_address_that_names_nothing_fills_in_nothing(ana, query):
    form = form_of(ana, f"{PATH}add/{query}")

    assert (form["name"], form["actions-0-destination"], form["actions-0-text"]) == ("", "", "")


# Switching on and off


def test_a_rule_is_active_since_it_was_switched_on_last(ana, mails):
    assert add(ana, mails).status_code == 302
    rule = Rule.objects.get()
    assert (rule.is_active, rule.active_since) == (False, None)

    assert change(ana, rule, is_active="on").status_code == 302
    rule.refresh_from_db()
    first = rule.active_since
    assert first is not None
    assert change(ana, rule, name="Renamed").status_code == 302
    rule.refresh_from_db()
    assert (rule.is_active, rule.active_since) == (True, first)

    form = form_of(ana, f"{PATH}{rule.pk}/change/")
    form.pop("is_active")
    assert ana.post(f"{PATH}{rule.pk}/change/", form).status_code == 302
    assert change(ana, rule, is_active="on").status_code == 302
    rule.refresh_from_db()
    assert rule.active_since > first


def test_a_rule_may_be_on_from_the_start(ana, mails):
    before = timezone.now()

    assert add(ana, mails, is_active="on").status_code == 302

    assert before <= Rule.objects.get().active_since <= timezone.now()


def test_a_rule_that_is_on_does_something(ana):
    response = add(ana, is_active="on")

    assert "A rule that is on does something" in errors_of(response)
    assert add(ana).status_code == 302


def switch(client, name, *rules):
    data = {"action": name, "_selected_action": [rule.pk for rule in rules]}
    return client.post(PATH, data, follow=True)


def test_rules_are_switched_off_and_on_in_the_list(ana, mails):
    old = timezone.now() - timedelta(days=3)
    on, off = make_rule("ended", mails, active_since=old), make_rule("ended", mails, is_active=False, active_since=old)
    empty = make_rule("ended", is_active=False, name="Empty")

    response = switch(ana, "switch_on", on, off, empty)

    assert "Not switched on, since nothing would be done: Empty." in text_of(response)
    assert "1 rule switched on." in text_of(response)
    for rule in (on, off, empty):
        rule.refresh_from_db()
    assert [on.is_active, off.is_active, empty.is_active] == [True, True, False]
    assert on.active_since == old
    assert off.active_since > old + timedelta(days=2)
    assert "2 rules switched off." in text_of(switch(ana, "switch_off", on, off, empty))
    assert not Rule.objects.filter(is_active=True).exists()


def test_a_rule_that_fired_is_not_deleted(ana, mails):
    rule, other = make_rule("ended", mails), make_rule("ended", mails)
    Firing.objects.create(rule=rule, subject="session 1", fired_at=timezone.now())

    page = ana.get(f"{PATH}{rule.pk}/delete/")

    assert "is used by firings, so it cannot be deleted. Switch it off instead" in text_of(page)
    assert ana.post(f"{PATH}{rule.pk}/delete/", {"post": "yes"}).status_code == 200
    assert ana.post(f"{PATH}{other.pk}/delete/", {"post": "yes"}).status_code == 302
    assert list(Rule.objects.all()) == [rule]


# Rehearsal


def play(livetok):
    make_customer(make_tier("vip"), "+15550001")
    make_customer(make_tier("closed", limit("sessions", 0)), "+15550002")
    livetok.begin(sessionId="known", phoneNumber="+15550001", timestamp=now_text(hours=5))
    livetok.end(sessionId="known", phoneNumber="+15550001", duration=60, timestamp=now_text(hours=4))
    livetok.end(sessionId="known", phoneNumber="+15550001", duration=90, timestamp=now_text(hours=4))
    livetok.begin(sessionId="denied", phoneNumber="+15550002", timestamp=now_text(hours=3))
    livetok.begin(sessionId="new", phoneNumber="+15550003", timestamp=now_text(hours=2))
    livetok.begin(sessionId="again", phoneNumber="+15550003", timestamp=now_text(hours=1))
    livetok.begin(sessionId="long ago", phoneNumber="+15550001", timestamp=now_text(days=8))


@pytest.mark.parametrize(
    ("trigger", "fields", "expected"),
    [
        ("began_allowed", {}, ["again", "new", "known"]),
        ("began_allowed", {"tier": "vip"}, ["known"]),
        ("began_denied", {}, ["denied"]),
        ("began_denied", {"reasons": ["customer_blocked"]}, []),
        ("ended", {}, ["known"]),
        ("ended", {"least_duration_seconds": 120}, []),
        ("end_corrected", {}, ["known"]),
        ("new_caller", {}, ["new"]),
        ("missing_end", {}, ["lost"]),
    ],
)
def test_a_rehearsal_says_on_which_of_last_weeks_sessions_a_rule_would_have_fired(
    ana, livetok, mails, trigger, fields, expected
):
    play(livetok)
    if trigger == "missing_end":
        livetok.begin(sessionId="lost", phoneNumber="+15550001", timestamp=now_text(hours=6))
        Session.objects.filter(session_id="lost").update(missing_from=timezone.now() - timedelta(hours=1))
    tiers = list(Tier.objects.filter(slug=fields.pop("tier"))) if "tier" in fields else []
    rule = make_rule(trigger, mails, is_active=False, tiers=tiers, **fields)

    found = rehearse(rule)
    page = ana.get(f"{PATH}{rule.pk}/rehearsal/")

    assert [session.session_id for session in found.sessions] == expected
    assert (found.fired, found.is_whole) == (len(expected), True)
    week = Session.objects.filter(started_at__gte=timezone.now() - timedelta(days=7)).order_by("-started_at")
    assert [session.session_id for session in week if not why_not(rule, session)] == expected
    for session_id in expected:
        session = the_session(session_id)
        assert f'<a href="/reports/sessions/{session.pk}/">{session_id}</a>' in page.content.decode()
    assert f"it would have fired on {len(expected)} of" in text_of(ana.get(f"{PATH}{rule.pk}/change/"))


def test_a_rehearsal_is_bounded_and_says_so(ana, livetok, mails, monkeypatch):
    for index in range(7):
        livetok.begin(sessionId=f"s{index}", timestamp=now_text(minutes=30 - index))
    monkeypatch.setattr(rehearsal, "AT_ONCE", 2)
    rule = make_rule("began_allowed", mails)

    assert rehearse(rule).fired == 7
    found = rehearse(rule, most=5)
    assert (found.fired, found.looked_at, found.is_whole) == (5, 5, False)
    assert found.sessions[0].session_id == "s6"
    assert rehearse(rule, most=7).is_whole
    late = rehearse(rule, seconds=-1)
    assert (late.looked_at, late.is_whole) == (0, False)
    monkeypatch.setattr("automations.admin.tryouts.rehearse", lambda rule: found)
    assert "There were more sessions than are looked at here: these are the newest 5" in text_of(
        ana.get(f"{PATH}{rule.pk}/rehearsal/")
    )


@pytest.mark.parametrize("trigger", ["usage_reached", "silent"])
def test_usage_and_silence_cannot_be_rehearsed_and_say_so(ana, mails, trigger):
    rule = make_rule(trigger, mails, thresholds=[80] if trigger == "usage_reached" else [])

    assert "It cannot be rehearsed on sessions." in text_of(ana.get(f"{PATH}{rule.pk}/rehearsal/"))
    assert "would have fired" not in text_of(ana.get(f"{PATH}{rule.pk}/change/"))
    assert ana.get(f"{PATH}{rule.pk}/preview/").status_code == 200


def test_a_rehearsal_reads_a_page_of_sessions_with_few_queries(ana, livetok, mails, django_assert_max_num_queries):
    for index in range(20):
        livetok.begin(sessionId=f"s{index}", phoneNumber=f"+1555000{index:04}", timestamp=now_text(minutes=index))
    rule = make_rule("began_allowed", mails)

    with django_assert_max_num_queries(6):
        assert rehearse(rule).fired == 20


# Preview and test


def test_the_preview_shows_what_would_go_out_for_the_newest_session_that_fits_or_a_chosen_one(ana, livetok):
    make_customer(make_tier("vip"), "+15550001")
    livetok.begin(sessionId="first", phoneNumber="+15550001", timestamp=now_text(minutes=9))
    livetok.begin(sessionId="second", phoneNumber="+15550001", timestamp=now_text(minutes=5))
    destination = make_destination(
        "https://a.acme.com/{{ secrets.path }}", headers="Authorization: Basic {{ secrets.token | base64_encode }}"
    )
    add_secret(destination, "path", "t0psecret")
    add_secret(destination, "token", "t0psecret")
    rule = make_rule("began_allowed", destination, action={"path": "/of/{{ session.id }}"})

    newest, chosen = (ana.get(f"{PATH}{rule.pk}/preview/{query}") for query in ("", "?session=first"))

    assert '"id": "second"' in text_of(newest)
    assert '"id": "first"' in text_of(chosen)
    assert "POST https://a.acme.com/•••/of/first" in text_of(chosen)
    assert "Authorization Basic •••" in text_of(chosen)
    assert "t0psecret" not in chosen.content.decode()
    unknown = text_of(ana.get(f"{PATH}{rule.pk}/preview/?session=nosuch"))
    assert "There is no session with the id nosuch." in unknown
    assert "With samples." in unknown
    assert "none fits" not in unknown
    assert "would not fire" not in text_of(chosen)


def test_the_preview_takes_samples_where_no_session_fits(ana, mails):
    action = {"recipient": "{{ customer.email }}", "subject": "{{ customer.name }}", "text": "{{ usage.percent }}"}
    rule = make_rule("ended", mails, action=action)

    text = text_of(ana.get(f"{PATH}{rule.pk}/preview/"))

    assert "With samples" in text
    assert "To ada@example.com Subject Ada Lovelace" in text


def test_the_preview_says_what_cannot_be_filled_in(ana, livetok, mails):
    livetok.begin(sessionId="first", phoneNumber="+15550001", timestamp=now_text(minutes=9))
    rule = make_rule("began_allowed", mails, action={"recipient": "{{ customer.email }}", "subject": "x", "text": "y"})

    page = ana.get(f"{PATH}{rule.pk}/preview/")

    assert "It cannot be filled in: To: nobody is left to write to." in text_of(page)
    assert "Send a test" not in text_of(page)


def test_a_test_goes_through_the_queue_with_the_sessions_values(ana, livetok):
    livetok.begin(sessionId="first", timestamp=now_text(minutes=9))
    livetok.begin(sessionId="second", timestamp=now_text(minutes=5))
    rule = make_rule("began_allowed", make_destination())
    action = rule.actions.get()
    path = f"{PATH}{rule.pk}/test/"
    assert ana.get(path).headers["Location"].startswith(f"{PATH}{rule.pk}/preview/")

    response = ana.post(path, {"action": action.pk, "session": "first"})

    delivery = Delivery.objects.get()
    assert (delivery.is_test, delivery.state, delivery.session) == (True, "waiting", the_session("first"))
    assert json.loads(bytes(delivery.body)) == {"id": "first"}
    assert response.status_code == 302
    assert not Firing.objects.exists()
    assert ana.get(response.headers["Location"]).status_code == 200
    for wrong in ("", "x", "999999"):
        assert ana.post(path, {"action": wrong}).status_code == 404


def test_a_test_to_a_paused_destination_says_that_it_waits(ana):
    destination = make_destination(paused_at=timezone.now(), paused_because="It failed.")
    rule = make_rule("silent", destination, action={"body": '{"label": "{{ event.label }}"}'})

    response = ana.post(f"{PATH}{rule.pk}/test/", {"action": rule.actions.get().pk}, follow=True)

    assert f"The test waits: “{destination}” is paused." in text_of(response)


# Who may do what


def test_a_viewer_sees_rules_and_what_they_would_do_and_changes_nothing(ana, livetok):
    livetok.begin(sessionId="first", timestamp=now_text(minutes=9))
    rule = make_rule("began_allowed", make_destination())
    viewer = staff("viewers", "vic")

    for page in ("change", "rehearsal", "preview"):
        response = viewer.get(f"{PATH}{rule.pk}/{page}/")
        assert response.status_code == 200
        assert "Send a test" not in text_of(response)
    assert viewer.post(f"{PATH}{rule.pk}/test/", {"action": rule.actions.get().pk}).status_code == 403
    assert viewer.get(f"{PATH}add/").status_code == 403
    switch(viewer, "switch_off", rule)
    assert Rule.objects.get().is_active
    assert not Delivery.objects.exists()


def test_a_preview_is_of_the_moment_that_the_rule_waits_for(ana, livetok, mails):
    make_customer(make_tier("vip"), "+15550001")
    session = begun_and_ended(livetok)
    said = "at {{ event.at }}, {{ session.state }}, {{ session.duration_seconds }} s, {{ session.ended_at }}"
    action = {"recipient": "a@b.example", "subject": said, "text": "x"}
    began, ended = (make_rule(trigger, mails, action=action) for trigger in ("began_allowed", "ended"))

    at_begin, at_end = (text_of(ana.get(f"{PATH}{rule.pk}/preview/?session=first")) for rule in (began, ended))

    assert f"at {in_zone(session.begin_received_at)}, open, s, " in at_begin
    assert "When it ended, and how long it took, is not known yet at that moment." in at_begin
    assert (
        f"at {in_zone(session.end_received_at)}, ended, {session.duration_seconds} s, {in_zone(session.ended_at)}"
        in at_end
    )
    assert "not known yet" not in at_end
    key = Action.objects.get(rule=began).pk
    ana.post(f"{PATH}{began.pk}/test/", {"action": key, "session": "first"})
    assert Delivery.objects.get().subject.startswith(f"at {in_zone(session.begin_received_at)}, open,  s,")
    assert Delivery.objects.get().not_after > timezone.now()  # as a test of now


@pytest.mark.parametrize(
    ("trigger", "conditions", "words"),
    [
        ("ended", {"least_duration_seconds": 600}, "would not fire on this session. It was shorter than the rule asks"),
        ("began_denied", {}, "would not fire on this session. It waits for this: a session was denied."),
        ("usage_reached", {"thresholds": [80]}, ""),
        ("usage_reached", {"thresholds": [80], "covers_tests": False, "tiers": []}, ""),
    ],
)
def test_a_preview_says_why_the_rule_would_not_fire_on_the_session(ana, livetok, mails, trigger, conditions, words):
    make_customer(make_tier("vip"), "+15550001")
    begun_and_ended(livetok)
    action = {"recipient": "a@b.example", "subject": "x", "text": "{{ session.id }}"}
    rule = make_rule(trigger, mails, action=action, **conditions)

    text = text_of(ana.get(f"{PATH}{rule.pk}/preview/?session=first"))

    assert words in text
    assert ("would not fire" in text) == bool(words)


def test_a_preview_of_usage_says_what_fails_too(ana, livetok, mails):
    livetok.begin(sessionId="first", phoneNumber="", customerId="")
    action = {"recipient": "a@b.example", "subject": "x", "text": "y"}
    rule = make_rule("usage_reached", mails, thresholds=[80], action=action)

    assert "Its caller is no customer" in text_of(ana.get(f"{PATH}{rule.pk}/preview/?session=first"))


def begun_and_ended(livetok):
    livetok.begin(sessionId="first", phoneNumber="+15550001", timestamp=now_text(minutes=9))
    livetok.end(sessionId="first", timestamp=now_text(minutes=2), durationSeconds=90)
    Session.objects.update(begin_received_at=timezone.now() - timedelta(minutes=9))
    return Session.objects.get()


def in_zone(moment):
    return moment.astimezone(company_zone()).isoformat(timespec="seconds")


def test_who_may_not_see_what_deliveries_say_previews_samples_alone(livetok):
    livetok.begin(sessionId="first", timestamp=now_text(minutes=9))
    destination = make_destination("https://a.acme.com/")
    rule = make_rule("began_allowed", destination, action={"path": "/of/{{ session.id }}"})
    viewer = staff("viewers", "vera")

    for query in ("", "?session=first"):
        text = text_of(viewer.get(f"{PATH}{rule.pk}/preview/{query}"))
        assert "first" not in text
        assert "With samples: what is said of a real session is shown to those who may" in text
    for codename, may_see in (("view_bodies", False), ("view_numbers", True)):  # both are needed
        viewer.user.user_permissions.add(
            Permission.objects.exclude(content_type__app_label="sessions_app").get(codename=codename)
        )
        assert ("/of/first" in text_of(viewer.get(f"{PATH}{rule.pk}/preview/"))) is may_see


def test_the_names_stand_with_samples_as_a_text_shows_them(ana, mails):
    page = text_of(ana.get(f"{PATH}add/?destination={mails.pk}"))

    assert "+44 20 7946 0958, +44 20 7946 0123" in page
    assert '{"city": "London"}' in page
    assert "https://frontdesk.example.com/reports/sessions/1/" in page
    trigger, label = NAMES["event.trigger"].sample, NAMES["event.label"].sample
    assert Trigger(trigger).label.capitalize() == label
    for name, pattern in (("session", "session.link"), ("session", "event.link"), ("customer", "customer.link")):
        assert str(NAMES[pattern].sample).endswith(reverse(f"reports:{name}", args=[1]))


def test_a_rule_that_is_saved_while_it_is_off_says_so(ana, mails):
    told = "“Tell sales” is off: it fires on nothing until it is switched on."
    add(ana, mails, trigger="ended")
    assert told in text_of(ana.get(PATH))
    rule = Rule.objects.get()
    change(ana, rule, is_active="on")
    assert "is off" not in text_of(ana.get(PATH))
    change(ana, rule, is_active="")
    assert told in text_of(ana.get(PATH))


def test_without_a_destination_there_is_no_form_to_fill_in(ana):
    page = ana.get(f"{PATH}add/")

    assert "A rule needs somewhere to go: add a destination first." in text_of(page)
    assert 'name="trigger"' not in page.content.decode()
    make_destination("https://a.acme.com/")
    assert 'name="trigger"' in ana.get(f"{PATH}add/").content.decode()


def test_who_may_see_no_sessions_previews_samples_alone(livetok):
    livetok.begin(sessionId="first", timestamp=now_text(minutes=9))
    rule = make_rule("began_allowed", make_destination())
    client = staff("viewers")
    group = client.user.groups.get()
    group.permissions.remove(group.permissions.get(codename="view_session"))

    assert "first" not in text_of(client.get(f"{PATH}{rule.pk}/preview/?session=first")).replace("?session=first", "")
    assert client.get(f"{PATH}{rule.pk}/rehearsal/").status_code == 403
    assert "would have fired" not in text_of(client.get(f"{PATH}{rule.pk}/change/"))


def test_strangers_are_sent_to_sign_in(client, livetok):
    rule = make_rule("ended")
    for page in ("rehearsal", "preview", "test"):
        assert client.post(f"{PATH}{rule.pk}/{page}/").headers["Location"].startswith("/admin/login/")


def test_no_page_has_inline_code(ana, livetok, mails):
    livetok.begin()
    rule = make_rule("began_allowed", mails)
    paths = [f"{rule.pk}/{page}/" for page in ("change", "rehearsal", "preview", "history")]
    for path in [*(PATH + end for end in ["", "add/", *paths]), "/admin/automations/destination/add/"]:
        html = ana.get(path).content.decode()
        assert "style=" not in html, path
        assert "<style" not in html, path


def test_a_rule_made_here_fires(ana, livetok, mails):
    assert add(ana, mails, trigger="began_allowed", is_active="on").status_code == 302
    livetok.begin()

    judge.judge()

    assert Firing.objects.get().rule == Rule.objects.get()
    assert Delivery.objects.get().recipient == "sales@acme.com"
