"""Rules, destinations and sources as one JSON file, from one installation to another."""

import json
from datetime import time as clock_time

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from automations.exchange.entries import CannotExportError, exported
from automations.exchange.planning import plan_of
from automations.exchange.storing import import_file
from automations.models import Action, Destination, Rule, Secret, Source
from automations.texts.checks import check_action, check_lists
from customers.models import Agent
from tests.builders import make_channel, make_customer, make_tier
from tests.following import add_secret, make_destination, make_rule, make_source
from tests.staff import staff, text_of

pytestmark = pytest.mark.django_db(transaction=True)

# Half of a pair, as JSON lets it through.
HALF = "\ud800"
DEEP = json.loads("[" * 900 + "]" * 900)
PAGE = "/admin/automations/import/"


def a_file(**changes):
    rule = {
        "name": "Tell sales",
        "trigger": "began_allowed",
        "actions": [{"destination": "CRM", "body": '{"id": "{{ session.id }}"}'}],
    }
    destination = {
        "name": "CRM",
        "kind": "http",
        "address": "https://crm.example.com/{{ secrets.path }}",
        "secrets": ["path"],
    }
    source = {
        "name": "Shop",
        "address": "https://shop.example.com/{{ customer.external_id }}",
        "headers": "Authorization: Bearer {{ secrets.token }}",
        "pointers": "last_order = /orders/0",
        "secrets": ["token"],
    }
    document = {"format": "frontdesk-rules", "version": 1}
    document |= {"destinations": [destination], "sources": [source], "rules": [rule]}
    parts = {"rule": rule, "destination": destination, "source": source, "document": document}
    for name, change in changes.items():
        parts[name].update(change)
    return document


def as_text(document):
    return json.dumps(document)


def problems_of(**changes):
    return plan_of(as_text(a_file(**changes))).problems


@pytest.fixture
def world(livetok):
    """A rule with every condition, and a destination and a source, each with a secret."""
    customer = make_customer(make_tier("gold"), external_id="crm-1")
    destination = make_destination("https://crm.example.com/{{ secrets.path }}", name="CRM", owner_email="o@b.example")
    add_secret(destination, "path", "s3cr3t")
    reception = Agent.objects.create(pk="agent-7", name="Reception")
    source = make_source(
        "https://shop.example.com/{{ customer.external_id }}",
        "last_order = /orders/0\nvip = /vip",
        headers="Authorization: Bearer {{ secrets.token }}",
        limit_ms=500,
        stale_hours=48,
        tiers=[customer.tier],
        agents=[reception],
    )
    add_secret(source, "token", "hunter2")
    return make_rule(
        "ended",
        destination,
        name="Tell sales",
        tiers=[customer.tier],
        customers=[customer],
        channels=[make_channel("telephony")],
        agents=[reception],
        weekdays=[0, 4],
        from_time=clock_time(9),
        until_time=clock_time(17, 30),
        least_duration_seconds=60,
        action={"path": "/x", "kept_pointer": "/id", "not_later_than_minutes": 5},
    )


def test_what_is_exported_is_for_people_has_no_secret_and_imports_as_it_was(world):
    text = exported()
    assert "s3cr3t" not in text
    assert "hunter2" not in text
    [source] = json.loads(text)["sources"]
    assert source == {
        "name": "Shop",
        "address": "https://shop.example.com/{{ customer.external_id }}",
        "headers": "Authorization: Bearer {{ secrets.token }}",
        "pointers": "last_order = /orders/0\nvip = /vip",
        "limit_ms": 500,
        "stale_hours": 48,
        "tiers": ["gold"],
        "agents": ["agent-7"],
        "secrets": ["token"],
    }
    [rule] = json.loads(text)["rules"]
    assert rule["tiers"] == ["gold"]
    assert rule["customers"] == ["crm-1"]
    assert rule["channels"] == ["telephony"]
    assert rule["agents"] == ["agent-7"]
    assert (rule["from_time"], rule["until_time"]) == ("09:00", "17:30")

    plan = plan_of(text)
    assert plan.problems == []
    assert [one.verb for one in plan.everything] == ["unchanged"] * 3
    import_file(text)
    assert Rule.objects.get().is_active  # it is as it was, so it stays on
    assert Source.objects.get().is_active

    Rule.objects.all().delete()
    Secret.objects.all().delete()
    Destination.objects.all().delete()
    Source.objects.all().delete()
    plan = import_file(text)
    assert plan.destinations[0].missing_secrets == ["path"]
    assert plan.sources[0].missing_secrets == ["token"]
    rule = Rule.objects.get()
    assert not rule.is_active
    assert not Source.objects.get().is_active
    # Its secret is not entered yet, and it is still the same file.
    assert json.loads(exported()) == json.loads(text)


