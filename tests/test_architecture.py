"""The shape that the code keeps: imports point one way, pure modules stay pure, and one module has each secret."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: each may import itself and those above it in this table. One that is not here is in no layer.
LAYERS = [
    "customers",
    "sessions_app.database",
    "sessions_app.livetok",
    "sessions_app.packing",
    "sessions_app.periods",
    "sessions_app.progress",
    "sessions_app.decision",
    "sessions_app.models",
    "sessions_app.leases",
    "sessions_app.spool",
    "sessions_app.sums",
    "sessions_app.usage",
    "sessions_app.wording",
    "sessions_app.reports.frame",
    "sessions_app.billing",
    "sessions_app.reports.list",
    "sessions_app.recording",
    "sessions_app.replay",
    "sessions_app.webhook",
    "sessions_app.personal",
    "sessions_app.reports",
    "sessions_app.api",
    "sessions_app.admin",
    "sessions_app.demo",
    "sessions_app.templatetags",
    "sessions_app.management",
    "sessions_app.urls",
    "sessions_app.apps",
    "automations",
    "config",
    "tests",
]
PACKAGES = ["customers", "sessions_app", "automations", "config"]
# They import the standard library, phone numbers' library and each other.
PURE = {
    "automations.rules.conditions",
    "customers.context",
    "customers.importing.delimited",
    "customers.importing.tables",
    "customers.importing.workbooks",
    "customers.lengths",
    "customers.limits",
    "customers.origins",
    "customers.personal.traces",
    "customers.phones",
    "customers.search.folding",
    "customers.spreadsheets",
    "sessions_app.decision.answer",
    "sessions_app.decision.rules",
    "sessions_app.livetok.delivery",
    "sessions_app.livetok.events",
    "sessions_app.livetok.payloads",
    "sessions_app.packing",
    "sessions_app.periods",
    "sessions_app.progress",
    "sessions_app.replay.engine",
    "sessions_app.replay.summing",
    "sessions_app.sums.callers",
    "sessions_app.sums.histogram",
    "sessions_app.usage.counting",
    "sessions_app.wording",
}
LIBRARIES_OF_PURE_MODULES = {"phonenumbers"}

LIVETOKS_WORDS = {"sessionId", "agentId", "agentName", "phoneNumber", "livemode", "conversation_id"}
WORDS_OF_THE_ANSWER = {"dailyCallMinutes", "dailyMessageLimit"}
# Those that play LiveTok speak its language.
PLAY_LIVETOK = (
    "sessions_app.demo.",
    "automations.management.commands.demo",
    "sessions_app.management.commands.livetok",
)

SESSIONS = {"Session", "session", "sessions"}
WRITES = {
    "abulk_create", "acreate", "adelete", "aget_or_create", "asave", "aupdate", "aupdate_or_create", "bulk_create",
    "bulk_update", "create", "delete", "get_or_create", "save", "update", "update_or_create",
}  # fmt: skip


def modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module by its dotted name, parsed; migrations aside, which Django writes."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield ".".join(part for part in parts if part != "__init__"), ast.parse(path.read_text())


def imported_by(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a module imports; of `from a import b` both `a` and `a.b`, since either may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> str | None:
    """The layer that a module, or something in it, belongs to."""
    within = [layer for layer in LAYERS if name == layer or name.startswith(f"{layer}.")]
    return max(within, key=len, default=None)


def test_every_module_is_in_a_layer():
    assert [name for name, _ in modules(*PACKAGES) if layer_of(name) is None and name != "sessions_app"] == []


def test_imports_point_one_way():
    heights = {layer: height for height, layer in enumerate(LAYERS)}
    wrong = [
        f"{name} imports {imported}"
        for name, tree in modules(*PACKAGES)
        for imported in imported_by(tree)
        if (target := layer_of(imported)) and heights[target] > heights[layer_of(name) or "customers"]
    ]

    assert wrong == []


@pytest.mark.parametrize("package", ["automations", "config", "customers", "sessions_app"])
def test_the_search_finds_every_package(package):
    assert any(imported.startswith(f"{package}.") for _, tree in modules(package) for imported in imported_by(tree))


def test_no_function_imports():
    wrong = [
        f"{name}, line {node.lineno}"
        for name, tree in modules(*PACKAGES, "tests")
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert wrong == []


def test_pure_modules_import_nothing_that_is_not_pure():
    allowed = set(sys.stdlib_module_names) | LIBRARIES_OF_PURE_MODULES
    found = dict(modules("automations", "customers", "sessions_app"))
    wrong = []
    for name in sorted(PURE):
        for node in ast.walk(found[name]):
            if isinstance(node, ast.Import):
                wrong += [f"{name} imports {a.name}" for a in node.names if a.name.split(".")[0] not in allowed]
            elif isinstance(node, ast.ImportFrom) and node.module not in PURE:
                root = (node.module or "").split(".")[0]
                wrong += [] if root in allowed else [f"{name} imports {node.module}"]

    assert wrong == []


def texts(tree: ast.AST) -> Iterator[str]:
    """Texts and the names of keyword arguments: `dict(sessionId=…)` says the same as `{"sessionId": …}`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def test_one_module_knows_livetoks_words():
    words = LIVETOKS_WORDS | WORDS_OF_THE_ANSWER
    speakers = {
        name: sorted(words & set(texts(tree)))
        for name, tree in modules(*PACKAGES)
        if words & set(texts(tree)) and not name.startswith(PLAY_LIVETOK)
    }

    assert speakers == {
        "sessions_app.livetok.payloads": sorted(LIVETOKS_WORDS - {"conversation_id"}),
        "sessions_app.decision.answer": sorted(WORDS_OF_THE_ANSWER),
        # The example in the API's description: LiveTok's own sample, as it stands in its documentation.
        "sessions_app.api.preview": ["agentId", "agentName", "phoneNumber", "sessionId"],
    }


