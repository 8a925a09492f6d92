"""The admin's sign-in: how many guesses, whom they slow, and what the log says."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client

from config.hashing import OneAtATime
from config.minutes import Minutes
from config.shared_cache import SharedCache
from config.sign_in.guesses import MOST_LOGGED
from config.sign_in.network import network_of
from tests.staff import text_of

OFFICE, ELSEWHERE = "192.0.2.1", "203.0.113.7"


@pytest.fixture(autouse=True)
def minutes(monkeypatch):
    fresh = Minutes()
    monkeypatch.setattr("config.sign_in.guesses.minutes", fresh)
    return fresh


@pytest.fixture(autouse=True)
def _own_cache(settings, tmp_path):
    if connection.vendor == "sqlite":  # elsewhere it is rolled back with the test
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": tmp_path / "cache"}}
        cache._connections = None


@pytest.fixture
def ana(db):
    return User.objects.create_user("ana", password="correct horse", is_staff=True)


def sign_in(password, name="ana", address=OFFICE):
    form = {"login": name, "password": password}
    return Client().post("/accounts/login/?next=/admin/", form, REMOTE_ADDR=address)


def is_in(response):
    return response.status_code == 302


def is_put_off(response):
    return "Too many wrong passwords. Wait" in text_of(response)


def test_the_sixth_wrong_password_is_not_looked_at_and_the_page_says_how_long_to_wait(ana):
    assert not any(is_put_off(sign_in("wrong")) for _ in range(5))

    page = sign_in("wrong")

    assert "Too many wrong passwords. Wait 5 minutes, then try again." in text_of(page)
    assert is_put_off(sign_in("correct horse"))


def test_who_guesses_a_name_does_not_lock_its_owner_out(ana):
    for _ in range(6):
        sign_in("wrong", address=ELSEWHERE)

    assert is_in(sign_in("correct horse", address=OFFICE))


def test_an_address_that_guesses_many_names_is_slowed_and_others_are_not(ana):
    for number in range(20):
        assert not is_put_off(sign_in("wrong", name=f"name{number}", address=ELSEWHERE))

    assert is_put_off(sign_in("wrong", name="another", address=ELSEWHERE))
    assert is_in(sign_in("correct horse", address=OFFICE))


def test_a_name_that_is_guessed_from_everywhere_is_slowed_but_where_it_signed_in_before(ana):
    assert is_in(sign_in("correct horse", address=OFFICE))
    for number in range(50):
        assert not is_put_off(sign_in("wrong", address=f"203.0.113.{number}"))

    assert is_put_off(sign_in("correct horse", address="198.51.100.1"))
    assert is_in(sign_in("correct horse", address=OFFICE))


def test_right_passwords_are_not_counted(ana):
    assert all(is_in(sign_in("correct horse")) for _ in range(8))


def test_names_are_counted_without_regard_to_case_and_spaces(ana):
    for name in ("ana", "Ana", " ana", "ANA", "ana "):
        sign_in("wrong", name=name)

    assert is_put_off(sign_in("wrong"))


@pytest.mark.only("sqlite")  # whose one writer LiveTok waits for; counted in files
def test_of_all_guesses_one_a_minute_writes_to_the_database(ana, django_assert_num_queries):
    sign_in("wrong")
    with django_assert_num_queries(1) as asked:
        sign_in("wrong")

    assert asked.captured_queries[0]["sql"].startswith("SELECT")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_an_ipv6_address_counts_as_its_network(address, network):
    assert network_of(address) == network


def test_of_many_at_once_one_adds_to_the_shared_cache(tmp_path):
    shared = [SharedCache(tmp_path / "cache", {}) for _ in range(8)]

    for turn in range(20):
        with ThreadPoolExecutor(8) as pool:
            added = list(pool.map(lambda one, turn=turn: one.add(f"turn{turn}", True), shared))
        assert sum(added) == 1


def test_sign_ins_are_logged_with_name_and_address_and_never_the_password(ana, caplog):
    caplog.set_level(logging.INFO, "frontdesk.sign_in")
    sign_in("wrong", name="ana\n" + "x" * 100)
    sign_in("correct horse")

    failed, done = caplog.records
    assert (failed.message, failed.username, failed.address) == ("sign-in failed", "ana?" + "x" * 60, OFFICE)
    assert (done.message, done.username, done.address) == ("signed in", "ana", OFFICE)
    assert "correct horse" not in caplog.text
    assert "wrong" not in caplog.text


def test_many_failed_sign_ins_are_counted_not_logged_one_by_one(ana, caplog, minutes):
    for number in range(MOST_LOGGED + 5):
        sign_in("wrong", address=f"203.0.113.{number}")
    assert len([record for record in caplog.records if record.name == "frontdesk.sign_in"]) == MOST_LOGGED

    caplog.clear()
    caplog.set_level(logging.INFO, "frontdesk.minutes")
    minutes._began -= 60
    minutes.turn()

    [line] = caplog.records
    assert line.counts == {"sign-in failed": MOST_LOGGED + 5}
    assert minutes.now() == line.counts


def test_a_hash_is_djangos_own():
    hashed = OneAtATime().encode("correct horse", "salt", 10)

    assert hashed == PBKDF2PasswordHasher().encode("correct horse", "salt", 10)
    assert OneAtATime().verify("correct horse", hashed)
