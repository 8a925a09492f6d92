"""Headers that staff give are sent as they say, whatever their case; none that is saved fails by itself later."""

import pytest

from automations.context.recipes import recipe_of, request_for
from automations.models import Destination
from automations.outgoing.addresses import AllowedHosts
from automations.outgoing.headers import REFUSED, first_repeated, joined
from automations.texts.destinations import check_destination
from tests.builders import make_customer, make_tier
from tests.following import judge_and_send, make_destination, make_rule, make_source
from tests.standins import http_standin


@pytest.mark.pure
def test_staffs_own_stand_over_the_usual_ones_whatever_their_case():
    usual = {"Content-Type": "application/json", "Accept": "application/json"}

    assert joined(usual, {"content-type": "text/plain"}) == {"Accept": "application/json", "content-type": "text/plain"}
    assert first_repeated(["X-A", "X-B", "x-a"]) == "x-a"
    assert first_repeated(["X-A", "X-B"]) is None


@pytest.mark.pure
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_a_request_cannot_have_is_not_saved(name):
    sound = {"allows_http": False, "allowed": AllowedHosts()}

    assert "headers" in check_destination("http", "https://a.acme.com/", f"{name.upper()}: x", [], **sound)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["content-type", "Content-Type", "accept", "user-agent"])
def test_a_header_of_staffs_goes_out_in_place_of_the_usual_one(livetok, settings, name):
    settings.OUTGOING_ALLOW_HTTP = True
    settings.OUTGOING_ALLOWED_HOSTS = AllowedHosts(frozenset({("127.0.0.1", None)}))
    make_customer(make_tier())
    with http_standin() as receiver:
        make_rule("began_allowed", make_destination(receiver.url, headers=f"{name}: text/plain"))
        livetok.begin()
        judge_and_send()

    assert Destination.objects.get().paused_at is None
    assert receiver.requests[0].headers.get_all(name) == ["text/plain"]


@pytest.mark.django_db
def test_a_source_is_asked_with_staffs_own_accept(livetok):
    source = make_source("https://shop.acme.com/", headers="accept: application/vnd.shop+json")

    assert request_for(recipe_of(source), source.address).headers == {"accept": "application/vnd.shop+json"}
