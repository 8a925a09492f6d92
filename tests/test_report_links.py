"""Every figure of every report page leads to just the sessions, requests or customers that it counts."""

import csv
import logging
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
import time_machine
from django.db.models import Count
from django.http import QueryDict

from customers.models import Customer, TierLimit
from sessions_app.demo.making import Plan, make_demo
from sessions_app.models import RefusedRequests, Session
from sessions_app.reports.list.filters import SessionFilters
from sessions_app.reports.list.totals import total_of
from sessions_app.sums.keeping import keep_sums
from tests.builders import moment
from tests.staff import report_page, staff

NOW = moment("2026-03-15T10:30:00+00:00")
LIST = "/reports/sessions/?"
NUMBER = re.compile(r"−?[\d,]+(\.\d+)?")
# Columns and tiles that say something of their line, or are worked out from a figure beside them.
TELLS_OF_ITS_LINE = {
    "#", "Share", "Share (%)", "Share of denied", "Cumulative", "Amount", "Left", "Duration", "Open for", "Limit",
    "Included", "Sum", "Waiting on disk", "Share used",
}  # fmt: skip
# Whose value is no count: these lead to what they are worked out from.
NO_COUNTS = {
    "Allow rate", "Median (p50)", "p95", "Longest", "Redelivered", "Answered in (p95)", "End lag (median)",
    "Clock skew (median)", "Used today", "Used this month", "Over",
    "Last begin", "Last end",
}  # fmt: skip


@dataclass
class Shown:
    """A figure as a reader sees it: the label above it, its text, and where it leads."""

    label: str
    text: str = ""
    address: str = ""
    aside: str = ""


VOID = {"rect", "line", "link", "input", "br", "meta", "img"}


class FigureReader(HTMLParser):
    """Collects tiles, and those cells of tables that hold figures, with their column's head."""

    def __init__(self):
        super().__init__()
        self.found, self.heads, self.column, self.label = [], [], 0, ""
        self.head = self.shown = None  # being read
        self.hidden, self.in_label = 0, False

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        classes = (values.get("class") or "").split()
        if self.hidden or {"quiet", "what"} & set(classes) or tag in ("details", "svg", "caption", "title"):
            self.hidden += tag not in VOID
        elif tag == "thead":
            self.heads = []
        elif tag == "tr":
            self.column = 0
        elif tag in ("th", "td"):
            if values.get("scope") == "col":
                self.head = ""
            elif {"number", "with-bar"} & set(classes) or any(name.startswith("heat-") for name in classes):
                self.shown = Shown(self.heads[self.column])
            self.column += 1
        elif tag == "dt":
            self.label, self.in_label = "", True
        elif tag == "dd" and "value" in classes:
            self.shown = Shown(self.label.strip())
        elif tag == "a" and self.shown is not None:
            self.shown.address = values["href"]

    def handle_endtag(self, tag):
        if self.hidden:
            self.hidden -= 1
        elif tag == "th" and self.head is not None:
            self.heads.append(self.head.strip())
            self.head = None
        elif tag == "dt":
            self.in_label = False
        elif tag in ("td", "dd") and self.shown is not None:
            self.shown.text = " ".join(self.shown.text.split())
            self.found.append(self.shown)
            self.shown = None

    def handle_data(self, data):
        if self.hidden:
            if self.shown is not None:
                self.shown.aside += data
        elif self.head is not None:
            self.head += data
        elif self.in_label:
            self.label += data
        elif self.shown is not None:
            self.shown.text += data


def figures_of(client, path):
    reader = FigureReader()
    reader.feed(report_page(client, path, NOW).content.decode())
    return [shown for shown in reader.found if shown.text not in ("", "–", "·")]


@pytest.fixture
def client(db, settings, caplog):
    """Somebody who may see everything, before eight days of a demo of which all but the last hours are summed."""
    settings.TIME_ZONE = "Europe/Madrid"
    caplog.set_level(logging.WARNING, "frontdesk.webhook")
    administrator = staff("administrators")
    make_demo(Plan(3, 8, 25, NOW), lambda share, sessions: None)
    TierLimit.objects.filter(metric="call_minutes", period="day").update(amount=4)
    RefusedRequests.objects.create(hour=moment("2026-03-15T09:00Z"), count=3, last_at=moment("2026-03-15T09:10Z"))
    with time_machine.travel(NOW, tick=False):
        keep_sums()
    return administrator


def pages():
    """Every page with figures; of customers those with the most sessions, a nameless and an idle one."""
    by_sessions = Customer.objects.annotate(count=Count("sessions")).order_by("-count", "pk")
    chosen = [*by_sessions[:2], by_sessions.filter(name="").first(), by_sessions.last()]
    return [
        *("/admin/", "?period=today&test=on", "live/", "live/?short=on", "customers/"),
        *("customers/top/?period=7d", "customers/candidates/", "customers/unknown/?period=30d&test=on"),
        *(f"customers/{customer.pk}/" for customer in chosen),
        *("statements/?month=2026-03", f"statements/{by_sessions[0].pk}/2026-03/", "webhook/?test=on"),
    ]