def test_what_is_changed_is_changed_in_place_and_off(world):
    document = json.loads(exported())
    document["rules"][0] |= {"trigger": "end_corrected", "tiers": [], "actions": document["rules"][0]["actions"] * 2}
    action = Action.objects.get()
    plan = import_file(as_text(document))

    rule = Rule.objects.get()
    assert plan.rules[0].verb == "changed"
    assert set(plan.rules[0].changes) == {"trigger", "tiers", "actions"}
    assert (rule.pk, rule.trigger, rule.is_active, rule.tiers.count()) == (world.pk, "end_corrected", False, 0)
    assert rule.actions.order_by("pk")[0].pk == action.pk
    assert rule.actions.count() == 2
    document["rules"][0]["actions"] = []
    import_file(as_text(document))
    assert rule.actions.count() == 0
    assert Secret.objects.count() == 2


def test_a_source_that_is_changed_is_changed_in_place_and_off_and_keeps_its_secret(world):
    before, document = Source.objects.get(), json.loads(exported())
    document["sources"][0] |= {"address": "https://new.example.com/", "tiers": []}
    plan = import_file(as_text(document))

    source = Source.objects.get()
    [planned] = plan.sources
    assert (planned.verb, set(planned.changes), planned.missing_secrets) == ("changed", {"address", "tiers"}, [])
    assert (source.pk, source.address, source.is_active) == (before.pk, "https://new.example.com/", False)
    assert (source.tiers.count(), source.agents.count(), source.secrets.count()) == (0, 1, 1)
    assert Rule.objects.get().is_active  # nothing of it was changed


