"""Single sign-on by an issuer on loopback: whom it lets in, with which groups, and which answers are not believed."""

from urllib.parse import urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from config.doctor.sign_in import check_single_sign_on
from config.first_run import make_groups
from config.models import SignInEvent
from config.oidc import read_oidc
from tests.staff import staff, text_of
from tests.standin_issuer import ANA, standin_issuer

PASSWORD = "correct horse"
NAMES = (
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_NAME",
    "OIDC_SCOPES",
    "OIDC_GROUPS_CLAIM",
    "OIDC_GROUPS",
)
GIVEN = {
    "OIDC_ISSUER": "https://login.example.com",
    "OIDC_CLIENT_ID": "x",
    "OIDC_CLIENT_SECRET": "y",
    "OIDC_GROUPS": "a=viewers",
}


@pytest.fixture(scope="module")
def _issuer():
    with standin_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(_issuer, settings, db, own_cache):
    fresh = type(_issuer)(_issuer.server, _issuer.key)
    _issuer.server.answer = fresh.answer
    settings.OIDC = read_oidc(fresh.environment())
    return fresh


def begin(client, path="/reports/"):
    """Where the issuer sends the browser back to."""
    there = client.get(f"/accounts/oidc/login/?next={path}").headers["Location"]
    back = urlsplit(requests.get(there, allow_redirects=False, timeout=5).headers["Location"])
    assert back.path == "/accounts/oidc/callback/"
    return f"{back.path}?{back.query}"


def sign_in(client=None):
    client = client or Client()
    return client, client.get(begin(client))


def groups_of(name):
    return sorted(Group.objects.filter(user__username=name).values_list("name", flat=True))


def test_the_issuers_groups_are_frontdesks_at_each_sign_in(issuer):
    client, answer = sign_in()
    assert answer.headers["Location"] == "/reports/"
    ana = User.objects.get(username="ana")
    assert (ana.is_staff, ana.has_usable_password(), ana.email, groups_of("ana")) == (
        True,
        False,
        "ana@example.com",
        ["viewers"],
    )
    assert client.get("/reports/").status_code == 200
    # Of the claims, what decided is kept and nothing else.
    assert SocialAccount.objects.get().extra_data == {"groups": ["support"], "email_verified": True}

    issuer.person["groups"] = ["support", "leads", "others"]
    issuer.only_by_userinfo = ("groups",)
    sign_in()
    assert groups_of("ana") == ["managers", "viewers"]
    issuer.only_by_userinfo, issuer.person["groups"] = (), "leads"
    sign_in()
    assert groups_of("ana") == ["managers"]
    events = SignInEvent.objects.filter(account=ana).order_by("pk").values_list("what", "details")
    assert list(events) == [
        ("groups_changed", "viewers"),
        ("signed_in", "single sign-on"),
        ("groups_changed", "managers, viewers"),
        ("signed_in", "single sign-on"),
        ("groups_changed", "managers"),
        ("signed_in", "single sign-on"),
    ]
    # Somebody without a group does not come in, and keeps what they had for the day they are back.
    issuer.person["groups"] = ["others"]
    client, answer = sign_in()
    assert answer.status_code == 403
    assert "None of your groups may use Frontdesk." in text_of(answer)
    assert client.get("/reports/").status_code == 302
    assert groups_of("ana") == ["managers"]


def test_an_account_of_before_is_taken_over_by_a_verified_address_alone(issuer):
    ana = staff("managers", "ana").user
    User.objects.filter(pk=ana.pk).update(email="Ana@example.com")
    issuer.person["email_verified"] = False
    assert "does not say that the address is verified" in text_of(sign_in()[1])
    assert not SocialAccount.objects.exists()
    issuer.person["email_verified"] = True
    assert sign_in()[1].status_code == 302
    ana.refresh_from_db()
    assert User.objects.count() == 1
    assert groups_of("ana") == ["viewers"]
    assert not ana.has_usable_password()
    # The address was given to somebody else at the issuer.
    issuer.person |= {"sub": "8a1"}
    assert "belongs to somebody else at the issuer" in text_of(sign_in()[1])
    # Another one of the same name.
    issuer.person |= {"email": "other@example.com"}
    assert sign_in()[1].status_code == 302
    assert groups_of("ana2") == ["viewers"]
    User.objects.filter(username="ana2").update(is_active=False)
    assert "The account “ana2” is switched off." in text_of(sign_in()[1])


