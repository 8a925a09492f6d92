"""When each agent's last event came."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Q

from customers.models import Agent
from sessions_app.models import Session
from sessions_app.reports.frame.figures import agent_address

MOST_SESSIONS_FOR_AGENTS = 50_000


@dataclass(frozen=True)
class AgentLine:
    agent: Agent
    last: datetime | None
    address: str


def agent_lines() -> list[AgentLine]:
    """When each agent's last event came, as far as the newest sessions tell; the one silent longest comes last."""
    last = last_events(Q(agent__isnull=False))
    lines = [AgentLine(agent, last.get(agent.pk), agent_address(agent.pk)) for agent in Agent.objects.all()]
    return sorted(lines, key=lambda line: -(line.last.timestamp() if line.last else 0.0))


def last_events(of_agents: Q) -> dict[str, datetime]:
    """By agent, of those that have one among the newest sessions."""
    newest = Session.objects.order_by("-started_at", "-pk").values_list("started_at", flat=True)
    oldest = next(iter(newest[MOST_SESSIONS_FOR_AGENTS : MOST_SESSIONS_FOR_AGENTS + 1]), None)
    found = Session.objects.filter(of_agents)
    if oldest is not None:
        found = found.filter(started_at__gt=oldest)
    rows = found.order_by().values_list("agent").annotate(begun=Max("begin_received_at"), ended=Max("end_received_at"))
    return {agent: max(moment for moment in moments if moment) for agent, *moments in rows}