def writes_sessions(node: ast.AST) -> bool:
    """Whether this makes a Session, writes through `Session.objects…`, or writes a variable called session(s)."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "Session"
    return isinstance(node.func, ast.Attribute) and node.func.attr in WRITES and root_of(node.func) in SESSIONS


def root_of(node: ast.AST) -> str:
    """The name at the start of a chain such as `Session.objects.filter(…).update`."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def test_one_folder_writes_sessions():
    writers = {
        name
        for name, tree in modules(*PACKAGES)
        if any(map(writes_sessions, ast.walk(tree))) and not name.startswith(PLAY_LIVETOK)
    }

    assert {name.rpartition(".")[0] for name in writers} == {"sessions_app.recording"}


def test_hand_written_sql_stands_in_few_modules_and_begin_and_end_call_what_writes_sessions():
    sql = {
        name
        for name, tree in modules(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("cursor", "raw")
    }
    callers = {
        name
        for name, tree in modules(*PACKAGES)
        if {"sessions_app.recording.writing.write_begin", "sessions_app.recording.writing.write_end"}
        & set(imported_by(tree))
    }

    assert sql == {
        "automations.deliveries.copies",
        "automations.rules.once",
        "config.backups.postgresql_files",
        "config.changes.places",
        "config.moving.target",
        "config.one_setup",
        "config.pooler",
        "customers.history",
        "sessions_app.database.commits",
        "sessions_app.database.prepared",
        "sessions_app.database.replica",
        "sessions_app.database.snapshots",
        "sessions_app.database.standby",
        "sessions_app.recording.writing",
        "sessions_app.replay.reading",
        "sessions_app.reports.statement_columns",
        "sessions_app.sums.keeping",
        "sessions_app.usage.drawn",
        "sessions_app.usage.shares",
        "sessions_app.usage.used",
    }
    assert callers == {"sessions_app.recording.begin", "sessions_app.recording.end"}
