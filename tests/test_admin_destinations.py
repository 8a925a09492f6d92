"""Destinations in the admin: by a click, with secrets that nobody reads again, signed, paused and resumed."""

import re
from datetime import timedelta
from html import unescape
from unittest.mock import ANY

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.formats import date_format

from automations.admin.offers import OFFERS
from automations.deliveries.sending import request_of
from automations.models import Delivery, Destination, Secret
from automations.outgoing.addresses import parse_allowed_hosts
from automations.outgoing.headers import REFUSED
from automations.sealing import KEY_FILE, Sealed, fingerprint_of, open_sealed
from tests.following import add_secret, make_destination, make_rule
from tests.staff import errors_of, form_of, staff, text_of

PATH = "/admin/automations/destination/"
SLACK = "https://hooks.slack.com/services/T0/B0/xyz"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_key(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.ENCRYPTION_KEYS = []


@pytest.fixture
def ana():
    return staff("managers")


def add(client, preset="", **changes):
    path = f"{PATH}add/" + (f"?preset={preset}" if preset else "")
    return client.post(path, {**form_of(client, path), **changes})


def change(client, destination, **changes):
    path = f"{PATH}{destination.pk}/change/"
    return client.post(path, {**form_of(client, path), **changes})


def opened(destination):
    """The secrets, by name, in the clear."""
    return {one.name: open_sealed(Sealed(one.fingerprint, one.token)) for one in destination.secrets.all()}


def test_slack_by_a_click_takes_the_whole_address_as_its_secret(ana):
    page = ana.get(f"{PATH}add/?preset=slack")
    assert "Make an incoming webhook for a channel in Slack" in text_of(page)
    assert 'value="https://hooks.slack.com/services/{{ secrets.path }}"' in page.content.decode()

    response = add(ana, "slack", **{"secrets-0-value": SLACK})

    assert response.status_code == 302, errors_of(response)
    destination = Destination.objects.get()
    assert (destination.kind, destination.name) == ("slack", "Slack")
    assert opened(destination) == {"path": "T0/B0/xyz"}
    delivery = Delivery(destination=destination, method="POST", body=b"{}")
    assert request_of(delivery, opened(destination)).url == SLACK


OWN = {
    "zendesk": {"address": "https://acme.zendesk.com/api/v2/tickets.json"},
    "freshdesk": {"address": "https://acme.freshdesk.com/api/v2/tickets"},
    "webhook": {"address": "https://hooks.acme.com/frontdesk"},
}


@pytest.mark.parametrize("slug", OFFERS)
def test_every_preset_is_saved_with_its_secrets_and_what_is_its_own_and_leads_to_a_rule(ana, slug):
    offer = OFFERS[slug]
    secrets = {"slack": SLACK, "teams": "https://flows.acme.com/x"}
    values = {f"secrets-{index}-value": secrets.get(slug, "s3cr3t") for index in range(len(offer.secrets))}

    response = add(ana, slug, **values, **OWN.get(slug, {}), owner_email="sales@acme.com")

    assert response.status_code == 302
    destination = Destination.objects.get()
    assert destination.kind == offer.kind
    rule_page = f"/admin/automations/rule/add/?destination={destination.pk}"
    told = ana.get(response.headers["Location"]).content.decode()
    assert rule_page in told
    form = form_of(ana, rule_page)
    assert form["actions-0-destination"] == str(destination.pk)
    changes = {"name": "Tell them", "actions-0-template_name": "thanks" if slug == "whatsapp" else ""}
    if slug == "hubspot-contact":
        changes["actions-0-kept_link"] = form["actions-0-kept_link"].replace("YOUR-ACCOUNT", "4711")
    saved = ana.post(rule_page, {**form, **changes})
    assert saved.status_code == 302, errors_of(saved)


def test_a_preset_of_a_ticket_system_keeps_the_link_with_the_companys_own_domain(ana):
    add(ana, "zendesk", **{"secrets-0-value": "a@acme.com", "secrets-1-value": "k"}, **OWN["zendesk"])

    form = form_of(ana, f"/admin/automations/rule/add/?destination={Destination.objects.get().pk}")

    assert form["actions-0-kept_pointer"] == "/ticket/id"
    assert form["actions-0-kept_link"] == "https://acme.zendesk.com/agent/tickets/{{ kept.value }}"


def test_what_no_preset_is_called_fills_in_nothing(ana):
    assert form_of(ana, f"{PATH}add/?preset=nosuch&name=x&kind=http")["name"] == ""


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"kind": "http"}, "address", "Give the address that requests go to."),
        ({"kind": "http", "address": "http://plain.example.com/"}, "address", "https"),
        ({"kind": "http", "address": "https://a.acme.com/{{ session.id }}"}, "address", "Only secrets go in here."),
        (
            {"kind": "http", "address": "https://a.acme.com/{{ secrets.token }}"},
            "address",
            "There is no secret named token. Add it below.",
        ),
        (
            {"kind": "http", "address": "https://a.acme.com/", "headers": "X-Key: {{ secrets.token }}"},
            "headers",
            "There is no secret named token. Add it below.",
        ),
        ({"kind": "http", "address": "https://YOUR-DOMAIN.freshdesk.com/"}, "address", "Write your own address"),
        ({"kind": "slack", "address": SLACK}, "address", "paste the address as the secret below"),
        ({"kind": "http", "address": "https://a.acme.com/", "headers": "Host: b"}, "headers", "set by Frontdesk"),
        ({"kind": "http", "address": "https://a.acme.com/", "headers": "X-Key"}, "headers", "a name, a colon"),
        (
            {"kind": "http", "address": "https://a.acme.com/", "headers": "X-Api-Key: s3cr3t"},
            "headers",
            "X-Api-Key: writ",
        ),
        ({"kind": "http", "address": "https://a.acme.com/?token=s3cr3t"}, "address", "token: written out"),
        ({"kind": "http", "address": "https://ada:s3cr3t@a.acme.com/"}, "address", "user name"),
        ({"kind": "whatsapp", "headers": "Authorization: Bearer lt_1"}, "headers", "Authorization: Bearer {{ secrets"),
        ({"kind": ""}, "kind", "required"),
        ({"kind": "email", "at_once": "0"}, "at_once", "Give 1 or more: with less, nothing would ever be sent."),
        ({"kind": "email", "per_second": "0"}, "per_second", "Give 1 or more: with less, nothing would ever be sent."),
        ({"kind": "email", "at_once": "99999"}, "at_once", "Give 32 at most."),
        ({"kind": "email", "per_second": "99999"}, "per_second", "Give 1,000 at most."),
        ({"kind": "http", "address": "https://10.0.0.1/"}, "address", "10.0.0.1 is not on the public internet."),
        ({"kind": "http", "address": "https://[fd00::1]/x"}, "address", "fd00::1 is not on the public internet."),
        ({"kind": "http", "address": "https://0x7f.1/"}, "address", "127.0.0.1 is not on the public internet."),
        ({"kind": "http", "address": "https://169.254.169.254/"}, "address", "is a cloud's own service"),
        (
            {"kind": "http", "address": "https://a.acme.com/", "headers": "X-A: 1\nx-a: 2"},
            "headers",
            "x-a is given twice",
        ),
        ({"kind": "http", "address": "https://a.acme.com/", "name": "a\nb"}, "name", "It stands on one line"),
    ],
)
def test_what_cannot_be_sent_to_is_an_error_at_its_field(ana, changes, field, words):
    response = add(ana, **{"name": "There", **changes})

    assert words in errors_of(response)
    assert field in response.context["adminform"].form.errors
    assert not Destination.objects.exists()


