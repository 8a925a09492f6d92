"""Channels and agents that make themselves on first sight, and agents' newest names."""

from customers.models import Agent, Channel
from customers.models.channels import new_channel


def see_channel(slug: str | None) -> Channel | None:
    """The channel as staff have it now, made where this is its first sight."""
    if slug is None:
        return None
    channel = Channel.objects.filter(pk=slug).first()
    if channel is None:
        fresh = new_channel(slug)
        channel, _ = Channel.objects.get_or_create(
            slug=slug,
            defaults={
                "counts_toward_call_minutes": fresh.counts_toward_call_minutes,
                "longest_session_minutes": fresh.longest_session_minutes,
            },
        )
    return channel


def see_agent(livetok_id: str | None, name: str = "") -> Agent | None:
    """The agent, made where this is its first sight. A name that differs replaces the stored one."""
    if livetok_id is None:
        return None
    agent = Agent.objects.filter(pk=livetok_id).first()
    if agent is None:
        agent, _ = Agent.objects.get_or_create(livetok_id=livetok_id, defaults={"name": name})
    elif name and agent.name != name:
        Agent.objects.filter(pk=livetok_id).update(name=name)
        agent.name = name
    return agent
