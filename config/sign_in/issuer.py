"""What Frontdesk asks of an OpenID Connect issuer, and what of its answers it believes.

allauth has the rounds of the code flow, with `state` and PKCE. Here stand what it leaves out (a nonce, and a signature
that is always checked) and the claims. Whom they let in is `members`.
"""

import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from requests import RequestException

from config.oidc import is_this_machine

# Those with a public key: with one of a shared secret, whoever knows the client's secret could make tokens.
ALGORITHMS = [f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)] + ["EdDSA"]
NEEDED_CLAIMS = ["iss", "sub", "aud", "exp", "iat", "nonce"]
CLOCKS_DIFFER_SECONDS = 60
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
LONGEST_SUBJECT = 191


class IssuerAdapter(OpenIDConnectOAuth2Adapter):
    """One round with the issuer. Raises OAuth2Error for what is not believed, RequestException where it is away."""

    _nonce = ""

    @property
    def openid_config(self) -> dict[str, Any]:
        if not hasattr(self, "_openid_config"):
            found = super().openid_config
            # RFC 8414, section 3.3: else one issuer could speak for another.
            if found.get("issuer") != settings.OIDC.issuer:
                raise OAuth2Error(f"OIDC_ISSUER is {settings.OIDC.issuer}, and there it says {found.get('issuer')!r}")
            for name in ENDPOINTS:
                if not _may_be_asked(found.get(name)):
                    raise OAuth2Error(f"the issuer's {name} is {found.get(name)!r}, which is no https address")
        return dict(self._openid_config)

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        path = reverse("oidc_callback")
        return f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        self._nonce = _nonce_of(pkce_code_verifier or "")
        return dict(super().get_access_token_data(request, app, client, pkce_code_verifier=pkce_code_verifier))

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> Any:
        claims = self._claims(str(kwargs["response"].get("id_token") or ""))
        if settings.OIDC.groups_claim not in claims and "userinfo_endpoint" in self.openid_config:
            told = self._fetch_user_info(token.token)
            # OpenID Connect Core, section 5.3.2: it may be somebody else's.
            if told.get("sub") != claims["sub"]:
                raise OAuth2Error("the answer of userinfo_endpoint is about somebody else")
            claims = told | claims
        return self.get_provider().sociallogin_from_response(request, claims)

    def _claims(self, id_token: str) -> dict[str, Any]:
        """OpenID Connect Core, section 3.1.3.7."""
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
            known = answer.json()
        try:
            claims: dict[str, Any] = jwt.decode(
                id_token,
                _key_of(jwt.get_unverified_header(id_token).get("kid"), jwt.PyJWKSet.from_dict(known)).key,
                algorithms=ALGORITHMS,
                audience=settings.OIDC.client_id,
                issuer=settings.OIDC.issuer,
                leeway=CLOCKS_DIFFER_SECONDS,
                options={"require": NEEDED_CLAIMS},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"the ID token is not believed: {error}") from error
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != settings.OIDC.client_id:
            raise OAuth2Error("the ID token was made for another application (azp)")
        if not self._nonce or not hmac.compare_digest(str(claims["nonce"]).encode(), self._nonce.encode()):
            raise OAuth2Error("the ID token was made for another sign-in (nonce)")
        if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
            raise OAuth2Error(f"the ID token's sub has not 1 to {LONGEST_SUBJECT} characters")
        return claims


class Issuer(OpenIDConnectProvider):
    """The one of OIDC_ISSUER. Nothing of a sign-in is taken from the address that began it but where it leads to."""

    oauth2_adapter_class = IssuerAdapter
    pkce_enabled_default = True

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return reverse("oidc_login")

    def get_callback_url(self) -> str:
        return reverse("oidc_callback")

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return list(settings.OIDC.scopes)

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        # Whoever is signed in came to show once more that it is they.
        return {"prompt": "login"} if request.user.is_authenticated else {}

    def get_pkce_params(self) -> dict[str, str]:
        """With a nonce that follows from the secret which stays here until the code is exchanged."""
        found = dict(super().get_pkce_params())
        return found | {"nonce": _nonce_of(found["code_verifier"])}

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_redirect_from_request_kwargs(request) | {"process": "login"}

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """All that is kept of the claims: what decided."""
        kept = {"groups": groups_in(data)}
        return kept | {name: data[name] for name in ("amr", "email_verified") if name in data}


def groups_in(claims: dict[str, Any]) -> list[str]:
    """The issuer's groups of somebody: a list of names, or a single one."""
    found = claims.get(settings.OIDC.groups_claim)
    found = [found] if isinstance(found, str) else found
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _nonce_of(code_verifier: str) -> str:
    return hashlib.sha256(f"nonce {code_verifier}".encode()).hexdigest() if code_verifier else ""


def _key_of(kid: object, known: jwt.PyJWKSet) -> jwt.PyJWK:
    """The key that a token names; one that names none was made with the only one. Raises PyJWTError."""
    fitting = [key for key in known.keys if kid in (None, key.key_id) and key.public_key_use != "enc"]
    if len(fitting) != 1:
        raise jwt.InvalidKeyError(f"the issuer has {len(fitting)} keys of the name {str(kid)[:50]!r}")
    return fitting[0]


def _may_be_asked(address: object) -> bool:
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname))
        )
    except ValueError:
        return False


def issuer_problem() -> str:
    """Why nobody can sign in by the issuer now: it is away, or not the one of OIDC_ISSUER. Blank where all is well."""
    try:
        IssuerAdapter(None, settings.OIDC.issuer).openid_config  # noqa: B018 - asks
    except (OAuth2Error, RequestException, LookupError, TypeError, ValueError, AttributeError) as error:
        return str(error) or type(error).__name__
    return ""
