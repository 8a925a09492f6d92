"""Drafts and scheduled changes in the admin: made from the tier's page, tried, put into force, cancelled."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from customers.admin import changes
from customers.history import Part, history_of, moment_words
from customers.models import CustomerChange, Tier, TierChange, TierLimit
from customers.scheduling import cancel
from customers.settling import settle_due
from tests.builders import limit, make_customer, make_tier
from tests.staff import form_of, staff, text_of
from tests.test_scheduled import come, limits_of, make_older, never, tier_change

pytestmark = pytest.mark.django_db


@pytest.fixture
def free(db) -> Tier:
    tier = make_tier("free", limit("call_minutes", 20), limit("sessions", 5))
    make_customer(tier)
    return tier


def draft_page(client, tier: Tier) -> str:
    response = client.post(f"/admin/customers/tierchange/draft/{tier.pk}/")
    assert response.status_code == 302
    return response.url


def with_25_minutes(client, page: str, **changes):
    data = form_of(client, page)
    (name,) = [name for name, value in data.items() if name.endswith("-amount") and value == "20"]
    return data | {name: "25"} | changes


def test_a_draft_begins_with_the_limits_of_now_and_holds_for_nobody(free):
    client = staff("managers")
    page = draft_page(client, free)
    assert draft_page(client, free) == page  # one draft of a tier

    response = client.post(page, with_25_minutes(client, page, _save="Save"), follow=True)

    assert "The draft is saved." in text_of(response)
    draft = TierChange.objects.get()
    assert [str(row) for row in draft.shown_limits] == ["25 call minutes a day", "5 sessions a day"]
    assert limits_of(free) == ["20 call minutes a day", "5 sessions a day"]
    text = text_of(client.get(page))
    assert "Draft: holds for nobody" in text
    assert "1 customer on the tier now" in text
    assert "20 call minutes a day 25 call minutes a day" in text
    assert "5 sessions a day (the same)" in text
    assert "25 call minutes a day; 5 sessions a day" in text_of(client.get(f"/admin/customers/tier/{free.pk}/change/"))


def test_a_draft_is_put_into_force_at_once_with_one_line_of_history(free):
    make_older()
    client = staff("managers")
    page = draft_page(client, free)

    response = client.post(page, with_25_minutes(client, page, _now="Put into force now"), follow=True)

    assert "Free has these limits from now on." in text_of(response)
    assert limits_of(free) == ["25 call minutes a day", "5 sessions a day"]
    newest, *_ = history_of(Tier, free.pk, [Part(TierLimit, "tier")])
    assert (newest.who, newest.why) == ("ana", "Put into force at once.")
    assert [(row.action, row.what) for row in newest.rows] == [("changed", "25 call minutes a day")]
    assert settle_due(never) == 0


def test_what_came_before_a_draft_is_saved_is_in_force_before_it(free):
    """The worker has not settled it yet: whoever saves a change of the tier locks the tier first, which settles it."""
    client = staff("managers")
    page = draft_page(client, free)
    data = with_25_minutes(client, page, _save="Save")
    came = come(free, limit("sessions", 9))

    client.post(page, data)

    came.refresh_from_db()
    assert came.in_force_at is not None
    assert limits_of(free) == ["9 sessions a day"]
    assert [str(row) for row in came.limits.filter(before=True)] == ["20 call minutes a day", "5 sessions a day"]


def test_a_draft_is_put_into_force_at_a_moment_and_cancelled_before(free):
    client = staff("managers")
    page = draft_page(client, free)
    tomorrow = timezone.localtime() + timedelta(days=1)
    at = {"starts_at_0": f"{tomorrow:%Y-%m-%d}", "starts_at_1": "09:00:00"}

    response = client.post(page, with_25_minutes(client, page, _save="Save", **at), follow=True)

    change = TierChange.objects.get()
    assert change.author == User.objects.get(username="ana")
    assert timezone.localtime(change.starts_at) == tomorrow.replace(hour=9, minute=0, second=0, microsecond=0)
    assert f"Free has these limits from {moment_words(change.starts_at)}." in text_of(response)
    assert "it replaces all limits of this tier then" in text_of(client.get(f"/admin/customers/tier/{free.pk}/change/"))
    assert client.post(page, {"_save": "Save"}).status_code == 302  # a draft no more

    client.post(f"/admin/customers/tierchange/{change.pk}/delete/", {"post": "yes"})

    assert not TierChange.objects.exists()
    gone = TierChange.history.latest()
    assert (gone.history_type, gone.history_user.username, gone.starts_at) == ("-", "ana", change.starts_at)
    assert limits_of(free) == ["20 call minutes a day", "5 sessions a day"]


def test_a_moment_in_the_past_is_refused(free):
    client = staff("managers")
    page = draft_page(client, free)
    at = {"starts_at_0": "2026-01-01", "starts_at_1": "00:00:00"}
    response = client.post(page, with_25_minutes(client, page, _save="Save", **at))
    assert "give a moment in the future" in text_of(response)
    assert TierChange.objects.get().starts_at is None


@pytest.mark.parametrize("is_settled", [True, False])
def test_what_has_come_cannot_be_cancelled(free, is_settled):
    change = come(free, limit("sessions", 9))
    if is_settled:
        settle_due(never)
    client = staff("managers")
    page = f"/admin/customers/tierchange/{change.pk}"

    response = client.post(f"{page}/delete/", {"post": "yes"}, follow=True)

    assert "cannot be cancelled. Change the tier instead." in text_of(response)
    assert TierChange.objects.filter(pk=change.pk).exists()
    assert "In force since" in text_of(response)


def test_a_scheduled_change_of_a_customers_tier_is_cancelled(free):
    customer = make_customer(free, "+15550009", name="Ada")
    change = CustomerChange.objects.create(
        customer=customer, tier=make_tier("premium"), starts_at=timezone.now() + timedelta(days=1)
    )
    client = staff("managers")
    assert "Ada" in text_of(client.get("/admin/customers/customerchange/?state=scheduled"))
    client.post(f"/admin/customers/customerchange/{change.pk}/delete/", {"post": "yes"})
    assert not CustomerChange.objects.exists()
    assert CustomerChange.history.latest().history_user.username == "ana"


def test_what_came_before_another_one_is_cancelled_is_in_force_before_it(free):
    customer, premium = make_customer(free, "+15550009"), make_tier("premium")
    hour = timedelta(hours=1)
    came, later = (
        CustomerChange.objects.create(customer=customer, tier=premium, starts_at=starts_at)
        for starts_at in (timezone.now() - hour, timezone.now() + hour)
    )

    staff("managers").post(f"/admin/customers/customerchange/{later.pk}/delete/", {"post": "yes"})

    came.refresh_from_db()
    assert came.in_force_at is not None
    assert list(CustomerChange.objects.all()) == [came]


def test_what_comes_while_it_is_cancelled_stays_and_the_page_says_so(free, monkeypatch):
    change = tier_change(free, timezone.now() + timedelta(hours=1), limit("sessions", 9))
    of_customer = CustomerChange.objects.create(
        customer=free.customers.get(), tier=make_tier("premium"), starts_at=change.starts_at
    )

    def cancel_later(found):
        """The person has asked for it before the moment; then it comes."""
        with time_machine.travel(found.starts_at):
            cancel(found)

    monkeypatch.setattr(changes, "cancel", cancel_later)
    client = staff("managers")
    for one, whose in ((change, "tier"), (of_customer, "customer")):
        page = f"/admin/customers/{one._meta.model_name}/{one.pk}/delete/"
        response = client.post(page, {"post": "yes"}, follow=True)
        assert f"cannot be cancelled. Change the {whose} instead." in text_of(response)
        assert type(one).objects.filter(pk=one.pk).exists()


def test_whoever_schedules_a_draft_of_a_colleague_is_its_author(free):
    page = draft_page(staff("managers"), free)
    otto = staff("managers", "otto")
    form = with_25_minutes(otto, page, _save="Save")
    otto.post(page, form)
    assert TierChange.objects.get().author.username == "ana"
    at = {"starts_at_0": "2031-01-01", "starts_at_1": "09:00:00"}
    otto.post(page, form_of(otto, page) | {"_save": "Save"} | at)
    assert TierChange.objects.get().author.username == "otto"


def test_the_page_of_what_has_come_lists_its_own_limits_alone(free):
    change = come(free, limit("sessions", 9))
    settle_due(never)
    response = staff("managers").get(f"/admin/customers/tierchange/{change.pk}/change/")
    (inline,) = response.context["inline_admin_formsets"]
    assert [str(form.instance) for form in inline.formset.initial_forms] == ["9 sessions a day"]


def test_viewers_look_and_do_nothing(free):
    draft = tier_change(free, None, limit("sessions", 9))
    client = staff("viewers")
    page = f"/admin/customers/tierchange/{draft.pk}"
    assert "9 sessions a day" in text_of(client.get(f"{page}/change/"))
    assert client.post(f"/admin/customers/tierchange/draft/{free.pk}/").status_code == 403
    assert client.post(f"{page}/change/", {"_now": "x"}).status_code == 403
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert TierChange.objects.get().starts_at is None
    of_customer = CustomerChange.objects.create(
        customer=free.customers.get(), tier=make_tier("premium"), starts_at=timezone.now() + timedelta(days=1)
    )
    page = f"/admin/customers/customerchange/{of_customer.pk}"
    assert client.get(f"{page}/change/").status_code == 200
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert CustomerChange.objects.exists()


def test_a_tier_that_a_scheduled_change_leads_to_is_not_deleted(free):
    premium = make_tier("premium")
    customer = free.customers.get()
    CustomerChange.objects.create(customer=customer, tier=premium, starts_at=timezone.now() + timedelta(days=1))
    response = staff("managers").post(f"/admin/customers/tier/{premium.pk}/delete/", {"post": "yes"})
    assert "is used by scheduled changes of tier, so it cannot be deleted" in text_of(response)
    assert Tier.objects.filter(pk=premium.pk).exists()


def test_a_tier_with_a_draft_is_deleted_with_it(db):
    tier = make_tier("spare", limit("sessions", 1))
    tier_change(tier, None, limit("sessions", 2))
    come(tier, limit("sessions", 3))
    staff("managers").post(f"/admin/customers/tier/{tier.pk}/delete/", {"post": "yes"})
    assert not Tier.objects.filter(pk=tier.pk).exists()


def test_a_form_that_was_open_when_the_change_came_is_refused(free):
    make_older()
    client = staff("managers")
    page = f"/admin/customers/tier/{free.pk}/change/"
    data = form_of(client, page)
    come(free, limit("call_minutes", 25))

    response = client.post(page, data | {"name": "Gratis"})

    assert "Scheduled for" in text_of(response)
    assert limits_of(free) == ["25 call minutes a day"]
    assert Tier.objects.get(pk=free.pk).name == "Free"


def test_now_and_a_moment_are_not_both_asked_for(free):
    client = staff("managers")
    page = draft_page(client, free)
    at = {"starts_at_0": "2031-01-01", "starts_at_1": "09:00:00"}

    response = client.post(page, with_25_minutes(client, page, _now="Put into force now", **at))

    assert "Empty this to put it into force now" in text_of(response)
    assert TierChange.objects.get().starts_at is None
    assert limits_of(free) == ["20 call minutes a day", "5 sessions a day"]


@pytest.mark.parametrize(
    ("button", "at", "words"),
    [
        ({"_now": "x"}, {}, "Nothing was saved: it is no draft any more. In force since"),
        (
            {"_save": "x"},
            {"starts_at_0": "2031-01-01", "starts_at_1": "09:00:00"},
            "it is no draft any more. Scheduled for Wed 1 Jan 2031, 09:00:00",
        ),
    ],
)
def test_who_sends_a_draft_that_is_none_any_more_is_told_what_became_of_it(free, button, at, words):
    client = staff("managers")
    page = draft_page(client, free)
    form = with_25_minutes(client, page, **button, **at)
    client.post(page, form)

    response = client.post(page, form, follow=True)

    assert response.status_code == 200
    assert words in text_of(response)
    assert TierChange.objects.count() == 1


def test_who_is_led_to_the_draft_after_signing_in_gets_the_tiers_page(free):
    response = staff("managers").get(f"/admin/customers/tierchange/draft/{free.pk}/")
    assert (response.status_code, response.url) == (302, f"/admin/customers/tier/{free.pk}/change/")
    assert not TierChange.objects.exists()


@pytest.mark.parametrize("page", ["change", "delete"])
def test_an_address_that_names_no_change_leads_away(free, page):
    client = staff("managers")
    for key in ("9" * 30, "9" * 5000, "none"):
        response = client.post(f"/admin/customers/tierchange/{key}/{page}/", {"post": "yes"})
        assert (response.status_code, response.url) == (302, "/admin/")


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
def test_a_year_that_no_page_could_show_in_every_zone_is_refused(free, settings, zone):
    settings.TIME_ZONE = zone
    client = staff("managers")
    far = {"0": "9999-12-31", "1": "23:59:59"}
    page = draft_page(client, free)
    at = {f"starts_at_{part}": value for part, value in far.items()}
    response = client.post(page, with_25_minutes(client, page, _save="Save", **at))
    assert "Give a time between the years 1000 and 9000." in text_of(response)

    page = f"/admin/customers/customer/{free.customers.get().pk}/change/"
    rows = {"top_ups-TOTAL_FORMS": "1", "top_ups-0-metric": "sessions", "top_ups-0-amount": "5"}
    rows |= {f"top_ups-0-valid_from_{part}": value for part, value in (("0", "0001-01-01"), ("1", "00:00:00"))}
    own = {f"valid_until_{part}": value for part, value in far.items()}
    response = client.post(page, form_of(client, page) | rows | own)
    assert text_of(response).count("Give a time between the years 1000 and 9000.") == 2
