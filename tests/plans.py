"""How a database goes about a page's statements: none of them may go through all sessions or all requests."""

import json
from collections.abc import Iterator
from typing import Any

from django.db import connection

from sessions_app.models import Session, WebhookEvent

LARGE = {Session._meta.db_table, WebhookEvent._meta.db_table}


def scans(statements: list[str]) -> list[str]:
    """Those of the statements that would go through a large table, with what the database says of it.

    Going along an index is none where the statement takes no more than a number of rows.
    """
    asked = [sql for sql in statements if sql.startswith(("SELECT", "WITH")) and any(table in sql for table in LARGE)]
    found = _of_postgresql if connection.vendor == "postgresql" else _of_sqlite
    return [f"{step}: {sql[:300]}" for sql in asked for step in found(sql)]


def _of_sqlite(sql: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        for *_, step in cursor.fetchall():
            words = step.split()
            if words[0] == "SCAN" and words[1] in LARGE and not ("INDEX" in words and "LIMIT" in sql):
                yield step


def _of_postgresql(sql: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        # A table of a test is so small that it would be read whole, whatever indexes it has.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        ((plans,),) = cursor.fetchall()
        cursor.execute("SET LOCAL enable_seqscan = on")
    plans = json.loads(plans) if isinstance(plans, str) else plans
    yield from _within(plans[0]["Plan"], is_limited=False)


def _within(node: dict[str, Any], *, is_limited: bool) -> Iterator[str]:
    kind = node["Node Type"]
    if node.get("Relation Name") in LARGE:
        if kind == "Seq Scan":
            yield f"{kind} on {node['Relation Name']}"
        elif kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in node and not is_limited:
            yield f"all of {node['Index Name']}"
    for child in node.get("Plans", ()):
        yield from _within(child, is_limited=is_limited or kind == "Limit")
