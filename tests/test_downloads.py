"""Two downloads at once in a process; the third is told when to try again."""

import gc

import pytest

from customers import downloads
from tests.staff import staff, text_of

pytestmark = pytest.mark.django_db

SESSIONS = "/reports/sessions/?format=csv"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    gc.collect()  # what the test before has left gives its place back
    monkeypatch.setattr(downloads, "WAIT_SECONDS", 0.01)


def running(client, path=SESSIONS):
    """A download that its client has not taken yet."""
    response = client.get(path)
    assert response.status_code == 200
    return response


def take(response):
    assert b"".join(response.streaming_content)


@pytest.mark.parametrize(
    "path", ["/reports/sessions/?format=csv", "/reports/sessions/?format=xlsx", "/reports/live/?format=csv"]
)
def test_the_third_is_told_to_come_back(path):
    client = staff("viewers")
    kept = [running(client), running(client)]

    response = client.get(path)

    assert (response.status_code, response["Retry-After"]) == (503, "10")
    assert "2 other files are being downloaded" in text_of(response)
    assert "Frontdesk" in text_of(response)
    take(kept[0])
    assert running(client, path)


def test_customers_exports_count_too():
    client = staff("viewers")
    kept = [running(client), running(client)]
    form = {"format": "0", "customerresource_id": "on", "resource": "0"}

    assert client.post("/admin/customers/customer/export/", form).status_code == 503

    take(kept[0])
    response = client.post("/admin/customers/customer/export/", form)
    assert response["Content-Disposition"].startswith("attachment")


def test_one_that_nobody_has_any_more_gives_its_place_back():
    client = staff("viewers")
    kept = [running(client), running(client)]

    kept.pop()
    gc.collect()

    assert running(client)


def test_one_that_is_not_made_gives_its_place_back(monkeypatch):
    client = staff("viewers")
    monkeypatch.setattr("sessions_app.reports.frame.export.MOST_XLSX_ROWS", 0)
    for _ in range(3):
        assert client.get("/reports/?format=xlsx").status_code == 400
    monkeypatch.undo()

    assert running(client)
