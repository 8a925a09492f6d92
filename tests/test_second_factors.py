"""Second factors, how long a sign-in lasts, invitations, and who is told of it."""

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client, TestCase
from django.utils import timezone

from config.doctor.installation import check_encryption_keys
from config.models import FailedSignIns, SignInEvent
from config.sign_in.log import delete_old_events
from tests.staff import staff, text_of

PASSWORD = "correct horse"
NOW = timezone.now()
OWN = "/accounts/second-factor/"
SET_UP, ASK, CODES = f"{OWN}totp/activate/", f"{OWN}authenticate/", f"{OWN}recovery-codes/"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_cache")]


@pytest.fixture
def ana():
    staff("managers", "ana")
    SignInEvent.objects.all().delete()
    return User.objects.get(username="ana")


def sign_in(name="ana", password=PASSWORD, client=None):
    client = client or Client()
    response = client.post("/accounts/login/?next=/admin/", {"login": name, "password": password})
    return client, response


def code_of(secret):
    """What an authenticator app shows now."""
    return code_at(secret, timezone.now().timestamp())


def code_at(secret, seconds):
    return format_hotp_value(hotp_value(secret, int(seconds) // 30))


def set_up_app(client):
    """The key that the app keeps. Whoever changes how they sign in shows the password once more."""
    page = client.get(SET_UP)
    assert client.post(page.headers["Location"], {"password": "wrong"}).status_code == 200
    page = client.post(page.headers["Location"], {"password": PASSWORD}, follow=True)
    secret = re.search(r"<code>([A-Z2-7]+)</code>", page.content.decode())[1]
    assert client.post(SET_UP, {"code": "000000"}).status_code == 200
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert client.post(SET_UP, {"code": code_of(secret)}).headers["Location"] == CODES
    return secret


def told(client=None):
    return [(event.account.username, event.what, event.details) for event in SignInEvent.objects.order_by("pk")]


def test_an_app_is_set_up_and_asked_for_and_its_key_is_sealed(ana):
    with time_machine.travel(NOW, tick=False):
        client, _ = sign_in()
        secret = set_up_app(client)
        codes = re.findall(r"<code>(\d{8})</code>", client.get(CODES).content.decode())
    assert len(codes) == 10
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    with time_machine.travel(NOW + timedelta(minutes=5), tick=False):
        client, response = sign_in()
        assert response.headers["Location"].startswith(ASK)
        assert client.get("/admin/").status_code == 302
        assert "The code is wrong, or used up." in text_of(client.post(ASK, {"code": "123456"}))
        code = code_of(secret)
        assert client.post(ASK, {"code": code}).headers["Location"] == "/admin/"
        assert client.get("/admin/").status_code == 200
        # Whoever looked over a shoulder may not use it too.
        again, _ = sign_in()
        assert again.post(ASK, {"code": code}).status_code == 200
        assert again.post(ASK, {"code": codes[0]}).status_code == 302
        third, _ = sign_in()
        assert third.post(ASK, {"code": codes[0]}).status_code == 200
    assert told() == [
        ("ana", "signed_in", "password"),
        ("ana", "factor_added", "app"),
        ("ana", "factor_added", "recovery codes"),
        ("ana", "signed_in", "password and app"),
        ("ana", "signed_in", "password and recovery code"),
    ]


def test_codes_are_guessed_no_oftener_than_passwords_from_wherever(ana):
    with time_machine.travel(NOW, tick=False):
        secret = set_up_app(sign_in()[0])
    with time_machine.travel(NOW + timedelta(minutes=5), tick=False):
        client, _ = sign_in()
        for number in range(10):
            address = f"198.51.100.{number}"
            assert "Wait" not in text_of(client.post(ASK, {"code": "123456"}, REMOTE_ADDR=address))
        page = client.post(ASK, {"code": code_of(secret)}, REMOTE_ADDR="198.51.100.99")
    assert "Too many wrong codes. Wait 15 minutes, then try again." in text_of(page)
    assert FailedSignIns.objects.count() >= 1


# A session is saved with the request in which its transaction commits.
@pytest.mark.django_db(transaction=True)
def test_where_it_is_required_nothing_else_is_to_be_done_first(ana, settings):
    settings.REQUIRE_MFA = True
    with time_machine.travel(NOW, tick=False):
        client, _ = sign_in()
        for path in ("/admin/", "/reports/sessions/", "/admin/customers/customer/"):
            assert client.get(path).headers["Location"] == "/accounts/second-factor/", path
        assert client.post("/admin/customers/tier/add/", {"name": "x"}).status_code == 302
        assert "Set up a second factor first" in text_of(client.get("/accounts/second-factor/"))
        elsewhere, _ = sign_in()
        secret = set_up_app(client)
        assert client.get("/admin/").status_code == 200
        # Whoever is signed in elsewhere, by the password alone, has to show it now.
        assert elsewhere.get("/reports/").headers["Location"].startswith("/accounts/second-factor/reauthenticate/")
        assert elsewhere.get("/accounts/second-factor/totp/deactivate/").status_code == 302
    with time_machine.travel(NOW + timedelta(minutes=2), tick=False):
        page = "/accounts/second-factor/reauthenticate/?next=/reports/"
        assert elsewhere.post(page, {"code": code_of(secret), "next": "/reports/"}).headers["Location"] == "/reports/"
        assert elsewhere.get("/reports/").status_code == 200


def test_one_is_signed_out_after_idle_hours_and_after_days(ana):
    with time_machine.travel(NOW, tick=False):
        client, _ = sign_in()
        assert client.get("/admin/").status_code == 200
    for hours in (7, 14, 21):
        with time_machine.travel(NOW + timedelta(hours=hours), tick=False):
            assert client.get("/admin/").status_code == 200, hours
    with time_machine.travel(NOW + timedelta(hours=29, minutes=10), tick=False):
        assert (
            client.get("/reports/?period=7d").headers["Location"] == "/accounts/login/?next=%2Freports%2F%3Fperiod%3D7d"
        )
        assert "you did nothing here for a while" in text_of(client.get("/accounts/login/"))
        client, _ = sign_in(client=client)
        client.get("/admin/")
    for hours in range(36, 29 + 7 * 24, 7):
        with time_machine.travel(NOW + timedelta(hours=hours), tick=False):
            assert client.get("/admin/").status_code == 200, hours
    with time_machine.travel(NOW + timedelta(hours=29 + 7 * 24 + 1), tick=False):
        assert client.get("/admin/").status_code == 302


def test_other_places_are_seen_and_signed_out(ana):
    here, _ = sign_in()
    there, _ = sign_in()
    assert there.get("/admin/").status_code == 200
    page = "/accounts/sessions/"
    assert text_of(here.get(page)).count("127.0.0.1") == 2
    here.post(page)
    assert there.get("/admin/").status_code == 302
    assert "You are signed in nowhere else." in text_of(here.get(page))


def test_who_is_no_staff_or_switched_off_is_refused_alike(ana):
    for fields in ({"is_staff": False}, {"is_staff": True, "is_active": False}):
        User.objects.update(**fields)
        assert "do not go together" in text_of(sign_in()[1])
    assert Client().get("/accounts/signup/").status_code == 404


def test_a_lost_factor_is_taken_away_by_others_alone(ana):
    boss = staff("administrators", "boss")
    with time_machine.travel(NOW, tick=False):
        anas = sign_in()[0]
        set_up_app(anas)
        set_up_app(sign_in("boss")[0])
    chosen = [str(ana.pk), str(boss.user.pk)]
    action = {"action": "reset_second_factors", "_selected_action": chosen}
    text = text_of(boss.post("/admin/auth/user/", action, follow=True))
    assert "“ana” has no second factor any more, and was signed out everywhere." in text
    assert anas.get("/reports/").status_code == 302
    assert "Your own second factor is removed under “Your sign-in”." in text
    assert set(Authenticator.objects.values_list("user__username", flat=True)) == {"boss"}
    assert ("ana", "factors_reset", "by boss") in told()

    call_command("reset_mfa", "boss")
    assert not Authenticator.objects.exists()
    with pytest.raises(CommandError, match="no account 'nobody'"):
        call_command("reset_mfa", "nobody")
    # Administrators alone see who signed in.
    assert "second factors reset" in text_of(boss.get("/admin/config/signinevent/"))
    assert sign_in()[0].get("/admin/config/signinevent/").status_code == 403


def test_an_invitation_lets_a_new_member_set_the_password_once(settings):
    settings.PUBLIC_URL = "https://frontdesk.example.com"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    boss = staff("administrators", "boss")
    new = User.objects.create_user("new", email="new@example.com")
    action = {"action": "send_invitations", "_selected_action": [str(new.pk)]}
    assert "“new” may not sign in. Tick" in text_of(boss.post("/admin/auth/user/", action, follow=True))
    new.is_staff = True
    new.save()
    new.groups.add(Group.objects.get(name="viewers"))
    text = text_of(boss.post("/admin/auth/user/", action, follow=True))
    assert "Invited “new” by a mail to new@example.com." in text, text
    [sent] = mail.outbox
    path = re.search(r"https://frontdesk\.example\.com(\S+)", sent.body)[1]

    client = Client()
    User.objects.filter(pk=new.pk).update(is_active=False)
    assert "used already" in text_of(client.get(path, follow=True))
    User.objects.filter(pk=new.pk).update(is_active=True)
    form = client.get(path, follow=True)
    assert "For the account new" in text_of(form)
    short = client.post(form.redirect_chain[-1][0], {"new_password1": "short", "new_password2": "short"})
    assert "too short" in text_of(short)
    password = {"new_password1": "a long sentence", "new_password2": "a long sentence"}
    client.post(form.redirect_chain[-1][0], password)
    assert sign_in("new", "a long sentence")[1].status_code == 302
    assert "used already" in text_of(Client().get(path, follow=True))


def test_a_password_that_somebody_else_sets_stands_under_sign_ins(ana):
    boss = staff("administrators", "boss")
    path = f"/admin/auth/user/{ana.pk}/password/"
    sent = {"usable_password": "true", "password1": "a long sentence", "password2": "another one"}
    assert boss.post(path, sent).status_code == 200
    assert ("ana", "password_changed", "by boss") not in told()
    assert boss.post(path, {**sent, "password2": "a long sentence"}).status_code == 302
    assert ("ana", "password_changed", "by boss") in told()


def test_the_password_of_now_is_guessed_no_oftener_than_at_the_sign_in(ana):
    client, _ = sign_in()
    there, _ = sign_in()
    assert there.get("/admin/").status_code == 200
    page = client.get("/admin/password_change/", follow=True)
    assert page.redirect_chain[-1][0] == "/accounts/password/"
    new = {"password1": "a long sentence", "password2": "a long sentence"}
    short = {"oldpassword": PASSWORD, "password1": "short", "password2": "short"}
    assert "too short" in text_of(client.post("/accounts/password/", short))
    assert client.post("/accounts/password/", {"oldpassword": PASSWORD, **new}).headers["Location"] == OWN
    assert client.get("/admin/").status_code == 200
    assert there.get("/admin/").status_code == 302
    assert ("ana", "password_changed", "") in told()
    for _ in range(5):
        assert "is another one" in text_of(client.post("/accounts/password/", {"oldpassword": "wrong", **new}))
    answer = client.post("/accounts/password/", {"oldpassword": "a long sentence", **new})
    assert "Too many wrong passwords. Wait 5 minutes" in text_of(answer)


def test_a_second_factor_whose_key_is_gone_is_said_and_found_by_the_doctor(ana, settings, tmp_path):
    settings.ENCRYPTION_KEYS = ["a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="]
    with time_machine.travel(NOW, tick=False):
        set_up_app(sign_in()[0])
    assert check_encryption_keys().state == "ok"
    settings.ENCRYPTION_KEYS = ["eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="]
    client, _ = sign_in()
    for _ in range(12):
        answer = client.post(ASK, {"code": "123456"})
        assert (answer.status_code, "Your second factor cannot be looked at." in text_of(answer)) == (503, True)
    assert "The key of the second factors of 1 account is missing." in check_encryption_keys().found
    call_command("reset_mfa", "ana")
    assert check_encryption_keys().state == "ok"


def test_home_tells_administrators_who_signs_in_by_a_password_alone(ana, livetok):
    livetok.begin()
    boss = staff("administrators", "boss")
    assert "2 accounts of staff have no second factor, yours among them." in text_of(boss.get("/admin/"))
    assert "second factor." not in text_of(sign_in()[0].get("/admin/"))
    with time_machine.travel(NOW, tick=False):
        set_up_app(sign_in("boss")[0])
    assert "1 account of staff has no second factor." in text_of(boss.get("/admin/"))


def test_what_is_old_goes_and_what_is_over(ana):
    sign_in()
    rows = [
        SignInEvent.objects.create(account=ana, what="signed_in", at=NOW - timedelta(days=days)) for days in (89, 91)
    ]
    FailedSignIns.objects.create(hour=NOW - timedelta(days=91), count=3)
    Client().get("/accounts/login/")
    with time_machine.travel(NOW + timedelta(hours=1), tick=False):
        delete_old_events()
    assert SignInEvent.objects.filter(pk__in=[row.pk for row in rows]).get() == rows[0]
    assert (FailedSignIns.objects.count(), UserSession.objects.count(), Session.objects.count()) == (0, 1, 2)
    with time_machine.travel(NOW + timedelta(days=8), tick=False):
        delete_old_events()
    assert (UserSession.objects.count(), Session.objects.count()) == (0, 0)
