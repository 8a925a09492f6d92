"""Two people, one form: what somebody else saved meanwhile is told and kept, and so is the person's own input."""

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.keys import create_key
from customers.models import ApiKey, Customer, DenialMessage, LimitOverride, PhoneNumber, Policy, Tier, TierLimit
from tests.api import Api
from tests.builders import limit, make_channel, make_customer, make_livetok, make_override, make_tier
from tests.staff import errors_of, form_in, form_of, list_of, staff, text_of, with_row

POLICY = "/admin/customers/policy/1/change/"
MESSAGES = "/admin/customers/denialmessage/"
ADD_CUSTOMER, ADD_TIER = "/admin/customers/customer/add/", "/admin/customers/tier/add/"


@pytest.fixture
def ana(db):
    return staff("administrators")


@pytest.fixture
def bob(ana):
    client = staff("administrators", "bob")
    User.objects.filter(username="bob").update(first_name="Bob", last_name="Berg")
    return client


def change(row) -> str:
    return f"/admin/customers/{row._meta.model_name}/{row.pk}/change/"


def save(client, path, **changes):
    response = client.post(path, form_of(client, path) | changes)
    assert response.status_code == 302, errors_of(response)


def test_a_block_is_not_undone_by_whoever_had_opened_the_customer_before(ana, bob):
    customer = make_customer(make_tier(), "+442079460958", name="Ada")
    opened = form_of(ana, change(customer))
    save(bob, change(customer), status="blocked")

    refused = ana.post(change(customer), opened | {"email": "ada@example.com"})

    customer.refresh_from_db()
    assert (customer.status, customer.email) == ("blocked", "")
    assert "– Bob Berg changed Customer: Ada Field Before After Status Active Blocked" in text_of(refused)
    again = form_in(refused)
    assert (again["email"], again["status"]) == ("ada@example.com", "blocked")
    assert "This is what is stored now." in errors_of(refused)
    assert ana.post(change(customer), again).status_code == 302
    customer.refresh_from_db()
    assert (customer.status, customer.email) == ("blocked", "ada@example.com")


def test_of_two_who_change_one_field_the_second_decides_with_both_values_in_sight(ana, bob):
    customer = make_customer(name="Ada")
    opened = form_of(ana, change(customer))
    save(bob, change(customer), name="Ada Lovelace")

    refused = ana.post(change(customer), opened | {"name": "Ada King"})

    assert "Name Ada Ada Lovelace" in text_of(refused)
    assert "saving again replaces what is stored now" in errors_of(refused)
    save_again = form_in(refused)
    assert save_again["name"] == "Ada King"
    ana.post(change(customer), save_again)
    customer.refresh_from_db()
    assert customer.name == "Ada King"


def test_the_second_save_is_refused_too_where_it_is_stale_again(ana, bob):
    customer = make_customer(name="Ada")
    opened = form_of(ana, change(customer))
    save(bob, change(customer), status="paused")
    again = form_in(ana.post(change(customer), opened | {"email": "ada@example.com"}))
    save(bob, change(customer), status="blocked")

    refused = ana.post(change(customer), again)

    text = text_of(refused)
    assert "Status Paused Blocked" in text
    assert "Status Active Paused" not in text
    assert Customer.objects.get().email == ""


def test_a_deny_all_is_not_undone(ana, bob):
    opened = form_of(ana, POLICY)
    save(bob, POLICY, emergency="deny_all", deny_all_confirmed="on")

    refused = ana.post(POLICY, opened | {"limits_in_answer": "what_is_left"})

    assert Policy.objects.get().emergency == "deny_all"
    assert "Emergency switch normal deny all" in text_of(refused)
    assert form_in(refused)["limits_in_answer"] == "what_is_left"