@pytest.mark.parametrize(("field", "value"), [("at_once", 0), ("at_once", 33), ("per_second", 0), ("per_second", 1001)])
def test_the_database_takes_no_pace_at_which_nothing_is_sent(db, field, value):
    with pytest.raises(IntegrityError, match="destination_sends_something"), transaction.atomic():
        make_destination(**{field: value})


@pytest.mark.django_db(transaction=True)
def test_a_pace_that_was_stored_before_there_were_bounds_is_brought_within_them():
    before = MigrationExecutor(connection).migrate([("automations", "0001_what_follows_a_session")])
    old = before.apps.get_model("automations", "Destination").objects
    try:
        old.create(name="little", kind="email", at_once=0, per_second=0)
        old.create(name="much", kind="email", at_once=32_000, per_second=32_000)
    finally:
        executor = MigrationExecutor(connection)  # which goes by the steps now, as an upgrade does
        executor.migrate(executor.loader.graph.leaf_nodes("automations"))

    found = Destination.objects.order_by("name").values_list("at_once", "per_second")
    assert list(found) == [(1, 1), (32, 1000)]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_header_that_no_request_could_have_is_refused_on_saving(ana, name):
    changes = {"kind": "http", "address": "https://a.acme.com/", "headers": f"{name.title()}: x"}

    assert "is set by Frontdesk itself" in errors_of(add(ana, name="There", **changes))