def test_a_file_from_before_there_were_sources_leaves_them_as_they_are(world):
    document = json.loads(exported())
    del document["sources"]

    assert import_file(as_text(document)).problems == []
    assert Source.objects.get().is_active


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rule": {"tiers": ["platinum"]}}, "Rule “Tell sales”, tiers: There is none here called “platinum”."),
        ({"rule": {"agents": ["x"]}}, "Rule “Tell sales”, agents: There is none here called “x”."),
        ({"rule": {"customers": [7]}}, "Rule “Tell sales”, customers: It is a list of texts, 1,000 at most."),
        ({"rule": {"customers": 7}}, "Rule “Tell sales”, customers: It is a list of texts, 1,000 at most."),
        ({"rule": {"tiers": None}}, "Rule “Tell sales”, tiers: It is a list of texts, 1,000 at most."),
        ({"rule": {"trigger": "never"}}, "Rule “Tell sales”, trigger: "),
        ({"rule": {"weekdays": [7]}}, "Rule “Tell sales”, weekdays: “7” is no day"),
        ({"rule": {"weekdays": "monday"}}, "Rule “Tell sales”, weekdays: It is a value of another kind."),
        ({"rule": {"reasons": ["because"]}}, "Rule “Tell sales”, reasons: “because” is no reason."),
        ({"rule": {"trigger": "usage_reached"}}, "Rule “Tell sales”, thresholds: Give at least one"),
        ({"rule": {"from_time": "25:00"}}, "Rule “Tell sales”, from_time: "),
        ({"rule": {"from_time": "09:00", "until_time": "09:00"}}, "Give two times that differ"),
        ({"rule": {"covers_tests": "yes"}}, "Rule “Tell sales”, covers_tests: "),
        ({"rule": {"is_active": True}}, "Rule “Tell sales”, is_active: There is no such field."),
        ({"rule": {"name": "x" * 121}}, "name: "),
        ({"rule": {"name": "a\x00"}}, "rules, number 1: it is an object with a name."),
        ({"rule": {"actions": [{"destination": "Nowhere"}]}}, "action 1: there is no destination “Nowhere”"),
        ({"rule": {"actions": [{"destination": "CRM", "body": "{"}]}}, "Rule “Tell sales”, action 1, body: "),
        ({"rule": {"actions": [{"destination": "CRM", "body": '{"a": "{{ sesion.id }}"}'}]}}, "action 1, body: "),
        ({"rule": {"actions": [{"destination": "CRM", "body": "{}", "path": "x"}]}}, "action 1, path: "),
        ({"rule": {"actions": [{"destination": "CRM", "body": 5.5}]}}, "action 1, body: It is a value of another"),
        ({"rule": {"actions": "all"}}, "actions: it is a list"),
        ({"destination": {"address": "http://crm.example.com"}}, "Destination “CRM”, address: "),
        ({"destination": {"secrets": []}}, "Destination “CRM”, secrets: Its texts ask for “path”: list it."),
        ({"destination": {"secrets": "path"}}, "Destination “CRM”, secrets: It is a list of names, 20 at most"),
        ({"destination": {"headers": "Host: x"}}, "Destination “CRM”, headers: "),
        (
            {"destination": {"headers": "Authorization: Bearer abc123"}},
            "Destination “CRM”, headers: Authorization: written out here, it can be read by all who may see this page.",
        ),
        ({"destination": {"address": "https://crm.example.com/?sig=abc123"}}, "Destination “CRM”, address: sig: "),
        ({"destination": {"at_once": -1}}, "Destination “CRM”, at_once: "),
        ({"destination": {"at_once": 0}}, "at_once: Give 1 or more: with less, nothing would ever be sent."),
        ({"destination": {"per_second": 0}}, "per_second: Give 1 or more: with less, nothing would ever be sent."),
        ({"destination": {"at_once": 33}}, "at_once: Give 32 at most."),
        ({"destination": {"per_second": 1001}}, "per_second: Give 1,000 at most."),
        ({"destination": {"kind": "fax"}}, "Destination “CRM”, kind: "),
        ({"source": {"address": "http://shop.example.com"}}, "Source “Shop”, address: "),
        ({"source": {"address": "https://shop.example.com/{{ secrets.token }}"}}, "Source “Shop”, address: "),
        ({"source": {"headers": "Cookie: session=abc123"}}, "Source “Shop”, headers: Cookie: written out"),
        ({"source": {"secrets": []}}, "Source “Shop”, secrets: Its texts ask for “token”: list it."),
        ({"source": {"secrets": "token"}}, "Source “Shop”, secrets: It is a list of names, 20 at most"),
        ({"source": {"pointers": "last_order"}}, "Source “Shop”, pointers: "),
        ({"source": {"limit_ms": 601}}, "Source “Shop”, as a whole: Give a time limit from 1 to 600 ms."),
        ({"source": {"limit_ms": "long"}}, "Source “Shop”, limit_ms: "),
        ({"source": {"tiers": ["platinum"]}}, "Source “Shop”, tiers: There is none here called “platinum”."),
        ({"source": {"agents": ["x"]}}, "Source “Shop”, agents: There is none here called “x”."),
        ({"source": {"agents": "x"}}, "Source “Shop”, agents: It is a list of texts, 1,000 at most."),
        ({"source": {"channels": []}}, "Source “Shop”, channels: There is no such field."),
        ({"source": {"is_active": True}}, "Source “Shop”, is_active: There is no such field."),
        ({"rule": {"from_time": 8}}, "Rule “Tell sales”, from_time: It is a value of another kind."),
        ({"rule": {"reasons": DEEP}}, "Rule “Tell sales”, reasons: It is a value of another kind."),
        ({"rule": {"reasons": [[HALF]]}}, "Rule “Tell sales”, reasons: It is a value of another kind."),
        ({"rule": {"reasons": [HALF]}}, "Rule “Tell sales”, reasons: It holds a character that cannot be stored."),
        ({"rule": {"trigger": HALF}}, "Rule “Tell sales”, trigger: It holds a character that cannot be stored."),
        ({"rule": {"name": "a\nb"}}, "name: It stands on one line"),
        ({"rule": {"thresholds": list(range(1, 900))}}, "Rule “Tell sales”, thresholds: At most 10 of them."),
        ({"rule": {"tiers": ["x"] * 1001}}, "Rule “Tell sales”, tiers: It is a list of texts, 1,000 at most."),
        ({"rule": {"tiers": [hex(i) for i in range(900)]}}, "tiers: And 880 more are unknown here."),
        ({"rule": {HALF: 1}}, "Rule “Tell sales”, \ufffd: There is no such field."),
        ({"rule": {"actions": [{"destination": HALF}]}}, "action 1: there is no destination “\ufffd”"),
        (
            {"rule": {"actions": [{"destination": "CRM", "body": "{}", "text": "x"}]}},
            "action 1, text: http has no such",
        ),
        ({"destination": {HALF: 1}}, "Destination “CRM”, \ufffd: There is no such field."),
        (
            {"destination": {"kind": "slack", "headers": "X-A: b"}},
            "Destination “CRM”, headers: slack has no such field.",
        ),
        (
            {"destination": {"kind": "slack", "is_signed": True}},
            "Destination “CRM”, is_signed: slack has no such field.",
        ),
        ({"destination": {"kind": "slack", "address": "https://a.acme.com/x"}}, "Whoever has this address can write"),
        ({"destination": {"kind": "email"}}, "Destination “CRM”, address: email has no such field."),
        (
            {"destination": {"address": "https://10.0.0.1/"}},
            "Destination “CRM”, address: 10.0.0.1 is not on the public",
        ),
        ({"destination": {"address": "https://a.acme.com/{{ session.id }}"}}, "address: Only secrets go in here."),
        ({"destination": {"address": "https://YOUR-DOMAIN.freshdesk.com/"}}, "address: Write your own address here"),
        ({"destination": {"headers": "X-A: 1\nx-a: 2"}}, "Destination “CRM”, headers: x-a is given twice."),
        ({"destination": {"name": "C\nRM"}}, "name: It stands on one line"),
        ({"destination": {"preset": "fax"}}, "Destination “CRM”, preset: There is no such preset"),
        ({"destination": {"secrets": ["a b"]}}, "Destination “CRM”, secrets: It is a list of names"),
        (
            {"source": {"address": "https://10.0.0.1/"}},
            "Source “Shop”, address: 10.0.0.1 is not on the public internet.",
        ),
        ({"source": {"headers": "Accept: a\naccept: b"}}, "Source “Shop”, headers: accept is given twice."),
        ({"source": {"name": "Sh\nop"}}, "name: It stands on one line"),
        ({"document": {HALF: 1}}, "There is nothing called “\ufffd”"),
        ({"document": {"version": HALF}}, "The file is of version \ufffd;"),
        ({"document": {"version": DEEP}}, "The file is of version …;"),
        ({"document": {"destinations": [{"name": "d", "kind": "email"}, {"name": " d ", "kind": "email"}]}}, "twice"),
        ({"document": {"sources": [{}]}}, "sources, number 1: it is an object with a name."),
        ({"document": {"version": 2}}, "The file is of version 2; this Frontdesk reads version 1."),
        ({"document": {"format": "other"}}, "This is no file of rules"),
        ({"document": {"rules": 5}}, "“rules” is a list of 500 at most."),
        ({"document": {"rules": [5]}}, "rules, number 1: it is an object with a name."),
        ({"document": {"rulez": []}}, "There is nothing called “rulez”"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(livetok, changes, expected):
    plan = import_file(as_text(a_file(**changes)))

    assert any(expected in problem for problem in plan.problems), plan.problems
    assert not Rule.objects.exists()
    assert not Destination.objects.exists()
    assert not Source.objects.exists()


def test_texts_and_lists_are_stored_as_a_form_stores_them(livetok):
    rule = {"name": " Tell sales ", "trigger": "usage_reached", "thresholds": [100, 80, 100], "weekdays": [4, 0, 4]}
    destination = {"name": " CRM\n", "address": " https://crm.example.com/ ", "secrets": []}

    assert import_file(as_text(a_file(rule=rule, destination=destination))).problems == []

    rule = Rule.objects.get()
    assert (rule.name, rule.thresholds, rule.weekdays) == ("Tell sales", [80, 100], [0, 4])
    assert (Destination.objects.get().name, Destination.objects.get().address) == ("CRM", "https://crm.example.com/")


def test_what_was_saved_before_a_check_may_stay_but_not_be_changed_or_made_anew(livetok):
    make_destination("https://10.0.0.1/", name="Within")
    document = json.loads(exported())
    assert import_file(as_text(document)).problems == []

    document["destinations"][0]["per_second"] = 7
    assert "10.0.0.1 is not on the public internet" in import_file(as_text(document)).problems[0]
    Destination.objects.all().delete()
    assert "10.0.0.1 is not on the public internet" in import_file(as_text(document)).problems[0]


def test_a_text_that_ends_with_a_line_break_is_no_change(world):
    Action.objects.update(body='{"id": 1}\n')

    assert [one.verb for one in plan_of(exported()).everything] == ["unchanged"] * 3


def test_a_preset_goes_along_and_an_old_signing_secret_does_not(livetok):
    destination = make_destination(name="CRM", preset="zendesk", is_signed=True)
    add_secret(destination, "signing-before", "whsec_old")
    [entry] = json.loads(exported())["destinations"]
    assert entry["preset"] == "zendesk"
    assert entry["secrets"] == ["signing"]
    assert plan_of(exported()).everything[0].verb == "unchanged"

    Secret.objects.all().delete()
    Destination.objects.all().delete()
    # Of a file that was made before, too.
    old = {**entry, "secrets": ["signing-before"]}
    document = {"format": "frontdesk-rules", "version": 1, "destinations": [old]}
    assert import_file(as_text(document)).destinations[0].missing_secrets == ["signing"]
    assert Destination.objects.get().preset == "zendesk"


def test_many_unknown_names_are_asked_for_together(livetok, django_assert_max_num_queries):
    rules = [{"name": str(n), "trigger": "ended", "tiers": [hex(n * 1000 + i) for i in range(1000)]} for n in range(80)]
    document = {"format": "frontdesk-rules", "version": 1, "rules": rules}

    with django_assert_max_num_queries(500):
        plan = plan_of(as_text(document))

    assert len(plan.problems) == 80 * 21


def test_what_is_changed_while_a_file_is_checked_is_not_written_over(world, monkeypatch):
    document = json.loads(exported())
    document["rules"][0]["tiers"] = []

    def edited_meanwhile(text):
        plan = plan_of(text)
        world.name = "Tell everybody"
        world.save()
        return plan

    monkeypatch.setattr("automations.exchange.storing.plan_of", edited_meanwhile)
    plan = import_file(as_text(document))

    assert "Somebody changed rules" in plan.problems[0]
    rule = Rule.objects.get()
    assert (rule.name, rule.is_active, rule.tiers.count()) == ("Tell everybody", True, 1)


def test_a_destination_that_is_paused_meanwhile_stays_so(world, monkeypatch):
    document = json.loads(exported())
    document["destinations"][0]["owner_email"] = "new@b.example"

    def paused_meanwhile(text):
        plan = plan_of(text)
        Destination.objects.update(paused_at=timezone.now(), paused_because="It fails.", failures_in_row=20)
        return plan

    monkeypatch.setattr("automations.exchange.storing.plan_of", paused_meanwhile)
    import_file(as_text(document))

    destination = Destination.objects.get()
    assert (destination.owner_email, destination.paused_because) == ("new@b.example", "It fails.")
    assert destination.failures_in_row == 20


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"format": 5}', "[" * 100_000])
def test_what_is_no_such_file_is_refused(db, text):
    assert "This is no file of rules" in plan_of(text).problems[0]


