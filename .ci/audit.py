"""Hold the lock against the published advisories in `advisories.toml`. Needs no network, so CI can run it."""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / ".ci" / "advisories.toml"
OLDEST_LIST = timedelta(days=365)
RENEW = "Where there is a network, run `make audit`, and renew the list as its first lines say."


@dataclass(frozen=True)
class Advisory:
    """`affected`: version specifiers as PEP 440 has them; a version is affected where one of them holds."""

    id: str
    package: str
    affected: tuple[SpecifierSet, ...]
    take: Version
    says: str
    source: str

    def affects(self, version: Version) -> bool:
        return any(specifiers.contains(version, prereleases=True) for specifiers in self.affected)


def locked_versions(lock: str) -> dict[str, Version]:
    """Package and version of each line `name==version` of a requirements file; any other requirement is an error."""
    found = {}
    for line in re.sub(r"\\\n", " ", lock).splitlines():
        text = re.split(r"\s+(?:--hash|#)", line.strip())[0].strip()
        if not text or text.startswith(("#", "-")):
            continue
        try:
            requirement = Requirement(text)
            (pin,) = requirement.specifier
        except (InvalidRequirement, ValueError):
            raise ValueError(f"the lock's line {text[:80]!r} pins no version") from None
        if pin.operator != "==":
            raise ValueError(f"the lock's line {text[:80]!r} pins no version")
        found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


def advisories_in(listed: dict[str, Any]) -> list[Advisory]:
    return [
        Advisory(
            id=one["id"],
            package=canonicalize_name(one["package"]),
            affected=tuple(SpecifierSet(text) for text in one["affected"]),
            take=Version(one["take"]),
            says=one["says"],
            source=one["source"],
        )
        for one in listed["advisory"]
    ]


def problems(lock: str, listed: dict[str, Any], today: date) -> Iterator[str]:
    """What is wrong, a sentence each; nothing where all is well."""
    if today - listed["as_of"] > OLDEST_LIST:
        yield f"The list of advisories is of {listed['as_of']}, more than a year ago. {RENEW}"
    versions = locked_versions(lock)
    for advisory in advisories_in(listed):
        version = versions.get(advisory.package)
        if version is not None and advisory.affects(version):
            yield (
                f"{advisory.package} {version} has {advisory.id}: {advisory.says} Take {advisory.take} or newer "
                f"({advisory.source})."
            )


def main(lock: Path) -> int:
    listed = tomllib.loads(LIST.read_text())
    found = list(problems(lock.read_text(), listed, datetime.now(UTC).date()))
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    if not found:
        sys.stdout.write(f"No known advisory on the libraries of {lock.name}, by the list of {listed['as_of']}.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "requirements.txt"))
