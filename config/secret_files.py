"""Secrets that come from files: `NAME_FILE` names a file whose content is the setting `NAME`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# Far more than any secret has: whoever names a wrong file shall not have it read to its end.
LARGEST_BYTES = 64 * 1024


def with_secret_files(environment: Mapping[str, str], names: Iterable[str], folder: Path) -> dict[str, str]:
    """The environment, in which each of `names` has the content of the file that `NAME_FILE` names, if one does.

    A relative path counts from `folder`. Spaces and line ends around a secret are no part of it. Raises
    ImproperlyConfigured, which names the setting and never the content.
    """
    found = dict(environment)
    for name in names:
        path = found.get(f"{name}_FILE")
        if not path:
            continue
        if found.get(name):
            raise ImproperlyConfigured(
                f"{name} and {name}_FILE are both set, in the environment or in .env, and only one can count. "
                "Leave one of them out"
            )
        found[name] = _content(f"{name}_FILE", folder / path)
    return found


def _content(setting: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        raise ImproperlyConfigured(
            f"{setting}: {path} cannot be read: {reason}. Give the path of a file that this account may read, "
            f"or leave {setting} out"
        ) from error
    secret = content.decode("utf-8-sig", errors="surrogateescape").strip()
    if not secret:
        raise ImproperlyConfigured(f"{setting}: {path} is empty. Write the secret into it, or leave {setting} out")
    if len(content) > LARGEST_BYTES or not secret.isprintable():  # bytes that are no UTF-8 are not, either
        raise ImproperlyConfigured(
            f"{setting}: {path} holds something else than one line of text. Write the secret alone into it, or name "
            "another file"
        )
    return secret
