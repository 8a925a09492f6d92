"""Uploaded files between preview and confirmation: how long they are kept, and what nobody can make of them."""

import os
import time

import pytest
from django.conf import settings
from django.db import OperationalError

from customers.importing.resource import CustomerResource
from customers.models import Customer
from tests.builders import make_tier
from tests.staff import staff
from tests.staff import text_of as page_text
from tests.test_admin_import import CONFIRM, HEADER, IMPORT, confirm, upload, xlsx


@pytest.fixture
def ana(db):
    return staff("managers")


def kept_uploads():
    folder = settings.DATA_DIR / "uploads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_upload_is_gone_once_imported_and_cannot_be_made_up(ana):
    make_tier("premium")
    preview = upload(ana, f"{HEADER}\ncrm-1,Ada,,premium,,,\n")
    confirm(ana, preview)
    # Whoever has clicked twice is told what came of the first.
    assert "Import finished: 1 new, 0 changed, 0 unchanged." in page_text(confirm(ana, preview))
    assert Customer.history.count() == 1
    for name in ("../secret_key", "secret_key", "0" * 32):
        form = {"import_file_name": name, "original_file_name": "x.csv", "format": "0", "resource": ""}
        assert "The uploaded file is gone" in page_text(ana.post(CONFIRM, form, follow=True))


@pytest.mark.parametrize(
    "tampered",
    [{"format": "99"}, {"format": "abc"}, {"format": "-1"}, {"format": ""}, {"original_file_name": "a\0b"}],
    ids=str,
)
def test_a_confirmation_that_no_preview_asked_for_leads_back_to_the_form(ana, tampered):
    make_tier("premium")
    form = upload(ana, f"{HEADER}\ncrm-1,Ada,,premium,,,\n").context["confirm_form"]
    sent = {name: form[name].value() for name in form.fields} | tampered

    response = ana.post(CONFIRM, sent, follow=True)

    assert response.request["PATH_INFO"] == IMPORT
    assert "This is not what the preview asked for. Choose the file again." in page_text(response)
    assert not Customer.objects.exists()


def test_a_confirmation_of_the_other_format_is_refused_and_the_file_removed(ana):
    make_tier("premium")
    before = kept_uploads()
    for name, other, content in (
        ("crm.csv", "1", f"{HEADER}\ncrm-1,Ada,,premium,,,\n"),
        ("crm.xlsx", "0", xlsx(["external_id", "tier"], ["crm-1", "premium"])),
    ):
        form = upload(ana, content, name).context["confirm_form"]
        sent = {name: form[name].value() for name in form.fields} | {"format": other}

        response = ana.post(CONFIRM, sent, follow=True)

        assert response.request["PATH_INFO"] == IMPORT
        assert response.context["messages"]
        assert kept_uploads() == before
    assert not Customer.objects.exists()


@pytest.mark.parametrize(
    "content, name",
    [
        (f"{HEADER}\ncrm-1,Ada,,gold,,,\n", "crm.csv"),
        ("name\nAda\n", "crm.csv"),
        ("external_id\n", "crm.csv"),
        (b"external_id,name\ncrm-1,Jos\xe9\n", "crm.csv"),
        (b"PK\x03\x04 nonsense", "crm.xlsx"),
    ],
)
def test_a_refused_upload_is_removed_at_once_and_one_that_waits_stays(ana, content, name):
    make_tier("premium")
    before = kept_uploads()
    waiting = upload(ana, f"{HEADER}\ncrm-1,Ada,,premium,,,\n").context["confirm_form"]["import_file_name"].value()

    assert "confirm_form" not in upload(ana, content, name).context

    assert set(kept_uploads()) - set(before) == {waiting, f"{waiting}.shown"}


def test_an_upload_whose_preview_breaks_is_removed(ana, monkeypatch):
    make_tier("premium")
    before = kept_uploads()

    def break_it(*args, **kwargs):
        raise OperationalError("the database went away")

    monkeypatch.setattr(CustomerResource, "import_data", break_it)
    with pytest.raises(OperationalError):
        upload(ana, f"{HEADER}\ncrm-1,Ada,,premium,,,\n")

    assert kept_uploads() == before


def test_uploads_are_private_and_kept_for_a_day(ana):
    make_tier("premium")
    folder = settings.DATA_DIR / "uploads"
    folder.mkdir(exist_ok=True)
    old = folder / ("a" * 32)
    old.touch()
    long_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(old, (long_ago, long_ago))

    upload(ana, f"{HEADER}\ncrm-1,Ada,,premium,,,\n")

    assert not old.exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
