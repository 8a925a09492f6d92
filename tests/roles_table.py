"""What was measured of roles, as people read it: docs/roles.md, and the part of the admin's page of a group."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from django.apps import apps

from tests.roles import KEYS, METHODS, NO_KEY, ROLES, STRANGER, Address, Measured

ROOT = Path(__file__).resolve().parent.parent
PAGE, PART = ROOT / "docs/roles.md", ROOT / "templates/admin/auth/group/_roles.html"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
NOTHING = "–"

# What somebody does at an address of a list in the admin, by how it goes on and the method.
VERBS = {
    ("", "GET"): "look",
    ("add/", "POST"): "add",
    ("<path:object_id>/change/", "POST"): "change",
    ("<path:object_id>/delete/", "POST"): "delete",
    ("import/", "POST"): "import",
    ("export/", "POST"): "export",
    ("<int:pk>/secret/", "GET"): "see a new secret once",
    ("<int:pk>/rotate/", "POST"): "change the signing secret",
    ("<int:pk>/resume/", "POST"): "resume",
    ("<int:pk>/again/", "POST"): "send again",
    ("<int:pk>/rehearsal/", "GET"): "rehearse",
    ("<int:pk>/preview/", "GET"): "preview",
    ("<int:pk>/test/", "POST"): "send a test",
    ("<int:pk>/try/", "POST"): "try out",
    ("<id>/password/", "POST"): "set a password",
}
# Actions of lists that a button does too.
SAID_ALREADY = {"delete_selected", "send_chosen_again"}
FIRST = ("look", "add", "change", "delete")
SEEN = "What pages show of it"
# Other pages: what they are, and what somebody does there.
PAGES = {
    ("admin/", "GET"): ("Home", "look"),
    ("reports/", "GET"): ("Overview", "look"),
    ("reports/live/", "GET"): ("Live", "look"),
    ("reports/try/", "GET"): ("Try", "try"),
    ("reports/try/play/", "POST"): ("Try", "play begin and end"),
    ("reports/replays/<id:pk>/", "GET"): ("Replays of drafts", "look"),
    ("reports/replays/of/<id:pk>/", "POST"): ("Replays of drafts", "replay"),
    ("reports/sessions/", "GET"): ("Report of sessions", "look"),
    ("reports/customers/", "GET"): ("Report of customers", "look"),
    ("reports/customers/<id:pk>/more/", "POST"): ("Report of customers", "allow more until …"),
    ("reports/customers/<id:pk>/top-up/", "POST"): ("Report of customers", "add a top-up"),
    ("reports/customers/<id:pk>/tier/", "POST"): ("Report of customers", "change the tier"),
    ("reports/customers/<id:pk>/status/", "POST"): ("Report of customers", "activate, pause, block"),
    ("reports/customers/<id:pk>/erase/", "POST"): ("Report of customers", "erase"),
    ("reports/customers/<id:pk>/export/", "GET"): ("Report of customers", "export all"),
    ("reports/statements/", "GET"): ("Statements", "look"),
    ("reports/statements/close/", "POST"): ("Statements", "close a month"),
    ("reports/webhook/", "GET"): ("Report of the webhook", "look"),
    ("reports/search/", "GET"): ("Search", "look"),
    ("reports/health/", "GET"): ("Health", "look"),
    ("reports/changes/", "GET"): ("Changes", "look"),
    ("admin/automations/export/", "GET"): ("Rules as a file", "export"),
    ("admin/automations/import/", "POST"): ("Rules as a file", "import"),
    ("admin/automations/confirm-database/", "POST"): ("A copied database", "confirm"),
}
AREAS = (
    ("Home and reports", ("reports/", "admin/")),
    ("Customers and settings", ("admin/customers/",)),
    ("Sessions", ("admin/sessions_app/",)),
    ("What follows", ("admin/automations/",)),
    ("Accounts and sign-ins", ("admin/auth/", "admin/config/")),
)


def things(found: Measured) -> dict[tuple[str, str], dict[str, list[str]]]:
    """By area and what it is about: what each role does there, in the order of the addresses."""
    done: dict[tuple[str, str], dict[str, list[str]]] = {}
    for address in found.addresses:
        for method in ("GET", "POST"):
            said = _said(address.pattern, method)
            if said is not None:
                row = done.setdefault((_area(address.pattern), said[0]), {role: [] for role in ROLES})
                for role in ROLES:
                    if found.may(address.pattern, role, method):
                        row[role].append(said[1])
    for (path, who, name), may in found.actions.items():
        row = done[_area(path[1:]), _title(path[1:])]
        if may and who in row and name not in SAID_ALREADY:
            row[who].append(name.replace("_", " "))
    for (what, role), may in found.seen.items():
        row = done.setdefault((SEEN, what), {role: [] for role in ROLES})
        row[role] += ["see"] if may else []
    order = [*(area for area, _ in AREAS), SEEN]
    return dict(sorted(done.items(), key=lambda one: order.index(one[0][0])))


def _said(pattern: str, method: str) -> tuple[str, str] | None:
    if (pattern, method) in PAGES:
        return PAGES[pattern, method]
    title, rest = _title(pattern), pattern.split("/", 3)[-1]
    verb = VERBS.get((rest, method))
    return (title, verb) if title and verb else None


def _area(pattern: str) -> str:
    found = [(len(start), name) for name, starts in AREAS for start in starts if pattern.startswith(start)]
    return max(found)[1]


def _title(pattern: str) -> str:
    """What the list of the admin at an address has; blank where it is of none."""
    parts = pattern.split("/")
    if parts[0] != "admin" or len(parts) < 4:
        return ""
    try:
        name = str(apps.get_model(parts[1], parts[2])._meta.verbose_name_plural)
    except LookupError:
        return ""
    return name[:1].upper() + name[1:]


def in_words(found: Measured) -> str:
    """The table of what people do, as Markdown."""
    lines = []
    for area, rows in groupby(things(found).items(), key=lambda one: one[0][0]):
        lines += ["", f"### {area}", "", f"| | {' | '.join(ROLES)} |", f"|---|{'---|' * len(ROLES)}"]
        lines += [f"| {name} | {' | '.join(_list(done[role]) for role in ROLES)} |" for (_, name), done in rows]
    return "\n".join(lines[1:]) + "\n"


def _list(verbs: Sequence[str]) -> str:
    first = [verb for verb in FIRST if verb in verbs]
    return ", ".join(dict.fromkeys([*first, *verbs])) or NOTHING


def as_part(found: Measured) -> str:
    """The same as a part of the admin's page of a group."""
    heads = "".join(f'<th scope="col">{role.capitalize()}</th>' for role in ROLES)
    lines = [
        "{# Written by tests/test_roles.py of what it measured: not by hand. #}",
        '<details class="names"><summary>What viewers, managers and administrators may do</summary>',
        "<p>Of the groups as set-up makes them. A group that was changed since may do otherwise.</p>",
    ]
    for area, rows in groupby(things(found).items(), key=lambda one: one[0][0]):
        lines += [
            f'<div class="scrolls" tabindex="0" role="group" aria-label="{area}"><table>',
            f'<thead><tr><th scope="col">{area}</th>{heads}</tr></thead><tbody>',
        ]
        for (_, name), done in rows:
            cells = "".join(f"<td>{escape(_list(done[role]))}</td>" for role in ROLES)
            lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
        lines.append("</tbody></table></div>")
    return "\n".join([*lines, "</details>"]) + "\n"