class Behind:
    """What stands behind the addresses that figures lead to."""

    def __init__(self, client):
        self.client, self.known = client, {}

    def sessions(self, address):
        """What the list says of itself, and how many days of a customer's at a limit it is of."""
        if address not in self.known:
            filters = SessionFilters(QueryDict(address.removeprefix(LIST)), NOW)
            with time_machine.travel(NOW, tick=False):
                assert filters.is_valid(), (address, filters.errors)
                total = total_of(filters, filters.sessions())
                days = len(filters.periods_at_limit) if filters.cleaned_data["at_limit"] else None
            self.known[address] = total, days
        return self.known[address]

    def rows(self, address):
        """How many lines another list has."""
        with time_machine.travel(NOW, tick=False):
            context = self.client.get(address.partition("#")[0]).context
        if "cl" in context:
            if context["cl"].model is RefusedRequests:
                return sum(row.count for row in context["cl"].queryset)
            return context["cl"].result_count
        return context["total"] if "candidates" in address else context.get("count", len(context["lines"]))


def differs(path, shown, behind):
    """What is wrong with a figure; blank where it leads to what it counts."""
    if not shown.address:
        return "" if shown.text == "0" or shown.label in TELLS_OF_ITS_LINE else "leads nowhere"
    if shown.label in NO_COUNTS or "weekday=" in shown.address:
        return "" if not shown.address.startswith(LIST) or behind.sessions(shown.address) else "leads nowhere"
    number = float(NUMBER.match(shown.text)[0].replace(",", ""))
    if not shown.address.startswith(LIST):
        found = behind.rows(shown.address)
        return "" if found == number else f"leads to {found}"
    total, days = behind.sessions(shown.address)
    if days is not None:
        return "" if days == number else f"leads to {days} days"
    if shown.label == "Unique callers":
        return "" if total.callers == number else f"leads to {total.callers} callers"
    if "." not in shown.text and "inutes" not in shown.label:
        return "" if total.sessions == number else f"leads to {total.sessions} sessions"
    minutes, off = total.seconds / 60, 0.5 * 10 ** -len(shown.text.partition(".")[2]) + 1e-9
    if held := re.match(r"([\d.]+) of it held", shown.aside.strip()):
        number, off = number - float(held[1]), off + 0.1
    off *= 2 if shown.label == "Used" else 1  # of a limit: rounded up
    # A statement rounds each session up, to the minute at most.
    most = minutes + (total.sessions if "statements" in path else 0)
    return "" if minutes - off <= number <= most + off else f"leads to {minutes} minutes"


def test_every_figure_leads_to_what_it_counts(client):
    behind = Behind(client)

    wrong = [
        (path, shown.label, shown.text, found, shown.address)
        for path in pages()
        for shown in figures_of(client, path)
        if (found := differs(path, shown, behind))
    ]

    assert wrong == []
    assert Session.objects.count() > 150
    assert len(behind.known) > 150


# Whose texts may be digits alone, or begin with one.
TEXT_COLUMNS = {
    "Number", "Caller", "Customer", "Line", "Limit", "Fullest limit today", "Fullest limit this month", "Month",
    "Billed with", "LiveTok's customer id", "Session",
}  # fmt: skip
PLAIN = re.compile(r"-?\d+(\.\d+)?")
DAY_OR_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d([+-]\d\d:\d\d)?)?")
NUMBER_AS_TEXT = re.compile(r"'?[−+-]?\d.*")


def test_files_have_numbers_and_no_texts_of_them(client):
    files = {}
    for path in pages():
        if "format=csv" in report_page(client, path, NOW).content.decode():
            answer = report_page(client, f"{path}{'&' if '?' in path else '?'}format=csv", NOW)
            files[path] = list(csv.DictReader(answer.getvalue().decode("utf-8-sig").splitlines()))
    texts = [
        (path, column, cell)
        for path, rows in files.items()
        for row in rows
        for column, cell in row.items()
        if column not in TEXT_COLUMNS and NUMBER_AS_TEXT.fullmatch(cell)
        if not PLAIN.fullmatch(cell) and not DAY_OR_MOMENT.fullmatch(cell)
    ]

    assert texts == []
    kinds = {path.partition("?")[0].partition("/")[0] for path, rows in files.items() if rows}
    assert kinds >= {"", "live", "customers", "statements", "webhook"}
    figures = {(row["Line"], row["Figure"]): row["Value"] for row in files["?period=today&test=on"]}
    assert 0 < float(figures["Allow rate", "Value (%)"]) <= 100
    assert float(figures["Sessions", "Value"]) > 10
