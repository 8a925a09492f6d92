"""A real scrape: what the dashboard and the alert rules name is there, of all processes, and nothing grows."""

import json
import os
import re
import signal
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.processes import open_files, web_processes
from tests.builders import begin_body, end_body
from tests.live import ROOT, LiveServer, start_server, wait_until_ready

pytestmark = pytest.mark.serial

PATIENCE_SECONDS = 30
BEGUN = ("frontdesk_webhook_requests_total", (("kind", "begin"), ("verdict", "accepted")))
# A selector of PromQL, and what it is grouped by.
SELECTOR = re.compile(r"\b(frontdesk_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby\s*\(([^)]*)\)")


class Scrape:
    """Prometheus at one server, with a key of its own."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.key = server.manage("create_api_key", "--name", "Prometheus", "--scope", "read").strip()

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        request = urllib.request.Request(f"{self.server.url}/metrics", headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            families = text_string_to_metric_families(response.read().decode())
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in families:
            for sample in family.samples:
                name = sample.name, tuple(sorted(sample.labels.items()))
                assert name not in found, f"{name} is told twice"
                found[name] = sample.value
        return found


@pytest.fixture(scope="module")
def scrape(live_server_process: LiveServer) -> Scrape:
    return Scrape(live_server_process)


def send(server: LiveServer, body: dict) -> None:
    headers = {"X-API-Key": server.webhook_key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/webhooks/livetok", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        assert response.status == 200


def counting(server: LiveServer) -> set[int]:
    """The web processes that have taken a place, which is before they answer anything."""
    with suppress(OSError):  # one ends just now
        files = {pid: open_files(pid) for pid in web_processes(server.process.pid)}
        return {pid for pid in files if any("/metrics/place-" in file for file in files[pid])}
    return set()


def expressions() -> list[str]:
    alerts = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text())
    board = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    of_alerts = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    of_panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(of_alerts) >= 10
    assert len(of_panels) >= 15
    return of_alerts + of_panels


def test_each_metric_and_label_of_dashboard_and_alerts_is_in_a_real_scrape(scrape):
    server = scrape.server
    send(server, begin_body(sessionId="1"))
    send(server, end_body(sessionId="1"))
    samples = scrape.samples()
    known: dict[str, dict[str, set[str]]] = {}
    for name, labels in samples:
        of_name = known.setdefault(name, {})
        for label, value in labels:
            of_name.setdefault(label, set()).add(value)
    wrong = []
    for expression in expressions():
        grouped = {label.strip() for labels in GROUPED.findall(expression) for label in labels.split(",")}
        for name, matchers in SELECTOR.findall(expression):
            if name.startswith("frontdesk_replica_"):  # tests/test_replica.py has one
                continue
            wrong += [f"{name} is not there"] if name not in known else []
            asked = {label: value for label, _, value in MATCHER.findall(matchers)}
            there = known.get(name, {})
            wrong += [f"{name} has no label {label}" for label in (set(asked) | grouped) - there.keys()]
            values = [(label, one) for label, value in asked.items() for one in value.split("|")]
            wrong += [f"{name} has no {label} {one}" for label, one in values if one not in there.get(label, set())]

    assert wrong == []
    assert any("frontdesk_" in expression for expression in expressions())


def test_every_metric_is_explained(scrape):
    explained = (ROOT / "docs/watching.md").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in scrape.samples()}

    assert {name for name in names if f"| `{name}" not in explained} == set()


@pytest.mark.only("sqlite")
def test_processes_are_told_together_a_new_one_goes_on_where_one_died_and_a_new_start_begins_at_zero(scrape):
    server = scrape.server
    folder = Path(server.env["DATA_DIR"]) / "metrics"
    before = scrape.samples()[BEGUN]
    for number in range(8):
        send(server, begin_body(sessionId=f"first-{number}"))
    assert [scrape.samples()[BEGUN] - before for _ in range(4)] == [8.0] * 4

    files = sorted(path.name for path in folder.iterdir())
    killed, *_ = web_processes(server.process.pid)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(counting(server) - {killed}) == 2)
    for number in range(8):
        send(server, begin_body(sessionId=f"second-{number}"))
    assert scrape.samples()[BEGUN] - before == 16.0
    assert sorted(path.name for path in folder.iterdir()) == files
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.iterdir()]} == {0}

    server.stop()
    again = start_server(server.env, server.webhook_key)
    try:
        wait_until_ready(again)
        scrape.server = again
        assert scrape.samples()[BEGUN] == 0.0
    finally:
        again.stop()


def wait_until(holds) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