def test_who_comes_by_the_issuer_comes_by_nothing_else_and_superusers_never_do(issuer, settings):
    boss = User.objects.create_superuser("boss", "ana@example.com", PASSWORD)
    assert "“boss” is a superuser, who signs in by password" in text_of(sign_in()[1])
    page = Client().post("/accounts/login/", {"login": "boss", "password": PASSWORD})
    assert page.status_code == 302
    boss.delete()
    client, _ = sign_in()
    ana = User.objects.get(username="ana")
    assert "has no password" in text_of(client.get("/accounts/password/", follow=True))
    # A way in that was set up here does not outlive what the issuer says.
    ana.set_password(PASSWORD)
    ana.save()
    answer = Client().post("/accounts/login/", {"login": "ana", "password": PASSWORD}, follow=True)
    assert "“ana” signs in with Example." in text_of(answer)
    # Nor does somebody set one up whose sign-in is a while ago.
    ana.set_unusable_password()
    ana.save()
    client, _ = sign_in()
    assert client.get("/accounts/second-factor/totp/activate/").status_code == 200
    session = client.session
    session["account_authentication_methods"][0]["at"] -= 3600
    session.save()
    there = client.get("/accounts/second-factor/totp/activate/").headers["Location"]
    assert there.startswith("/accounts/oidc/login/?next=%2Faccounts%2Fsecond-factor%2Ftotp")
    assert "prompt=login" in client.get(there).headers["Location"]


def test_a_factor_that_the_issuer_has_seen_is_not_asked_for_again(issuer, settings):
    settings.REQUIRE_MFA = True
    client, _ = sign_in()
    assert client.get("/reports/").headers["Location"] == "/accounts/second-factor/"
    issuer.person["amr"] = ["pwd", "mfa"]
    client, _ = sign_in()
    assert client.get("/reports/").status_code == 200


SPOILT = {
    "nonce": lambda claims: claims | {"nonce": "of another sign-in"},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "audience": lambda claims: claims | {"aud": "another"},
    "audiences": lambda claims: claims | {"aud": ["frontdesk", "another"], "azp": "another"},
    "issuer": lambda claims: claims | {"iss": "https://login.example.com"},
    "late": lambda claims: claims | {"exp": claims["exp"] - 3600},
    "nobody": lambda claims: claims | {"sub": ""},
}


def test_an_answer_that_is_not_the_issuers_to_this_sign_in_is_refused(issuer, caplog):
    for name, spoil in SPOILT.items():
        issuer.spoil = spoil
        _, answer = sign_in()
        assert (answer.status_code, "answer was not accepted." in text_of(answer)) == (400, True), name
    issuer.spoil = dict
    issuer.sign_with = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "was not accepted" in text_of(sign_in()[1])
    issuer.sign_with = None
    issuer.only_by_userinfo, issuer.userinfo = ("groups",), {"sub": "somebody else"}
    assert "was not accepted" in text_of(sign_in()[1])
    issuer.only_by_userinfo = ()
    client = Client()
    back = begin(client)
    for wrong in (back.replace("state=", "state=x"), back.partition("&")[0]):
        answer = client.get(wrong)
        assert answer.status_code == 400
        assert "was begun in another browser" in text_of(answer)
    assert "was begun in another browser" in text_of(Client().get(back))
    # It is good once.
    assert client.get(back).status_code == 302
    assert client.get(back).status_code == 400
    issuer.person["groups"] = {"support": True}
    assert "None of your groups" in text_of(sign_in()[1])
    assert User.objects.count() == 1
    said = "\n".join(record.reason for record in caplog.records if hasattr(record, "reason"))
    assert "nonce" in said
    assert "Signature verification failed" in said
    assert "a secret of the client" not in said