def test_one_name_twice_and_another_kind_of_destination_are_refused(livetok):
    document = a_file()
    document["rules"] *= 2
    assert plan_of(as_text(document)).problems == ["rules: “Tell sales” is there twice."]

    make_destination("", name="CRM", kind="email")
    assert "Destination “CRM”, kind: Here it is “email”" in " ".join(problems_of())


def test_a_customer_without_an_external_id_is_no_name_elsewhere(livetok):
    make_rule("ended", name="Tell sales", customers=[make_customer(make_tier("gold"), name="Ada")])

    with pytest.raises(CannotExportError, match=r"Tell sales.*Ada.*external id"):
        exported()
    assert plan_of(as_text(a_file())).rules[0].verb == "changed"


class TestChecks:
    MAIL = {"recipient": "a@example.com, {{ customer.email }}", "subject": "x", "text": "y"}

    @pytest.mark.parametrize(
        ("kind", "values", "fields"),
        [
            ("email", MAIL, set()),
            ("email", {}, {"recipient", "subject", "text"}),
            ("email", {**MAIL, "recipient": "nobody"}, {"recipient"}),
            ("email", {**MAIL, "subject": "{{ nonsense }}"}, {"subject"}),
            ("slack", {"body": '{"text": "{{ rule.name }}"}'}, set()),
            ("http", {"body": "{}", "kept_pointer": "id"}, {"kept_pointer"}),
            ("http", {"body": "{}", "kept_link": "https://a.example/{{ kept.value }}"}, {"kept_link"}),
            ("http", {"body": "{}", "kept_pointer": "/id", "kept_link": "javascript:1"}, {"kept_link"}),
            ("whatsapp", {"recipient": "+1", "template_name": "hello", "template_language": "en"}, set()),
            ("whatsapp", {}, {"recipient", "template_name", "template_language"}),
            (
                "whatsapp",
                {"recipient": "+1", "template_name": "a", "template_language": "en", "text": "{{ x }}"},
                {"text"},
            ),
        ],
    )
    def test_of_an_action(self, kind, values, fields):
        assert set(check_action(kind, values)) == fields

    def test_of_conditions(self):
        sound = {"reasons": [], "weekdays": [0, 6], "thresholds": [80]}
        assert check_lists(sound) == {}
        assert set(check_lists({"reasons": None, "weekdays": [True], "thresholds": [0]})) == {
            "reasons",
            "weekdays",
            "thresholds",
        }