def test_an_address_within_is_saved_where_the_setting_has_it(ana, settings):
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["10.0.0.0/8"])

    assert add(ana, name="There", kind="http", address="https://10.0.0.1/").status_code == 302


@pytest.mark.parametrize(
    ("slug", "pasted", "words"),
    [
        ("slack", "https://hooks.acme.com/x", "Paste the address that starts with https://hooks.slack.com/services/"),
        ("slack", "http://hooks.slack.com/services/T0/B0/xyz", "Paste the address that starts with"),
        ("teams", "T0/B0/xyz", "Give an address that starts with https://."),
        ("teams", "https://10.0.0.1/x", "10.0.0.1 is not on the public internet."),
    ],
)
def test_another_address_than_the_presets_own_is_refused_as_its_secret(ana, slug, pasted, words):
    response = add(ana, slug, **{"secrets-0-value": pasted})

    assert words in errors_of(response)
    assert pasted not in errors_of(response)
    assert not Destination.objects.exists()


def test_a_preset_is_remembered_whatever_the_host_is(ana):
    secrets = {"secrets-0-value": "a@acme.com", "secrets-1-value": "k"}
    add(ana, "zendesk", **secrets, address="https://support.acme.com/api/v2/tickets.json")

    destination = Destination.objects.get()
    form = form_of(ana, f"/admin/automations/rule/add/?destination={destination.pk}")

    assert destination.preset == "zendesk"
    assert '"ticket"' in form["actions-0-body"]
    assert form["actions-0-kept_pointer"] == "/ticket/id"
    change(ana, destination, name="Help desk")
    assert Destination.objects.get().preset == "zendesk"


def test_plain_http_may_be_allowed_by_the_setting(ana, settings):
    settings.OUTGOING_ALLOW_HTTP = True

    assert add(ana, name="There", kind="http", address="http://plain.example.com/").status_code == 302


def test_whatsapp_knows_livetoks_address_by_itself(ana):
    row = {"secrets-0-name": "api_key", "secrets-0-value": "lt_1"}

    assert add(ana, name="Messages", kind="whatsapp", **row).status_code == 302

    destination = Destination.objects.get()
    assert destination.address == "https://api.livetok.ai/v1"
    assert destination.headers == "Authorization: Bearer {{ secrets.api_key }}"


def test_a_secret_is_kept_replaced_deleted_and_never_shown(ana):
    destination = make_destination("https://a.acme.com/{{ secrets.token }}")
    add_secret(destination, "token", "first-secret")
    path = f"{PATH}{destination.pk}/change/"

    assert change(ana, destination, name="Renamed").status_code == 302
    assert opened(destination) == {"token": "first-secret"}
    assert change(ana, destination, **{"secrets-0-value": "second-secret"}).status_code == 302
    assert opened(destination) == {"token": "second-secret"}
    renamed = {"address": "https://a.acme.com/{{ secrets.key }}", "secrets-0-name": "key"}
    assert change(ana, destination, **renamed).status_code == 302
    assert opened(destination) == {"key": "second-secret"}
    page = ana.get(path)
    assert "Set on" in text_of(page)
    assert destination.secrets.get().fingerprint in text_of(page)
    for response in (page, ana.get(f"{PATH}{destination.pk}/history/"), ana.get(PATH)):
        assert "-secret" not in response.content.decode()
        assert destination.secrets.get().token not in response.content.decode()

    refused = change(ana, destination, **{"secrets-0-DELETE": "on"})
    assert "There is no secret named key." in errors_of(refused)  # the address needs it
    assert change(ana, destination, address="https://a.acme.com/", **{"secrets-0-DELETE": "on"}).status_code == 302
    assert not destination.secrets.exists()