def test_an_issuer_that_is_away_or_another_one_is_said_in_words(issuer, settings):
    client = Client()
    issuer.discovery = {"issuer": "https://login.example.com"}
    assert "was not accepted" in text_of(client.get("/accounts/oidc/login/"))
    issuer.discovery = {"token_endpoint": "http://login.example.com/token"}
    assert "was not accepted" in text_of(client.get("/accounts/oidc/login/"))
    issuer.discovery = {}
    cancelled = begin(client).replace("code=", "error=access_denied&was=")
    assert "You did not sign in with Example" in text_of(client.get(cancelled))
    settings.OIDC = read_oidc(issuer.environment() | {"OIDC_ISSUER": "http://127.0.0.1:9"})
    answer = client.get("/accounts/oidc/login/")
    assert answer.status_code == 503
    assert "the issuer cannot be reached" in text_of(answer)
    settings.OIDC = read_oidc(dict.fromkeys(NAMES, ""))
    assert client.get("/accounts/oidc/login/").status_code == 404
    assert "Example" not in text_of(client.get("/accounts/login/"))


def test_strangers_begin_few_sign_ins_and_keep_a_row_for_minutes(issuer):
    client = Client()
    for _ in range(29):
        assert client.get("/accounts/oidc/login/").status_code == 302
    passkey, asked = "/accounts/second-factor/webauthn/login/", {"X-Requested-With": "XMLHttpRequest"}
    assert client.head(passkey, headers=asked).status_code == 200
    for path in ("/accounts/oidc/login/", passkey):
        assert "Too many sign-ins were begun from here. Wait 5 minutes" in text_of(client.get(path, headers=asked))
    [row] = Session.objects.all()
    assert row.get_decoded()["_session_expiry"] == 900


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"OIDC_CLIENT_SECRET": "", "OIDC_GROUPS": ""}, "OIDC_CLIENT_SECRET and OIDC_GROUPS are not set"),
        ({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER is 'login.example.com'; give"),
        ({"OIDC_ISSUER": "http://login.example.com"}, "Plain http is for an issuer on this machine alone"),
        ({"OIDC_SCOPES": "email"}, "OIDC_SCOPES is 'email', without openid"),
        ({"OIDC_GROUPS": "support"}, "OIDC_GROUPS: 'support' is no pair"),
        ({"OIDC_GROUPS": "support="}, "is no pair"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_give(changes, words):
    with pytest.raises(ImproperlyConfigured) as refused:
        read_oidc(GIVEN | changes)
    assert words in str(refused.value)


def test_pairs_of_groups_are_read_as_they_are_meant():
    read = read_oidc(GIVEN | {"OIDC_GROUPS": "/staff/a=viewers, ou=x=managers,/staff/a = managers"})
    assert read.groups == {"/staff/a": {"viewers", "managers"}, "ou=x": {"managers"}}
    assert (
        read_oidc(GIVEN | {"OIDC_ISSUER": "https://x.example.com/.well-known/openid-configuration"}).issuer
        == "https://x.example.com"
    )
    assert ANA["sub"]


def test_the_doctor_looks_at_the_issuer_the_groups_and_the_account_for_emergencies(issuer, settings):
    make_groups()
    User.objects.create_superuser("boss", password=PASSWORD)
    assert [finding.state for finding in check_single_sign_on()] == ["ok", "ok", "ok"]
    settings.OIDC = read_oidc(issuer.environment("support=vewers") | {"OIDC_ISSUER": "http://127.0.0.1:9"})
    User.objects.update(password="!")
    away, groups, emergency = check_single_sign_on()
    assert {away.state, groups.state, emergency.state} == {"bad"}
    assert groups.found == "OIDC_GROUPS names vewers, and there is no such group."
    settings.OIDC = read_oidc(dict.fromkeys(NAMES, ""))
    assert list(check_single_sign_on()) == []
