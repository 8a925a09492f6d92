"""The documentation keeps up with the code: links lead somewhere, and what the code can say is explained."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

from sessions_app.decision.rules import Reason
from sessions_app.wording import FLAGS, STATES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(page):
    return _CODE.sub("", page.read_text())


def anchors(page):
    """The addresses of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(prose(page))}


def test_the_documentation_is_found():
    assert {page.name for page in PAGES} >= {"README.md", "CHANGELOG.md", "decisions.md", "webhook.md", "api.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    broken = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def explained(page, words):
    """Those of the words that a table of the page explains: they stand in its first column, in code."""
    first_columns = "\n".join(line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("|"))
    return {word for word in words if f"`{word}`" in first_columns}


def test_every_reason_and_state_is_explained():
    words = {reason.value for reason in Reason} | set(STATES)

    assert words - explained(ROOT / "docs/decisions.md", words) == set()


def test_every_flag_is_explained():
    tree = ast.parse((ROOT / "sessions_app/livetok/payloads.py").read_text())
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    subjects = {
        node.args[0].value
        for node in read
        if node.func.attr == "read" and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert {"time", "duration", "number"} <= subjects
    unreadable = {f"{event}_{subject}_unreadable" for event in ("begin", "end") for subject in subjects}
    flags = set(FLAGS) | unreadable - {"begin_duration_unreadable"}

    assert flags - explained(ROOT / "docs/webhook.md", flags) == set()


NAMES_OF_FILES = {f"{name}_FILE" for name in settings.SECRETS}


def read_from_the_environment():
    """The first argument of every `env(…)`, `env.list(…)` and the like, and of the functions that read a number."""
    tree = ast.parse((ROOT / "config/settings.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    names = {call.args[0].value for call in calls if is_reader(call.func) and isinstance(call.args[0], ast.Constant)}
    assert {"PUBLIC_URL", "TRUSTED_PROXIES", "PORT", "DATABASE_URL"} <= names
    return {name for name in names if re.fullmatch(r"[A-Z][A-Z0-9_]+", str(name))} | NAMES_OF_FILES


def is_reader(function):
    """`env` itself, one of its methods, or a plain function."""
    owner = function.value if isinstance(function, ast.Attribute) else function
    return isinstance(owner, ast.Name) and (owner is function or owner.id == "env")


def test_the_example_environment_names_every_setting_and_no_other():
    text = (ROOT / ".env.example").read_text()

    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)) == read_from_the_environment()


def test_the_readme_names_every_setting_and_no_other():
    section = (ROOT / "README.md").read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]

    in_the_table = set(re.findall(r"^\| `([A-Z0-9_]+)`", section, re.MULTILINE))
    assert in_the_table | set(re.findall(r"`([A-Z_]+_FILE)`", section)) == read_from_the_environment()


STEPS = re.findall(
    r"^\| [^|]+ \| `([\w/]+\.py)` \| `(\w+)` \|", (ROOT / "docs/development.md").read_text(), re.MULTILINE
)


def test_the_way_of_a_begin_and_of_an_end_are_told():
    assert len(STEPS) >= 15


@pytest.mark.parametrize(("module", "name"), STEPS)
def test_what_a_begin_and_an_end_pass_has_the_name_that_is_told(module, name):
    tree = ast.parse((ROOT / module).read_text())

    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def test_every_folder_of_sessions_is_explained():
    folders = {f"{path.name}/" for path in (ROOT / "sessions_app").iterdir() if (path / "__init__.py").exists()}

    assert folders - explained(ROOT / "docs/development.md", folders) == {"migrations/", "templatetags/"}


def test_every_file_of_ours_that_is_named_exists():
    named = {
        path
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for path in re.findall(r"`((?:config|customers|sessions_app|benchmarks|tests)/[\w/]+\.py)`", page.read_text())
    }

    assert len(named) > 20
    assert {path for path in named if not (ROOT / path).exists()} == set()


# What a reader may copy, with the options that are named beside it.
COMMANDS = [
    (page.name, command, options)
    for page in PAGES
    if page.name != "CHANGELOG.md"
    for command, options in re.findall(r"manage\.py (\w+)([^`\n]*)", page.read_text())
]


def test_every_command_that_is_named_is_one_and_has_the_options():
    known, found, strange = get_commands(), set(), []
    for page, command, options in COMMANDS:
        found.add(command)
        parser = load_command_class(known[command], command).create_parser("", command) if command in known else None
        names = {name for action in parser._actions for name in action.option_strings} if parser else set()
        strange += [(page, command, name) for name in re.findall(r"--[\w-]+", options) if name not in names]
        strange += [(page, command)] if parser is None else []

    assert {"setup", "serve", "backup", "restore", "move_to", "doctor", "livetok"} <= found
    assert strange == []


def test_every_target_of_make_that_is_named_is_one():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [page.read_text() for page in PAGES]
    blocks = "".join(block for text in texts for block in _CODE.findall(text))
    named = set(re.findall(r"`make ([\w-]+)", "".join(texts)))
    named |= set(re.findall(r"^(?:sudo )?make ([\w-]+)", blocks, re.MULTILINE))

    assert {"run", "test", "build"} <= named
    assert named - targets == set()