def test_what_was_given_for_a_secret_is_not_shown_again_with_an_error(ana):
    response = add(ana, "slack", name="", **{"secrets-0-value": SLACK})

    assert "required" in errors_of(response)
    assert "T0/B0/xyz" not in response.content.decode()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("token", "")], "Give its value, or leave out the row."),
        ([("2fa", "x")], "Start with a letter"),
        ([("token", "x"), ("token", "y")], "There is another secret named token here."),
        ([("signing", "x")], "A signing secret is whsec_"),
    ],
)
def test_secrets_that_cannot_be_used_are_refused(ana, rows, words):
    fields = {"secrets-TOTAL_FORMS": str(len(rows))}
    for index, (name, value) in enumerate(rows):
        fields |= {f"secrets-{index}-name": name, f"secrets-{index}-value": value}

    assert words in errors_of(add(ana, name="There", kind="http", address="https://a.acme.com/", **fields))
    assert not Secret.objects.exists()


def test_without_its_key_pages_work_and_name_it_and_no_new_key_is_made(ana, tmp_path):
    destination = make_destination()
    fingerprint = add_secret(destination, "token", "s").fingerprint
    (tmp_path / KEY_FILE).unlink()

    for path in (PATH, f"{PATH}{destination.pk}/change/"):
        assert f"Its encryption key {fingerprint} is missing" in text_of(ana.get(path))
    assert change(ana, destination, name="Renamed").status_code == 302
    row = {"secrets-0-value": "another"}
    assert "encryption_key is missing" in errors_of(change(ana, destination, **row))
    assert "encryption_key is missing" in errors_of(change(ana, destination, is_signed="on"))
    assert not (tmp_path / KEY_FILE).exists()


def test_a_damaged_key_file_is_told_and_not_a_crash(ana, tmp_path):
    destination = make_destination()
    add_secret(destination, "token", "s")
    (tmp_path / KEY_FILE).write_text("cut short")

    assert "Restore it from a backup" in text_of(ana.get(PATH))
    assert "Restore it from a backup" in errors_of(change(ana, destination, **{"secrets-0-value": "another"}))


def test_another_key_in_front_leaves_old_secrets_and_shows_which_key_each_has(ana, settings, tmp_path):
    destination = make_destination()
    add_secret(destination, "token", "s")
    old = (tmp_path / KEY_FILE).read_text().strip()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), old]

    text = text_of(ana.get(f"{PATH}{destination.pk}/change/"))

    assert f"with the key {fingerprint_of(old)}" in text
    assert "missing" not in text


SHOWN_ONCE = "A signing secret is shown once, when it is made."


def test_to_sign_requests_makes_a_secret_that_is_shown_once(ana):
    response = add(ana, "webhook", **OWN["webhook"])

    destination = Destination.objects.get()
    secret = opened(destination)["signing"]
    assert secret.startswith("whsec_")
    assert response.headers["Location"] == f"{PATH}{destination.pk}/secret/"
    assert secret not in str(dict(ana.session))
    page = ana.get(f"{PATH}{destination.pk}/secret/")
    assert f'id="secret" tabindex="0">{secret}</code>' in page.content.decode().replace("&#x3D;", "=")
    assert "no-store" in page.headers["Cache-Control"]
    again = ana.get(f"{PATH}{destination.pk}/secret/", follow=True)
    assert SHOWN_ONCE in text_of(again)
    assert secret not in again.content.decode()
    assert opened(destination) == {"signing": secret}
    assert change(ana, destination, name="Renamed").status_code == 302
    assert opened(destination) == {"signing": secret}


