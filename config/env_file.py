"""The file `.env`, read strictly: what is passed over would leave a setting at its default without a word."""

import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

SETTING = re.compile(r"(export )?[A-Za-z_0-9]+=")


def lines_of_env_file(path: Path) -> list[str]:
    """Its settings, such as `PORT=8000`; none where there is no file.

    Raises ImproperlyConfigured with the number of a line that is no setting. It never repeats one: it may be a secret.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read by this account (uid {os.geteuid()}): {error.strerror}. It has to be a "
            "file that this account may read"
        ) from error
    except UnicodeDecodeError as error:
        raise ImproperlyConfigured(f"{path} is not in UTF-8. Save it so") from error
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#") and not SETTING.match(line):
            raise ImproperlyConfigured(
                f"{path}: line {number} is no setting. Write NAME=value, without spaces around the =; a comment has a "
                "line of its own, which begins with #"
            )
    return [line for line in lines if SETTING.match(line)]
