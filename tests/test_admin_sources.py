"""Staff's pages of sources: texts checked on saving, secrets write-only, and "Try it"."""

import pytest
from django.test import Client
from django.urls import reverse

from automations.models import CachedContext, Secret, Source
from automations.outgoing.addresses import parse_allowed_hosts
from automations.sealing import KEY_FILE, Sealed, open_sealed
from tests.builders import make_customer
from tests.following import add_secret, make_source
from tests.staff import form_of, staff
from tests.standins import Reply, http_standin

ADD = "/admin/automations/source/add/"
GOOD = {
    "name": "Shop",
    "address": "https://shop.example.com/customers/{{ customer.external_id }}",
    "headers": "Authorization: Bearer {{ secrets.token }}",
    "pointers": "last_order = /orders/0",
    "secrets-TOTAL_FORMS": "1",
    "secrets-0-name": "token",
    "secrets-0-value": "hunter2-hunter2",
}


@pytest.fixture
def chief(db: None) -> Client:
    client = staff("administrators")
    client.user.is_superuser = True
    client.user.save()
    return client


def save(client: Client, path: str, **changes: str):
    return client.post(path, {**form_of(client, path), **changes})


def page_of(source: Source) -> str:
    return reverse("admin:automations_source_change", args=[source.pk])


def test_a_source_is_saved_with_its_secret_which_is_shown_nowhere_again(chief):
    assert save(chief, ADD, **GOOD).status_code == 302
    source = Source.objects.get()
    page = chief.get(page_of(source)).content.decode()
    secret = Secret.objects.get()

    assert open_sealed(Sealed(secret.fingerprint, secret.token)) == "hunter2-hunter2"
    assert (secret.source, secret.destination) == (source, None)
    assert "hunter2" not in page
    assert secret.token not in page
    assert save(chief, page_of(source), name="Shop 2").status_code == 302  # left blank, it stays
    assert Secret.objects.get().token == secret.token
    assert "hunter2" not in chief.get(reverse("admin:automations_source_history", args=[source.pk])).content.decode()


def test_a_damaged_key_file_is_told_and_not_a_crash(chief, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    (tmp_path / KEY_FILE).write_text("cut short")

    response = save(chief, ADD, **GOOD)

    assert "is empty or cut short" in response.content.decode()
    assert not Source.objects.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"address": "http://shop.example.com/"}, "https"),
        ({"address": "https://shop.example.com/{{ secrets.token }}"}, "secrets are known in"),
        ({"headers": "Authorization: {{ secrets.other }}"}, "There is no secret named other. Add it below."),
        ({"headers": "Authorization: Bearer abc"}, "Put it into the secrets"),
        ({"address": "https://ada:s3cr3t@shop.example.com/"}, "without placeholders or a user"),
        ({"pointers": "last_order = orders/0"}, "starts with a slash"),
        ({"limit_ms": "601"}, "Give a time limit from 1 to 600 ms."),
        ({"secrets-0-value": ""}, "Give its value, or leave out the row."),
        ({"stale_hours": "0"}, "Give 1 to 720 hours of use"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_in_words(chief, changes, problem):
    response = save(chief, ADD, **{**GOOD, **changes})

    assert response.status_code == 200
    assert problem in response.content.decode()
    assert not Source.objects.exists()


def test_try_it_shows_what_each_pointer_gives_and_stores_nothing(chief, settings):
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["127.0.0.0/8"])
    settings.OUTGOING_ALLOW_HTTP = True
    make_customer(external_id="crm 7")
    with http_standin(Reply(body=b'{"orders": ["Blue kettle"]}')) as shop:
        source = make_source(
            f"{shop.url}/{{{{ customer.external_id }}}}",
            "last_order = /orders/0\nvip = /vip",
            headers="X-Key: {{ secrets.key }}",
        )
        add_secret(source, "key", "hunter2-hunter2")
        page = reverse("admin:automations_source_try", args=[source.pk])
        assert "Ask" in chief.get(page).content.decode()
        assert shop.requests == []
        shown = chief.post(page, {"caller": "+1234567890"}).content.decode()

    assert [request.path for request in shop.requests] == ["/crm%207"]
    assert shop.requests[0].headers["X-Key"] == "hunter2-hunter2"
    assert "&quot;Blue kettle&quot;" in shown
    assert "nothing is at /vip for vip" in shown
    assert "hunter2" not in shown
    assert not CachedContext.objects.exists()


def test_try_it_takes_the_permission_to_change(viewer):
    page = reverse("admin:automations_source_try", args=[make_source("https://shop.example.com/").pk])

    assert viewer.post(page, {"caller": "1"}).status_code in (302, 403, 404)
