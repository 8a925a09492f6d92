"""The headers by which a receiver knows a delivery again: as the library of Standard Webhooks verifies them."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from automations.outgoing.headers import FORBIDDEN, HeaderError, checked_headers
from automations.outgoing.signing import SigningError, check_signing_secret, final_headers, made_signing_secret

pytestmark = pytest.mark.pure

KEY = "7f0e1c52-8a3b-4c0e-9d55-0f3f0f6a1b11"
BODY = '{"customer": "José"}'.encode()


def headers(own=None, *, secrets=(), body=BODY, now=None):
    return final_headers(own or {}, key=KEY, body=body, secrets=secrets, now=now or datetime.now(UTC))


def test_a_receiver_verifies_the_signature_with_the_library():
    secret = made_signing_secret()
    signed = headers(secrets=[secret])

    assert Webhook(secret).verify(BODY, signed) == {"customer": "José"}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, signed | {"webhook-id": "another"})


def test_the_signature_is_that_of_the_standards_own_example():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    now = datetime.fromtimestamp(1614265330, UTC)
    signed = final_headers(
        {}, key="msg_p5jXN8AQM9LWM0D4loKWxJek", body=b'{"test": 2432232314}', secrets=[secret], now=now
    )

    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_rotated_a_receiver_with_either_verifies():
    new, old = made_signing_secret(), made_signing_secret()
    signed = headers(secrets=[new, old])

    assert len(signed["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        Webhook(secret).verify(BODY, signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(made_signing_secret()).verify(BODY, signed)


def test_the_key_is_the_same_on_each_attempt_and_the_time_is_the_attempts():
    first = headers(now=datetime(2026, 11, 28, 12, tzinfo=UTC))
    second = headers(now=datetime(2026, 11, 28, 12, 5, 0, 999_999, tzinfo=UTC))

    assert first["Idempotency-Key"] == first["webhook-id"] == second["webhook-id"] == KEY
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 300


def test_ours_are_set_over_staffs_own_whatever_their_case():
    secret = made_signing_secret()
    own = {
        "X-Own": " a ",
        "IDEMPOTENCY-KEY": "x",
        "Webhook-ID": "x",
        "webhook-Timestamp": "0",
        "WebHook-Signature": "v1,x",
    }
    signed = headers(own, secrets=[secret])

    assert sorted(map(str.lower, signed)) == sorted(
        ["x-own", "idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"]
    )
    assert signed["X-Own"] == "a"
    assert signed["Idempotency-Key"] == KEY
    Webhook(secret).verify(BODY, signed)


def test_without_a_secret_there_is_no_signature_not_even_a_made_up_one():
    assert "webhook-signature" not in {name.lower() for name in headers({"Webhook-Signature": "v1,x"})}


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "a\x7f", "José", "–", "a\u2028"])
def test_a_value_that_a_header_cannot_carry_is_refused_by_the_headers_name(value):
    with pytest.raises(HeaderError, match="The header X-Own holds") as error:
        headers({"X-Own": value})

    assert value not in str(error.value)


@pytest.mark.parametrize("name", ["", "X Own", "X-Own:", "X-Own\r\nHost", "X\0", "Größe", "X-Own\n"])
def test_what_is_no_name_of_a_header_is_refused(name):
    with pytest.raises(HeaderError, match="no name of a header"):
        headers({name: "a"})


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_a_header_that_says_where_a_message_ends_or_who_gets_it_is_refused(name, case):
    with pytest.raises(HeaderError, match=f"(?i)leave out the header {name}"):
        headers({case(name): "a"})


def test_the_forbidden_ones_are_among_them():
    assert {"host", "content-length", "transfer-encoding", "connection"} <= FORBIDDEN


def test_a_name_given_twice_is_refused():
    with pytest.raises(HeaderError, match="x-own is given twice"):
        checked_headers({"X-Own": "a", "x-own": "b"})


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 20 + "!!!!" + "A" * 20,
     base64.b64encode(bytes(32)).decode(),
     "whsec_" + base64.b64encode(bytes(65)).decode(), "whsec_é" + "A" * 43, "whsec_" + "A" * 33],
)  # fmt: skip
def test_what_is_no_signing_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(SigningError, match="24 to 64 bytes") as error:
        headers(secrets=[secret])

    assert not secret.removeprefix("whsec_") or secret not in str(error.value)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_may_come_with_or_without_its_padding(size):
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()
    check_signing_secret(secret)

    signed = headers(secrets=[secret.rstrip("=")])
    Webhook(secret).verify(BODY, signed)


def test_only_text_is_signed():
    with pytest.raises(SigningError, match="UTF-8"):
        headers(secrets=[made_signing_secret()], body=b"\xff")


@pytest.mark.parametrize("now", [datetime(2026, 11, 28), datetime(2026, 11, 28, tzinfo=timezone(timedelta(hours=1)))])
def test_a_time_that_is_not_utc_is_refused(now):
    with pytest.raises(ValueError, match="UTC"):
        headers(now=now)
