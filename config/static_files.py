"""Static files, collected where their sources have changed."""

import hashlib
import os
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect_static_files() -> bool:
    """Collect the static files unless nothing has changed since. Returns whether it did."""
    stamp = Path(settings.STATIC_ROOT) / ".sources"
    sources = _fingerprint()
    if stamp.exists() and stamp.read_text() == sources:
        return False
    # They are no secret, and whoever serves them may be another account than the one that collects them.
    private = os.umask(0o022)
    try:
        # Before collecting, so that one that is cut short is done again.
        stamp.unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(sources)
    finally:
        os.umask(private)
    return True


def _fingerprint() -> str:
    """Changes whenever a file is added, removed or changed, here or in a library.

    By their contents: a container's image keeps no fraction of a second, nor perhaps any time, of its files.
    """
    lines = []
    for finder in get_finders():
        for name, storage in finder.list([]):
            path = Path(storage.path(name))
            lines.append(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
