"""Frontdesk as an image's container runs it: an account without a name, a read-only tree, one folder to write to."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.children import start_child
from tests.databases import free_port
from tests.image import USER_ID, Image, as_nobody, build_image
from tests.live import LiveServer, new_environment, run, wait_until_ready

PUBLIC_HOST = "frontdesk.example.com"


@dataclass
class Deployed:
    image: Image
    server: LiveServer
    # What the service `setup` printed.
    printed: str


@contextmanager
def built_image() -> Iterator[Image]:
    # Not in pytest's folder, which is closed to others.
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-image-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield build_image(folder)
    finally:
        if os.geteuid() != 0:
            for path in folder.rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(folder)


@contextmanager
def deployed(image: Image, database: str) -> Iterator[Deployed]:
    """Set up and started in the image, with https to come from proxies on 127.0.0.1."""
    with new_environment(database, is_migrated=True) as made:
        variables = {
            "PUBLIC_URL": f"https://{PUBLIC_HOST}",
            "TRUSTED_PROXIES": "127.0.0.1",
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
        }
        if database == "postgresql":
            variables["DATABASE_URL"] = made["DATABASE_URL"]
        else:
            give(shutil.copy(f"{made['DATA_DIR']}/frontdesk.sqlite3", image.path("/data")))
        options = image.popen_options(**variables)
        printed = run([*image.entrypoint, "setup"], **options)
        server = start_deployed(image, [*image.entrypoint, *image.command], image.path("/data"), options)
        server.webhook_key = re.search(r"X-API-Key: (\S+)", printed)[1]
        server.password = re.search(r"password +(\S+)$", printed, re.MULTILINE)[1]
        try:
            wait_until_ready(server)
            yield Deployed(image, server, printed)
        finally:
            server.stop()


def start_deployed(image: Image, command: list[str], data: Path, options: dict) -> LiveServer:
    """Start `serve`. Its log is beside the image, not in the data folder, which is the server's own."""
    folder = Path(tempfile.mkdtemp(prefix="log-", dir=image.root.parent))
    with (folder / "serve.log").open("ab") as log:
        process = start_child(command, stdout=log, stderr=log, **options)
    env = {**options["env"], "DATA_DIR": str(data)}
    return LiveServer(f"http://127.0.0.1:{env['PORT']}", "", "admin", "", env, process, folder)


def give(path: str | Path) -> None:
    """A file or folder of ours to the account that containers run as."""
    if as_nobody():
        os.chown(path, USER_ID, USER_ID)
