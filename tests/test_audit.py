"""The lock is held against a list of published advisories, without a network."""

import runpy
import subprocess
import sys
import tomllib
from datetime import date, timedelta

import pytest

from tests.live import ROOT

pytestmark = pytest.mark.pure

AUDIT = runpy.run_path(str(ROOT / ".ci" / "audit.py"), run_name="audit")
problems, locked_versions = AUDIT["problems"], AUDIT["locked_versions"]
LISTED = tomllib.loads((ROOT / ".ci" / "advisories.toml").read_text())
LOCK = (ROOT / "requirements.txt").read_text()


def test_our_own_locks_have_nothing_of_the_list():
    for name in ("requirements.txt", "requirements-runtime.txt"):
        assert list(problems((ROOT / name).read_text(), LISTED, LISTED["as_of"])) == []


def test_every_library_of_the_lock_is_read():
    versions = locked_versions(LOCK)
    lines = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]

    assert len(versions) == len(lines)
    assert {"django", "psycopg-binary", "colorama"} <= set(versions)


def test_an_old_django_is_named_with_its_version_the_advisory_and_what_to_take(tmp_path):
    lock = tmp_path / "old.txt"
    lock.write_text("asgiref==3.13.0\nDjango==5.2.7 \\\n    --hash=sha256:00\n    # via -r requirements.in\n")
    done = subprocess.run([sys.executable, ".ci/audit.py", str(lock)], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 1
    named = [line for line in done.stderr.splitlines() if "CVE-2025-64459" in line]
    assert len(named) == 1
    assert named[0].startswith("django 5.2.7 has CVE-2025-64459: SQL injection")
    assert "Take 5.2.8 or newer (https://" in named[0]
    assert "CVE-2025-59681" not in done.stderr, "5.2.7 has that one's fix"


@pytest.mark.parametrize(
    ("version", "affected"),
    [("5.2.7", True), ("5.2.8", False), ("5.2rc1", False), ("5.1.13", True), ("5.1.14", False), ("6.0", False)],
)
def test_a_version_is_affected_where_one_of_the_ranges_holds(version, affected):
    only = {"as_of": date(2026, 11, 28), "advisory": [a for a in LISTED["advisory"] if a["id"] == "CVE-2025-64459"]}

    assert bool(list(problems(f"django=={version}\n", only, only["as_of"]))) is affected


def test_a_list_that_is_older_than_a_year_has_to_be_renewed():
    later = LISTED["as_of"] + timedelta(days=365)

    assert list(problems(LOCK, LISTED, later)) == []
    (problem,) = problems(LOCK, LISTED, later + timedelta(days=1))
    assert "more than a year ago" in problem
    assert "make audit" in problem


@pytest.mark.parametrize("line", ["django>=5.2", "django", "django @ https://example.com/django.whl", "???"])
def test_a_line_that_pins_no_version_is_an_error(line):
    with pytest.raises(ValueError, match="pins no version"):
        locked_versions(line)


def test_every_advisory_says_where_it_comes_from_and_is_mended_by_what_to_take():
    for advisory in AUDIT["advisories_in"](LISTED):
        assert advisory.source.startswith("https://"), advisory.id
        assert advisory.says.endswith("."), advisory.id
        assert not advisory.affects(advisory.take), advisory.id