def test_a_row_that_is_gone_is_told_at_that_row_and_can_be_added_anew(ana, bob):
    tier = make_tier("premium", limit("call_minutes", 60), limit("messages", 100))
    opened = form_of(ana, change(tier))
    save(bob, change(tier), **{"limits-0-DELETE": "on"})

    refused = ana.post(change(tier), opened | {"limits-0-amount": "90"})

    assert [str(row) for row in tier.limits.all()] == ["100 messages a day"]
    assert "removed Tier limit: 60 call minutes a day" in text_of(refused)
    rows = refused.context["inline_admin_formsets"][0].formset.forms
    assert [bool(row.non_field_errors()) for row in rows] == [False, True]
    again = form_in(refused)
    assert (again["limits-INITIAL_FORMS"], again["limits-1-amount"]) == ("1", "90")
    assert ana.post(change(tier), again).status_code == 302
    assert [str(row) for row in tier.limits.all()] == ["90 call minutes a day", "100 messages a day"]


def test_a_row_that_is_gone_and_that_nobody_touched_stays_gone(ana, bob):
    tier = make_tier("premium", limit("call_minutes", 60), limit("messages", 100))
    opened = form_of(ana, change(tier))
    save(bob, change(tier), **{"limits-0-DELETE": "on"})

    again = form_in(ana.post(change(tier), opened | {"name": "Gold"}))
    assert ana.post(change(tier), again).status_code == 302

    tier.refresh_from_db()
    assert tier.name == "Gold"
    assert [str(row) for row in tier.limits.all()] == ["100 messages a day"]


def test_rows_added_changed_and_deleted_by_both_are_all_there(ana, bob):
    make_channel("telephony")
    tier = make_tier("premium", limit("call_minutes", 60), limit("messages", 100), limit("sessions", 5))
    opened = form_of(ana, change(tier))
    bobs = with_row(form_of(bob, change(tier)), "limits", metric="concurrent_sessions", amount="2", hard="on")
    bobs |= {"limits-0-amount": "61", "allowed_channels": ["telephony"]}
    assert bob.post(change(tier), bobs).status_code == 302

    mine = with_row(opened, "limits", metric="call_minutes", period="week", amount="300", hard="on")
    refused = ana.post(change(tier), mine | {"limits-1-amount": "101", "limits-2-DELETE": "on"})
    assert tier.limits.count() == 4
    response = ana.post(change(tier), form_in(refused))

    assert response.status_code == 302, errors_of(response)
    assert sorted(str(row) for row in tier.limits.all()) == [
        "101 messages a day",
        "2 concurrent sessions",
        "300 call minutes a week",
        "61 call minutes a day",
    ]
    assert [channel.pk for channel in tier.allowed_channels.all()] == ["telephony"]


def test_a_customers_numbers_and_overrides_are_part_of_what_was_shown(ana, bob):
    customer = make_customer(make_tier(), "+442079460958")
    make_override(customer, limit("call_minutes", 90))
    opened = form_of(ana, change(customer))
    save(bob, change(customer), **{"numbers-0-number": "+442079460959", "overrides-0-amount": "120"})

    refused = ana.post(change(customer), opened | {"notes": "Called back.\r\nTwice."})

    again = form_in(refused)
    assert (again["numbers-0-number"], again["overrides-0-amount"]) == ("+442079460959", "120")
    assert ana.post(change(customer), again).status_code == 302
    assert [number.key for number in customer.numbers.all()] == ["+442079460959"]
    assert LimitOverride.objects.get().amount == 120


def test_a_script_that_changes_a_customer_is_named_by_its_key(ana):
    customer = make_customer(make_tier(), name="Ada")
    opened = form_of(ana, change(customer))
    Api("manage").patch(f"/api/v1/customers/{customer.pk}/", {"status": "paused"})

    assert "– API key CRM" in text_of(ana.post(change(customer), opened))
    assert Customer.objects.get().status == "paused"


def test_calls_and_a_keys_use_make_no_form_stale(ana):
    livetok = make_livetok()
    livetok.begin()
    customer, key = Customer.objects.get(), ApiKey.objects.get()
    forms = {path: form_of(ana, path) for path in (change(customer), change(key), POLICY)}
    livetok.begin(sessionId="2")
    ApiKey.objects.update(last_used_at=customer.created_at)

    for path, opened in forms.items():
        assert ana.post(path, opened).status_code == 302, path


