"""Another tier from a day on, from a customer's page."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from customers.models import CustomerChange
from customers.settling import settle_due
from tests.builders import limit, make_customer, make_tier
from tests.staff import staff, text_of
from tests.test_customer_changes import filled_in
from tests.test_scheduled import never, tier_change

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db):
    return make_customer(make_tier("free", limit("sessions", 5)), name="Ada", time_zone="Pacific/Auckland")


def sent(client, page: str, **given):
    return filled_in(client.get(page)) | given


def test_another_tier_is_scheduled_shown_and_cancelled(ada):
    client, premium = staff("managers"), make_tier("premium")
    page = f"/reports/customers/{ada.pk}/tier/"

    response = client.post(page, sent(client, page, tier=premium.pk, day="2031-12-01", note="Paid"), follow=True)

    change = CustomerChange.objects.get()
    assert change.starts_at.isoformat() == "2031-11-30T11:00:00+00:00"  # midnight there
    assert (change.tier, change.note, change.author.username) == (premium, "Paid", "ana")
    text = text_of(response)
    assert "Ada is on tier Premium from Mon 1 Dec 2031 on (Pacific/Auckland)." in text
    assert "From Mon 1 Dec 2031, 00:00 : Premium (Paid)" in text
    ada.refresh_from_db()
    assert ada.tier.slug == "free"

    response = client.post(f"{page}{change.pk}/cancel/", follow=True)

    assert "Cancelled: Ada stays on tier Free." in text_of(response)
    assert not CustomerChange.objects.exists()
    assert CustomerChange.history.latest().history_user.username == "ana"
    assert "removed" in text_of(response)  # its history has it


def test_what_is_scheduled_stands_on_paper_where_no_form_does(ada):
    starts_at = timezone.now() + timedelta(days=1)
    CustomerChange.objects.create(customer=ada, tier=make_tier("premium"), starts_at=starts_at)
    page = staff("managers").get(f"/reports/customers/{ada.pk}/").content.decode()
    assert "cancel/" in page
    assert "<strong>Premium</strong>" in re.sub("<form.*?</form>", "", page, flags=re.DOTALL)


def test_a_day_that_is_not_after_today_is_refused(ada):
    client, premium = staff("managers"), make_tier("premium")
    page = f"/reports/customers/{ada.pk}/tier/"
    for day, words in (
        ("2020-01-01", "Give a day after today"),
        ("3000-01-01", "up to 2999"),
        ("soon", "Give a day as"),
    ):
        response = client.post(page, sent(client, page, tier=premium.pk, day=day))
        assert words in text_of(response)
    assert not CustomerChange.objects.exists()


def test_sent_twice_it_is_scheduled_once(ada):
    client, premium = staff("managers"), make_tier("premium")
    page = f"/reports/customers/{ada.pk}/tier/"
    form = sent(client, page, tier=premium.pk, day="2031-12-01")
    for _ in range(2):
        assert "Ada is on tier Premium from Mon 1 Dec 2031" in text_of(client.post(page, form, follow=True))
    assert CustomerChange.objects.count() == 1


def test_what_has_come_is_not_cancelled(ada):
    client, premium = staff("managers"), make_tier("premium")
    change = CustomerChange.objects.create(customer=ada, tier=premium, starts_at=timezone.now() - timedelta(minutes=1))
    response = client.post(f"/reports/customers/{ada.pk}/tier/{change.pk}/cancel/", follow=True)
    assert "cannot be cancelled. Change the customer instead." in text_of(response)
    settle_due(never)
    ada.refresh_from_db()
    assert ada.tier == premium


def test_the_page_tells_of_other_limits_that_the_tier_will_have(ada):
    tier_change(ada.tier, timezone.now() + timedelta(days=1), limit("sessions", 7))
    tier_change(ada.tier, None, limit("sessions", 8))
    text = text_of(staff("viewers").get(f"/reports/customers/{ada.pk}/"))
    assert ", tier Free has other limits: 7 sessions a day." in text
    assert "8 sessions" not in text


def test_viewers_cancel_nothing(ada):
    change = CustomerChange.objects.create(
        customer=ada, tier=make_tier("premium"), starts_at=timezone.now() + timedelta(days=1)
    )
    client = staff("viewers")
    assert client.post(f"/reports/customers/{ada.pk}/tier/{change.pk}/cancel/").status_code == 403
    assert CustomerChange.objects.exists()
    assert "Cancel" not in text_of(client.get(f"/reports/customers/{ada.pk}/"))


def test_one_of_several_is_cancelled_and_the_others_stay(ada):
    now, premium = timezone.now(), make_tier("premium")
    for days in (1, 2):
        CustomerChange.objects.create(customer=ada, tier=premium, starts_at=now + timedelta(days=days))
    first, second = CustomerChange.objects.order_by("starts_at")
    client, page = staff("managers"), f"/reports/customers/{ada.pk}/tier"
    # Of another customer, it is none.
    other = make_customer(premium, "+15550009")
    response = client.post(f"/reports/customers/{other.pk}/tier/{second.pk}/cancel/", follow=True)
    assert "Nothing was changed" in text_of(response)
    assert "what else is scheduled stays" in text_of(client.post(f"{page}/{second.pk}/cancel/", follow=True))
    assert CustomerChange.objects.get() == first