def rotate(client, destination, **fields):
    """As a browser would: the page asks, and its form is sent."""
    path = f"{PATH}{destination.pk}/rotate/"
    page = client.get(path)
    newest = re.search(r'name="newest" value="([^"]*)"', page.content.decode())[1]
    return client.post(path, {"newest": unescape(newest), **fields})


def test_a_rotated_signing_secret_keeps_the_one_before_until_it_is_deleted(ana):
    add(ana, "webhook", **OWN["webhook"])
    destination = Destination.objects.get()
    first = opened(destination)["signing"]

    response = rotate(ana, destination)
    second = opened(destination)["signing"]
    assert response.headers["Location"] == f"{PATH}{destination.pk}/secret/"
    assert opened(destination) == {"signing": second, "signing-before": first}
    page = ana.get(response.headers["Location"])
    assert second in page.content.decode()
    assert first not in page.content.decode()
    # Loaded again, it rotates nothing: the receiver's secret stays.
    assert ana.get(response.headers["Location"]).status_code == 302
    assert opened(destination) == {"signing": second, "signing-before": first}

    rows = form_of(ana, f"{PATH}{destination.pk}/change/")
    row = next(name for name, value in rows.items() if value == "signing-before")
    assert change(ana, destination, **{row.replace("-name", "-DELETE"): "on"}).status_code == 302
    assert set(opened(destination)) == {"signing"}


def test_while_there_is_one_before_staff_are_asked_whether_the_receiver_knows_the_newest(ana):
    add(ana, "webhook", **OWN["webhook"])
    destination = Destination.objects.get()
    assert "must be known already" not in text_of(ana.get(f"{PATH}{destination.pk}/rotate/"))
    rotate(ana, destination)
    both = opened(destination)

    assert "must be known already" in text_of(ana.get(f"{PATH}{destination.pk}/rotate/"))
    assert "Nothing was changed yet." in text_of(rotate(ana, destination))
    assert opened(destination) == both

    assert rotate(ana, destination, is_known="on").status_code == 302
    assert opened(destination) == {"signing": ANY, "signing-before": both["signing"]}


def test_a_second_click_rotates_nothing_and_leads_to_the_secret_that_the_first_made(ana):
    add(ana, "webhook", **OWN["webhook"])
    destination = Destination.objects.get()
    rotate(ana, destination)
    path = f"{PATH}{destination.pk}/rotate/"
    newest = re.search(r'name="newest" value="([^"]*)"', ana.get(path).content.decode())[1]
    first, second = (ana.post(path, {"newest": unescape(newest), "is_known": "on"}) for _ in range(2))

    made = opened(destination)["signing"]
    assert first.headers["Location"] == second.headers["Location"]
    assert made in ana.get(second.headers["Location"]).content.decode()


def test_a_secret_whose_key_is_gone_is_not_shown_and_says_so(ana, tmp_path):
    add(ana, "webhook", **OWN["webhook"])
    (tmp_path / KEY_FILE).unlink()

    page = ana.get(f"{PATH}{Destination.objects.get().pk}/secret/", follow=True)

    assert "The secret cannot be shown." in text_of(page)


def test_a_paused_destination_says_why_and_one_click_resumes_it(ana):
    destination = make_destination(
        paused_at=timezone.now(), paused_because="It answered 410.", failures_in_row=20, failing_since=timezone.now()
    )
    path = f"{PATH}{destination.pk}/change/"
    assert "Paused. It answered 410. What is for it waits, and nothing is lost." in text_of(ana.get(path))
    assert "It answered 410." in text_of(ana.get(PATH))
    led = ana.get(f"{PATH}{destination.pk}/resume/")  # typed into the address bar
    assert led.headers["Location"] == path
    destination.refresh_from_db()
    assert destination.paused_at is not None

    response = ana.post(f"{PATH}{destination.pk}/resume/", follow=True)

    assert "is resumed: what waited goes out now" in text_of(response)
    destination.refresh_from_db()
    state = (destination.paused_at, destination.paused_because, destination.failures_in_row, destination.failing_since)
    assert state == (None, "", 0, None)
    assert "Paused at" in text_of(ana.get(f"{PATH}{destination.pk}/history/"))


