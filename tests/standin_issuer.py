"""An OpenID Connect issuer of the tests' own, on loopback: it asks nobody, signs its tokens, and checks what comes."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.standins import HttpStandin, Received, Reply, http_standin

CLIENT_ID, CLIENT_SECRET = "frontdesk", "a secret of the client"
ANA = {
    "sub": "7f3",
    "preferred_username": "ana",
    "email": "ana@example.com",
    "email_verified": True,
    "groups": ["support"],
}


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class StandinIssuer:
    """`person` are the claims of whoever signs in. `spoil` changes a token's claims before it is signed; `userinfo` and
    `discovery` change what is answered there."""

    server: HttpStandin
    key: rsa.RSAPrivateKey = field(default_factory=_new_key)
    person: dict[str, Any] = field(default_factory=lambda: dict(ANA))
    spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    sign_with: rsa.RSAPrivateKey | None = None
    only_by_userinfo: tuple[str, ...] = ()
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    _begun: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url

    def environment(self, groups: str = "support=viewers,leads=managers") -> dict[str, str]:
        return {
            "OIDC_ISSUER": self.url,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Example",
            "OIDC_GROUPS": groups,
        }

    def answer(self, request: Received) -> Reply:
        path, query = urlsplit(request.path).path, dict(parse_qsl(urlsplit(request.path).query))
        if path == "/.well-known/openid-configuration":
            addresses = {"authorization": "/authorize", "token": "/token", "userinfo": "/userinfo"}
            found = {f"{name}_endpoint": self.url + path for name, path in addresses.items()}
            return _json({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | found | self.discovery)
        if path == "/keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return _json({"keys": [key | {"kid": "one", "use": "sig"}]})
        if path == "/authorize":
            return self._authorize(query)
        if path == "/token":
            return self._token(dict(parse_qsl(request.body.decode())))
        if path == "/userinfo" and request.headers["Authorization"] == "Bearer access":
            return _json(self.person | self.userinfo)
        return Reply(404)

    def _authorize(self, query: dict[str, str]) -> Reply:
        assert query["client_id"] == CLIENT_ID
        assert query["response_type"] == "code"
        assert "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256"
        assert query["nonce"]
        code = f"code{len(self._begun)}"
        self._begun[code] = query
        answer = urlencode({"code": code, "state": query["state"]})
        return Reply(302, {"Location": f"{query['redirect_uri']}?{answer}"})

    def _token(self, form: dict[str, str]) -> Reply:
        begun = self._begun.pop(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        assert challenge.decode() == begun["code_challenge"]
        assert form["redirect_uri"] == begun["redirect_uri"]
        assert (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": begun["nonce"]}
        claims |= {name: value for name, value in self.person.items() if name not in self.only_by_userinfo}
        token = jwt.encode(self.spoil(claims), self.sign_with or self.key, "RS256", headers={"kid": "one"})
        return _json({"access_token": "access", "token_type": "Bearer", "id_token": token})


@contextmanager
def standin_issuer() -> Iterator[StandinIssuer]:
    with http_standin() as server:
        issuer = StandinIssuer(server)
        server.answer = issuer.answer
        yield issuer


def _json(content: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(content).encode())