class TestPages:
    def upload(self, client, document, follow=True):
        file = SimpleUploadedFile("rules.json", document if isinstance(document, bytes) else as_text(document).encode())
        return client.post(PAGE, {"file": file}, follow=follow)

    def test_a_manager_exports_previews_and_imports(self, livetok):
        manager = staff("managers")
        page = self.upload(manager, a_file())
        text = text_of(page)
        assert "This is what would change" in text
        assert "Tell sales new, off" in text
        assert "Destination “CRM” still needs its secrets entered: path." in text
        assert "Source Shop new, off" in text
        assert "Destination CRM new https://crm.example.com/{{ secrets.path }}" in text
        assert "Home › Automations › Rules ›" in text
        assert "Source “Shop” still needs its secrets entered: token." in text
        assert not Rule.objects.exists()

        page = manager.post(PAGE, {"text": page.context["text"]}, follow=True)
        assert "Imported: 3 new, 0 changed." in text_of(page)
        assert "still needs its secrets entered: path" in text_of(page)
        assert "still needs its secrets entered: token" in text_of(page)
        assert LogEntry.objects.count() == 3
        response = manager.get("/admin/automations/export/")
        assert "attachment" in response["Content-Disposition"]
        assert response.json()["rules"][0]["name"] == "Tell sales"
        assert response.json()["sources"][0]["name"] == "Shop"

    def test_the_pages_of_rules_and_of_sources_lead_here(self, viewer):
        for name in ("rule", "source"):
            assert f'href="{PAGE}"' in viewer.get(f"/admin/automations/{name}/").content.decode()

    def test_who_may_not_see_sources_exports_none(self, db):
        some = staff(None, "some")
        some.user.user_permissions.set(Permission.objects.filter(codename__in=["view_rule", "view_destination"]))

        assert some.get(PAGE).status_code == some.get("/admin/automations/export/").status_code == 403

    def test_problems_are_shown(self, livetok):
        manager = staff("managers")
        assert "called “platinum”" in text_of(self.upload(manager, a_file(rule={"tiers": ["platinum"]})))
        assert "not in UTF-8" in text_of(self.upload(manager, b"\xff\xfe"))
        assert "larger than 1 MB" in text_of(self.upload(manager, b" " * 1024 * 1024 + b"{}"))
        assert "This is no file" in text_of(manager.post(PAGE, {"text": "{"}))

    def test_viewers_export_and_do_not_import_and_others_do_neither(self, viewer, world):
        assert viewer.get("/admin/automations/export/").status_code == 200
        assert "Import" not in text_of(viewer.get(PAGE)).split("Download the file")[1]
        assert self.upload(viewer, a_file()).status_code == 403
        nobody = staff(None, "nobody")
        assert nobody.get(PAGE).status_code == nobody.get("/admin/automations/export/").status_code == 403