def test_channels_keys_people_and_groups_are_guarded_too(ana, bob):
    channel, key = make_channel("telephony"), create_key("CRM", ["read"])[0]
    person = User.objects.create_user("cy", password="correct horse")
    group = Group.objects.get(name="viewers")
    pages = {
        change(channel): {"label": "Phone"},
        change(key): {"name": "ERP"},
        f"/admin/auth/user/{person.pk}/change/": {"last_name": "Cyrus"},
        f"/admin/auth/group/{group.pk}/change/": {"name": "readers"},
    }
    for client in (ana, bob):
        User.objects.filter(pk=client.user.pk).update(is_superuser=True)

    for path, changes in pages.items():
        opened = form_of(ana, path)
        save(bob, path, **changes)
        refused = ana.post(path, opened)
        assert "– Bob Berg" in text_of(refused), path
        assert form_in(refused).items() >= changes.items()
        assert ana.post(path, form_in(refused)).status_code == 302


def histories():
    return [list(model.history.values()) for model in (Customer, PhoneNumber, LimitOverride, Tier, TierLimit, Policy)]


def test_who_sends_one_form_twice_is_told_that_it_is_saved(ana, bob):
    """Rows that are new, changed, taken out and, as a number, stored anew; and a second word that nothing stores."""
    make_channel("telephony")
    tier = make_tier("premium", limit("call_minutes", 60), limit("messages", 100))
    customer = make_customer(tier, "+442079460958", "+442079460959", name="Ada")
    new_override = {"metric": "call_minutes", "period": "day", "amount": "90", "hard": "on", "note": "VIP"}
    opened = with_row(form_of(ana, change(customer)), "overrides", **new_override)
    tiers = form_of(ana, change(tier)) | {"limits-0-amount": "61", "limits-1-DELETE": "on"}
    denied = form_of(ana, POLICY) | {"emergency": "deny_all", "deny_all_confirmed": "on"}
    listed = list_of(ana, MESSAGES) | {"form-0-message": "Please register."}
    numbers = {"numbers-0-number": "+442079460957", "numbers-1-DELETE": "on", "status": "paused"}
    for path, form, other in (
        (change(customer), opened | numbers, {"overrides-0-note": "Else"}),
        (change(tier), tiers | {"allowed_channels": ["telephony"]}, {"limits-0-amount": "62"}),
        (POLICY, denied, {"limits_in_answer": "what_is_left"}),
        (MESSAGES, listed, {"form-0-message": "Else"}),
    ):
        assert ana.post(path, form).status_code == 302, path
        before = histories()

        assert "you saved other values yourself" in text_of(ana.post(path, form | other))
        assert "somebody else saved this" in text_of(bob.post(path, form))
        twice = ana.post(path, form)

        assert twice.status_code == 302, path
        assert "success" in {message.level_tag for message in get_messages(twice.wsgi_request)}
        assert histories() == before, path


def test_who_sends_a_new_object_twice_makes_one_and_may_make_another_like_it(ana, bob):
    make_tier("premium")
    new = with_row(form_of(ana, ADD_CUSTOMER), "numbers", number="+442079460958") | {"name": "Ada"}
    without_number = form_of(ana, ADD_CUSTOMER) | {"name": "Ada", "tier": str(Tier.objects.get(slug="premium").pk)}
    tier = with_row(form_of(ana, ADD_TIER), "limits", metric="messages", period="day", amount="9", hard="on")
    new["tier"] = without_number["tier"]
    for path, form, model in (
        (ADD_CUSTOMER, new, Customer),
        (ADD_CUSTOMER, without_number, Customer),
        (ADD_TIER, tier | {"name": "Gold", "slug": "gold"}, Tier),
    ):
        before = model.objects.count()
        first, twice = ana.post(path, form), ana.post(path, form)

        assert [first.status_code, twice.status_code] == [302, 302], errors_of(twice)
        assert "added successfully" in str(list(get_messages(twice.wsgi_request))[-1])
        assert model.objects.count() == before + 1
    # Another value, another person and another form are another customer.
    again = without_number | {"_shown_state": form_of(ana, ADD_CUSTOMER)["_shown_state"]}
    for client, form in ((ana, without_number | {"notes": "Else"}), (bob, without_number), (ana, again)):
        assert client.post(ADD_CUSTOMER, form).status_code == 302
    assert Customer.objects.filter(name="Ada").count() == 5