def by_address(found: Measured) -> str:
    """Every address with the methods that each role, and a stranger, gets something by, as Markdown."""
    people = (*ROLES, STRANGER)
    pages = [one for one in found.addresses if not one.is_for_keys]
    parts = [f"| address | {' | '.join(people)} |\n|---|{'---|' * len(people)}", *_rows(found, pages, people)]
    keys = (NO_KEY, *KEYS)
    for_keys = [one for one in found.addresses if one.is_for_keys]
    parts += ["\n### For API keys\n", f"| address | {' | '.join(keys)} |\n|---|{'---|' * len(keys)}"]
    return "\n".join([*parts, *_rows(found, for_keys, keys)]) + "\n"


def _rows(found: Measured, addresses: Sequence[Address], people: Sequence[str]) -> Iterator[str]:
    """Addresses of one list that are alike stand in one row."""

    def alike(address: Address) -> tuple[str, list[str]]:
        listed = "/".join(address.pattern.split("/")[:3]) if _title(address.pattern) else ""
        return listed, [_methods(found, address, who) for who in people]

    for (_, cells), group in groupby(addresses, key=alike):
        names = ", ".join(f"`{_shown(address.pattern)}`" for address in group)
        yield f"| {names} | {' | '.join(cells)} |"


def _methods(found: Measured, address: Address, who: str) -> str:
    having = [method for method in METHODS if found.may(address.pattern, who, method)]
    if "GET" in having and "HEAD" in having:
        having.remove("HEAD")
    return " ".join(having) or NOTHING


def _shown(pattern: str) -> str:
    plain = re.sub(r"\(\?P<\w+>[^)]*\)|<[^>]*>", "…", pattern.replace("/?$", "/"))
    return "/" + plain.replace("^", "").replace("$", "")


def written(found: Measured) -> dict[Path, str]:
    """What the files have to hold, by their paths."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    measured = f"{in_words(found)}\n## Every address\n\n{ADDRESSES}\n\n{by_address(found)}"
    return {PAGE: f"{before}{BEGIN}\n{measured}\n{END}{after}", PART: as_part(found)}


ADDRESSES = """Each address is asked with GET, HEAD, POST, PUT, PATCH and DELETE. A cell has the methods that get
something; `HEAD` goes with `GET`. “…” stands for what varies. Whoever has signed in and may not is told so (403). A
stranger is sent to the sign-in page; at the API and the webhook the answer is 401."""