def test_a_paused_destination_says_how_many_wait_since_when_and_how_many_failed_before(ana):
    now = timezone.now()
    destination = make_destination(paused_at=now, paused_because="It failed.", failing_since=now - timedelta(hours=1))
    for made, ended, state in ((5, None, "waiting"), (3, None, "waiting"), (4, 0.5, "failed"), (9, 8, "failed")):
        Delivery.objects.create(
            destination=destination,
            body=b"",
            state=state,
            created_at=now - timedelta(hours=made),
            next_attempt_at=now,
            finished_at=now - timedelta(hours=ended) if ended else None,
        )
    page = ana.get(f"{PATH}{destination.pk}/change/")

    since = f"{timezone.localtime(now - timedelta(hours=5)):%a} {date_format(now - timedelta(hours=5), 'j M Y, H:i')}"
    assert f'value="Resume and send 2 that wait since {since}"' in page.content.decode()
    assert "1 was given up before it was paused: look at what failed" in text_of(page)
    link = re.search(r'href="([^"]*)">look at what failed', page.content.decode())[1]
    assert ana.get(unescape(link)).context["cl"].result_count == 2


def test_the_list_shows_the_host_alone_and_what_waits(ana, django_assert_max_num_queries):
    destination = make_destination("https://hooks.acme.com/t0psecret/in?key=k1", failures_in_row=3)
    make_destination("{{ secrets.address }}", kind="teams")
    now = timezone.now()
    for _ in range(2):
        Delivery.objects.create(destination=destination, body=b"", created_at=now, next_attempt_at=now)
    Delivery.objects.create(
        destination=destination, body=b"", created_at=now, next_attempt_at=now, state="delivered", finished_at=now
    )
    with django_assert_max_num_queries(20):
        page = ana.get(PATH)

    assert "hooks.acme.com" in text_of(page)
    assert "t0psecret" not in page.content.decode()
    assert 'class="field-waiting">2<' in page.content.decode()
    assert "failing 3 in a row" in text_of(page)
    assert [row.pk for row in ana.get(f"{PATH}?state=failing").context["cl"].result_list] == [destination.pk]


def test_a_destination_in_use_stays(ana):
    destination = make_destination()
    make_rule("ended", destination)

    assert "is used by actions, so it cannot be deleted" in text_of(ana.get(f"{PATH}{destination.pk}/delete/"))


def test_a_viewer_sees_a_destination_without_its_secrets_and_changes_nothing(ana):
    destination = make_destination(is_signed=True, paused_at=timezone.now(), paused_because="It failed.")
    token = add_secret(destination, "signing", "s").token
    viewer = staff("viewers", "vic")

    page = viewer.get(f"{PATH}{destination.pk}/change/")

    assert "It failed." in text_of(page)
    assert "Resume" not in text_of(page)
    assert "signing secret" not in text_of(page)
    assert token not in page.content.decode()
    assert "secrets-0-name" not in page.content.decode()
    for name in ("resume", "rotate", "secret"):
        assert viewer.get(f"{PATH}{destination.pk}/{name}/").status_code == 403
        assert viewer.post(f"{PATH}{destination.pk}/{name}/").status_code == 403
    assert Destination.objects.get().paused_at is not None


def test_a_stale_form_does_not_undo_what_was_set_in_another_window(ana):
    destination = make_destination()
    add_secret(destination, "token", "s")
    path = f"{PATH}{destination.pk}/change/"
    form = form_of(ana, path)
    change(ana, destination, address="https://other.acme.com/")

    response = ana.post(path, {**form, "name": "Mine", "secrets-0-value": "typed"})

    assert "you saved other values yourself" in text_of(response)
    assert "typed" not in response.content.decode()
    destination.refresh_from_db()
    assert (destination.address, opened(destination)) == ("https://other.acme.com/", {"token": "s"})
