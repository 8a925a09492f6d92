"""Lists of the admin filter by what they declare alone, whichever app they come from."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from tests.builders import LiveTok, make_customer
from tests.staff import staff, text_of

LISTS = {model._meta.label_lower: model for model in admin.site._registry}


@pytest.fixture
def superuser(db):
    client = staff("administrators")
    User.objects.filter(pk=client.user.pk).update(is_superuser=True)
    return client


def address_of(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def refusal(client, address):
    """What somebody is told whom an address sends back to the page itself."""
    response = client.get(address)
    assert (response.status_code, response.headers.get("Location")) == (302, address.partition("?")[0]), address
    return text_of(client.get(response.headers["Location"], follow=True))


@pytest.mark.parametrize(
    "query",
    ["begin_body__regex=s.cret", "begin_body__contains=s", "end_body__startswith=s", "answer__contains=s"],
)
def test_a_viewer_cannot_spell_out_a_body(livetok: LiveTok, viewer, query):
    livetok.begin(agentName="secret")

    assert "This list has no filter" in refusal(viewer, f"/admin/sessions_app/session/?{query}")


def test_nobody_sends_a_pattern_that_backtracks(livetok: LiveTok, viewer):
    livetok.begin(sessionId="a" * 60 + "!")

    assert "no filter “session_id__regex”" in refusal(
        viewer, "/admin/sessions_app/session/?session_id__regex=^(a%2B)%2B$"
    )


@pytest.mark.parametrize("label", LISTS)
def test_no_list_filters_by_a_column_of_its_own(superuser, label):
    model = LISTS[label]
    if label == "customers.policy":  # one row, and so no list
        return
    for field in model._meta.concrete_fields:
        assert superuser.get(f"{address_of(model)}?{field.name}__regex=1").status_code == 302
    for lookup in ("startswith", "contains", "range", "in", "isnull"):
        assert superuser.get(f"{address_of(model)}?{model._meta.pk.name}__{lookup}=1,2").status_code == 302


def test_a_relation_is_no_way_around(superuser):
    make_customer()

    for query in ("customer__notes__contains=a", "declared_missing_by__password__startswith=p", "tier__slug=a"):
        refusal(superuser, f"/admin/sessions_app/session/?{query}")


def test_a_download_of_a_list_is_no_way_around(superuser):
    response = superuser.post("/admin/customers/customer/export/?notes__startswith=s", {"format": "0"})

    assert response.status_code == 302


@pytest.mark.parametrize(
    "address",
    [
        "/admin/sessions_app/webhookevent/?verdict__exact=rejected&received_at__gt=2026-01-01T00:00:00%2B00:00",
        "/admin/sessions_app/session/?state=open&is_test__exact=0&o=-2",
        "/admin/customers/customer/?status__exact=active&created_at__gte=2026-01-01T00:00Z&q=Ada%20L",
        "/admin/auth/user/?is_superuser__exact=1",
    ],
)
def test_declared_filters_and_those_of_our_links_are_taken(superuser, address):
    assert superuser.get(address).status_code == 200


@pytest.mark.parametrize(
    "query, says",
    [
        ("_to_field=begin_body", "does not offer"),
        ("started_at__gte=yesterday", "cannot be read"),
        ("q=" + "a+" * 2000, "20 words at most"),
        ("q=" + "a" * 256, "255 characters"),
        ("&".join(["is_test__exact=1"] * 11), "by 10 values"),
    ],
)
def test_what_a_list_does_not_offer_sends_back_with_words(superuser, query, says):
    assert says in refusal(superuser, f"/admin/sessions_app/session/?{query}")


def test_what_was_chosen_has_to_be_in_the_list(superuser):
    form = {"action": "declare_end_missing", "_selected_action": "x"}

    response = superuser.post("/admin/sessions_app/session/", form, follow=True)

    assert "not in this list" in text_of(response)


def test_a_form_is_not_filled_in_by_its_address(superuser):
    page = superuser.get("/admin/customers/customer/add/?tier=abc&name=Mallory")

    assert page.status_code == 200
    assert "Mallory" not in page.content.decode()


def test_no_address_leads_from_a_content_type_to_an_object(superuser):
    assert superuser.get("/admin/r/1/x/").status_code == 404


@pytest.mark.parametrize(
    "path", ["customers/customer/", "customers/tier/", "sessions_app/session/", "customers/agent/"]
)
def test_a_relation_without_a_name_is_no_field_to_choose_by(client, db, path):
    client.force_login(User.objects.create_superuser("root"))

    assert client.get(f"/admin/{path}?_to_field=%2B").status_code == 302
