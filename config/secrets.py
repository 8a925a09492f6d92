"""The secret key that Frontdesk makes for itself when the environment gives none."""

import os
import secrets
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """`folder`, made with mode 700 where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def made_secret_key(data_dir: Path) -> str:
    """The key in `data_dir/secret_key`, made on first use; several processes may ask at once."""
    path = private_folder(data_dir) / "secret_key"
    if not path.exists():
        draft = path.with_name(f"secret_key.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        try:
            os.link(draft, path)  # fails where another process was first, whose key then stands
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