def test_a_list_that_is_edited_keeps_both_messages(ana, bob):
    opened = list_of(ana, MESSAGES)
    at = {value: name.removesuffix("reason") + "message" for name, value in opened.items() if name.endswith("-reason")}
    bobs = list_of(bob, MESSAGES) | {at["unknown_caller"]: "Please register."}
    assert bob.post(MESSAGES, bobs).status_code == 302

    refused = ana.post(MESSAGES, opened | {at["no_number"]: "Please show your number."})

    assert DenialMessage.objects.get(pk="no_number").message != "Please show your number."
    text = text_of(refused)
    assert "– Bob Berg changed Denial message: unknown_caller" in text
    assert "Please show your number." in text
    assert "This is what is stored now." in text
    formset = refused.context["cl"].formset
    again = {field.html_name: field.value() for form in formset.forms for field in form}
    again |= {f"form-{name}": str(len(formset.forms)) for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    again |= {"_save": "Save", "_shown_state": str(refused.context["shown_state"])}
    assert ana.post(MESSAGES, again).status_code == 302
    messages = dict(DenialMessage.objects.values_list("reason", "message"))
    assert (messages["unknown_caller"], messages["no_number"]) == ("Please register.", "Please show your number.")


@pytest.mark.parametrize("state", [None, "", "x", "[]", "[1,2]", '[{"":1},{}]', "[" * 5000, '[{},{"a":"x"}]'])
def test_a_form_that_does_not_say_what_it_showed_saves_nothing_and_keeps_the_input(ana, state):
    customer = make_customer(make_tier("premium", limit("messages", 5)), "+442079460958", name="Ada")
    for row in (customer, customer.tier):
        opened = form_of(ana, change(row)) | {"name": "Grace"}
        opened.pop("_shown_state")

        refused = ana.post(change(row), opened if state is None else opened | {"_shown_state": state})

        assert "did not say which state it had shown" in text_of(refused)
        assert form_in(refused)["name"] == "Grace"
        assert "meanwhile" not in errors_of(refused)
    assert Customer.objects.get().name == "Ada"


def test_who_may_only_look_is_still_kept_out(ana):
    customer = make_customer(make_tier())
    viewer = staff("viewers", "vic")

    assert viewer.post(change(customer), {"name": "Grace"}).status_code == 403
    assert ana.post(change(Tier(pk=999)), {}, follow=True).status_code == 200


FIELDS = {"name": ["Ada", "Grace"], "email": ["a@example.com", "b@example.com"], "status": ["active", "paused"]}
CHANGES = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FIELDS.items()})


@settings(max_examples=10, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(mine=CHANGES, theirs=CHANGES)
def test_whatever_two_people_change_nothing_that_one_left_alone_is_undone(ana, bob, mine, theirs):
    Customer.objects.all().delete()
    customer = make_customer(Tier.objects.first(), name="Ada", email="a@example.com")
    path, before = change(customer), {"name": "Ada", "email": "a@example.com", "status": "active"}
    opened = form_of(ana, path)
    save(bob, path, **theirs)

    response = ana.post(path, opened | mine)
    if response.status_code == 200:
        response = ana.post(path, form_in(response))

    assert response.status_code == 302
    customer.refresh_from_db()
    own = {name: value for name, value in mine.items() if value != before[name]}
    assert {name: getattr(customer, name) for name in before} == before | theirs | own
