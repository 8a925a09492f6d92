"""The chromium that browser tests drive: found, or installed. `python -m tests.chromium` does it ahead of the tests."""

import os
import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class NoChromium(Exception):
    """No chromium could be found or installed; says what to do."""


def chromium_path() -> str:
    """The path of a chromium that starts. Installs one where there is none."""
    chosen = os.environ.get("CHROMIUM", "")
    if chosen:
        if not _starts(chosen):
            raise NoChromium(f"CHROMIUM is {chosen}, which does not start")
        return chosen
    found = _installed()
    if found:
        return found
    problems = []
    for command in _installers():
        print(f"No chromium was found. Trying: {' '.join(command)}", file=sys.stderr, flush=True)
        done = subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=False)
        found = _installed() if done.returncode == 0 else None
        if found:
            return found
        problems.append(" ".join(command))
    raise NoChromium(
        f"no chromium was found, and none of these installed one: {'; '.join(problems)}. "
        "Install chromium with this system's packages, or set CHROMIUM to its path"
    )


def _installed() -> str | None:
    candidates = [shutil.which(name) for name in NAMES]
    with sync_playwright() as playwright:
        candidates.append(playwright.chromium.executable_path)
    return next((path for path in candidates if path and _starts(path)), None)


def _starts(path: str) -> bool:
    """Also false for a package's stand-in that only says where to get the real one."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _installers() -> list[list[str]]:
    commands = []
    is_root = os.geteuid() == 0
    if is_root and shutil.which("apt-get"):
        install = "apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium"
        commands.append(["sh", "-c", install])
    playwright = [sys.executable, "-m", "playwright", "install"]
    commands.append([*playwright, *(["--with-deps"] if is_root else []), "chromium"])
    return commands


if __name__ == "__main__":
    try:
        print(f"browser tests use {chromium_path()}")
    except NoChromium as error:
        sys.exit(f"tests.chromium: {error}")
