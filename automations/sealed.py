"""What is stored under an encryption key."""

from collections.abc import Collection

from allauth.mfa.models import Authenticator

from automations.models import Secret


def has_sealed() -> bool:
    """Whether a secret of a destination, a source or a second factor is: then no key is made in place of a lost one."""
    return Secret.objects.exists() or Authenticator.objects.exists()


def accounts_without_key(known: Collection[str]) -> int:
    """How many accounts have an app or recovery codes that none of the keys opens, by the keys' fingerprints."""
    sealed = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("user_id", "data")
    return len({user for user, data in sealed if fingerprint_in(data) not in known})


def fingerprint_in(data: dict[str, str]) -> str:
    """Which key sealed what is kept of a second factor: `secret` of an app, `seed` of recovery codes."""
    return str(data.get("secret") or data.get("seed") or "").partition(":")[0]
