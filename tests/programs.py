"""Programs of Debian's that tests need: found, or installed. `python -m tests.programs` does it ahead of the tests."""

import os
import shutil
import subprocess
import sys

# By program: the package that has it.
PACKAGES = {"nginx": "nginx-light", "caddy": "caddy", "systemd-analyze": "systemd", "pgbouncer": "pgbouncer"}


class NoProgram(Exception):
    """A program was neither found nor could it be installed; says what to do."""


def program(name: str) -> str:
    """The path of one of PACKAGES. Installs its package where it is missing, as root on a system that has apt-get."""
    found = _found(name)
    if found:
        return found
    package = PACKAGES[name]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command = f"apt-get update -qq && apt-get install -qq --yes --no-install-recommends {package}"
        print(f"{name} was not found. Trying: {command}", file=sys.stderr, flush=True)
        subprocess.run(["sh", "-c", command], env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, check=False)
        found = _found(name)
        if found:
            return found
    raise NoProgram(f"the tests need {name}: install it with this system's packages (Debian's is {package})")


def _found(name: str) -> str | None:
    # Where servers are, and a plain account's PATH may not lead.
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


if __name__ == "__main__":
    try:
        print(f"tests use {', '.join(program(name) for name in PACKAGES)}")
    except NoProgram as error:
        sys.exit(f"tests.programs: {error}")
