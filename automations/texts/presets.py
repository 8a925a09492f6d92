"""Destinations by a click: what each provider takes, ready but for the address and the secrets.

Written after the providers' own pages, as they were in November 2026:
Slack: https://docs.slack.dev/messaging/formatting-message-text/ (escapes; `verbatim` keeps Slack from making links and
mentions of plain words). Teams: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/
connectors-using (Workflows take Adaptive Cards alone, in `attachments`; 28 KB) and …/task-modules-and-cards/cards/
cards-format (the Markdown that cards know). Zendesk: https://developer.zendesk.com/api-reference/ticketing/introduction/
(a ticket's JSON, Idempotency-Key, the token after `/token:`). Freshdesk: https://developers.freshdesk.com/api/ (a
requester is needed, the description is HTML, the key is the user's name). HubSpot: https://developers.hubspot.com/docs/
api/crm/notes (hs_timestamp and hs_note_body) and …/crm-contacts-v3/batch/post-crm-v3-objects-contacts-batch-upsert.
Webhook: https://github.com/standard-webhooks/standard-webhooks (`type`, `timestamp`, `data`).
"""

from dataclasses import dataclass

JSON = (("Content-Type", "application/json"),)
WHO = "{{ customer.name | default: session.number | default: 'Unknown caller' }}"
AGENT = "{{ session.agent_name | default: session.agent_id }}"
TITLE = "{{ event.label }}: " + WHO


@dataclass(frozen=True)
class Preset:
    """What a click fills in. `secrets` are (name, what to paste); headers are (name, text with `secrets.name`)."""

    slug: str
    label: str
    address: str
    body: str
    fill_in: str
    method: str = "POST"
    escape: str = "none"  # a key of escapes.ESCAPES
    headers: tuple[tuple[str, str], ...] = JSON
    secrets: tuple[tuple[str, str], ...] = ()
    kept_pointer: str = ""  # where the answer has what is kept; empty: nothing is
    kept_label: str = ""
    kept_link: str = ""  # an address with `kept.value`
    address_is_secret: bool = False


SLACK = Preset(
    slug="slack",
    label="Slack",
    address="https://hooks.slack.com/services/…",
    address_is_secret=True,
    escape="slack",
    fill_in="Make an incoming webhook for a channel in Slack and paste its address: whoever has it can write there.",
    body="""\
{
  "text": "TITLE",
  "blocks": [
    {
      "type": "section",
      "text": {
        "type": "mrkdwn",
        "verbatim": true,
        "text": "*{{ event.label }}*: WHO\\n{% if session.id %}{{ tier.name | default: 'No tier' }}\
{% if session.channel_label %}, {{ session.channel_label }}{% endif %}{% if session.agent_id %}, AGENT{% endif %}\
{% if session.duration_minutes %}, {{ session.duration_minutes }} min{% endif %}{% endif %}\
{% if usage.metric %}{{ usage.used }} of {{ usage.amount }} {{ usage.metric }}{% endif %}\\n\
<{{ event.link }}|Open in Frontdesk>"
      }
    }
  ]
}
""".replace("TITLE", TITLE)
    .replace("WHO", WHO)
    .replace("AGENT", AGENT),
)

TEAMS = Preset(
    slug="teams",
    label="Microsoft Teams",
    address="https://….api.powerplatform.com/…",
    address_is_secret=True,
    escape="card",
    fill_in="In Teams, add the workflow “Send webhook alerts to a channel” and paste its address: whoever has it can "
    "write there.",
    body="""\
{
  "type": "message",
  "attachments": [
    {
      "contentType": "application/vnd.microsoft.card.adaptive",
      "contentUrl": null,
      "content": {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
          {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": "TITLE"},
          {
            "type": "FactSet",
            "facts": [
              {"title": "When", "value": "{{ event.at | date: '%H:%M, %-d %B' }}"},
              {"title": "Tier", "value": "{{ tier.name | default: '–' }}"},
              {"title": "Channel", "value": "{{ session.channel_label | default: '–' }}"},
              {"title": "Agent", "value": "{{ session.agent_name | default: session.agent_id | default: '–' }}"}
            ]
          }
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Open in Frontdesk", "url": "{{ event.link }}"}]
      }
    }
  ]
}
""".replace("TITLE", TITLE),
)

ZENDESK = Preset(
    slug="zendesk",
    label="Zendesk",
    address="https://YOUR-SUBDOMAIN.zendesk.com/api/v2/tickets.json",
    headers=(
        *JSON,
        ("Authorization", "Basic {{ secrets.email | append: '/token:' | append: secrets.api_token | base64_encode }}"),
    ),
    secrets=(("email", "The e-mail address of the agent who owns the token"), ("api_token", "An API token of Zendesk")),
    kept_pointer="/ticket/id",
    kept_label="Zendesk ticket",
    kept_link="https://YOUR-SUBDOMAIN.zendesk.com/agent/tickets/{{ kept.value }}",
    fill_in="Put your subdomain into both addresses, and give the e-mail address and API token of an agent.",
    body="""\
{
  "ticket": {
    "subject": "TITLE",
    "comment": {
      "body": "Caller: WHO\\nNumber: {{ session.number }}\\nE-mail: {{ customer.email }}\\nTier: {{ tier.name }}\\n\
Channel: {{ session.channel_label }}\\nAgent: AGENT\\nMinutes: {{ session.duration_minutes }}\\n\\n\
{{ event.link }}",
      "public": false
    },
    "external_id": "{{ session.id }}",
    "tags": ["frontdesk"]
  }
}
""".replace("TITLE", TITLE)
    .replace("WHO", WHO)
    .replace("AGENT", AGENT),
)

FRESHDESK = Preset(
    slug="freshdesk",
    label="Freshdesk",
    address="https://YOUR-DOMAIN.freshdesk.com/api/v2/tickets",
    headers=(*JSON, ("Authorization", "Basic {{ secrets.api_key | append: ':X' | base64_encode }}")),
    secrets=(("api_key", "Your API key, from your profile in Freshdesk"),),
    kept_pointer="/id",
    kept_label="Freshdesk ticket",
    kept_link="https://YOUR-DOMAIN.freshdesk.com/a/tickets/{{ kept.value }}",
    fill_in="Put your domain into both addresses, give your API key, and write an address of yours instead of "
    "calls@example.com: tickets of callers without an e-mail address are from there.",
    body="""\
{
  "subject": "TITLE",
  "description": "<p>Caller: {{ customer.name | default: 'unknown' | escape }}<br>Number: {{ session.number | escape }}\
<br>Tier: {{ tier.name | escape }}<br>Channel: {{ session.channel_label | escape }}<br>\
Agent: {{ session.agent_name | default: session.agent_id | escape }}<br>Minutes: {{ session.duration_minutes }}</p>\
<p><a href='{{ event.link | escape }}'>Open in Frontdesk</a></p>",
  "email": "{{ customer.email | default: 'calls@example.com' }}",
  "priority": 1,
  "status": 2,
  "tags": ["frontdesk"]
}
""".replace("TITLE", TITLE),
)

HUBSPOT_TOKEN = (("access_token", "The access token of a private app with the scope crm.objects.contacts.write"),)
HUBSPOT_HEADERS = (*JSON, ("Authorization", "Bearer {{ secrets.access_token }}"))

HUBSPOT_CONTACT = Preset(
    slug="hubspot-contact",
    label="HubSpot: update the contact",
    address="https://api.hubapi.com/crm/v3/objects/contacts/batch/upsert",
    headers=HUBSPOT_HEADERS,
    secrets=HUBSPOT_TOKEN,
    kept_pointer="/results/0/id",
    kept_label="HubSpot contact",
    kept_link="https://app.hubspot.com/contacts/YOUR-ACCOUNT/record/0-1/{{ kept.value }}",
    fill_in="Give the token and your account's number. The contact is found by e-mail address, and made where there is "
    "none: let the rule fire for customers who have one. Add properties of yours.",
    body="""\
{
  "inputs": [
    {
      "idProperty": "email",
      "id": "{{ customer.email }}",
      "properties": {"email": "{{ customer.email }}", "phone": "{{ customer.number | default: session.number }}"}
    }
  ]
}
""",
)

HUBSPOT_NOTE = Preset(
    slug="hubspot-note",
    label="HubSpot: a note on the contact",
    address="https://api.hubapi.com/crm/v3/objects/notes",
    headers=HUBSPOT_HEADERS,
    secrets=HUBSPOT_TOKEN,
    kept_pointer="/id",
    kept_label="HubSpot note",
    fill_in="Give the token. The customer's external id must be the number of the contact in HubSpot.",
    # 202 is HubSpot's own type "note to contact".
    body="""\
{
  "properties": {
    "hs_timestamp": "{{ event.at | utc }}",
    "hs_note_body": "{{ event.label | escape }}: {{ session.channel_label | escape }} with \
{{ session.agent_name | default: session.agent_id | escape }}, {{ session.duration_minutes | default: 0 }} minutes.<br>\
{{ event.link | escape }}"
  },
  "associations": [
    {
      "to": {"id": "{{ customer.external_id }}"},
      "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]
    }
  ]
}
""",
)

WEBHOOK = Preset(
    slug="webhook",
    label="Signed webhook",
    address="https://example.com/hooks/frontdesk",
    fill_in="Give the address. Your program checks the signature with the secret that this page shows once.",
    body="""\
{
  "type": "{{ event.trigger }}",
  "timestamp": "{{ event.at | utc }}",
  "data": {
    "rule": "{{ rule.name }}",
    "session": {
      "id": "{{ session.id }}",
      "channel": "{{ session.channel }}",
      "agent_id": "{{ session.agent_id }}",
      "number": "{{ session.number }}",
      "started_at": "{{ session.started_at }}",
      "ended_at": "{{ session.ended_at }}",
      "duration_seconds": "{{ session.duration_seconds }}",
      "state": "{{ session.state }}",
      "is_test": "{{ session.is_test }}",
      "link": "{{ session.link }}"
    },
    "customer": {
      "name": "{{ customer.name }}",
      "external_id": "{{ customer.external_id }}",
      "tier": "{{ tier.slug }}",
      "link": "{{ customer.link }}"
    },
    "decision": {"allowed": "{{ decision.allowed }}", "reason": "{{ decision.reason }}"},
    "usage": {
      "metric": "{{ usage.metric }}",
      "period": "{{ usage.period }}",
      "used": "{{ usage.used }}",
      "amount": "{{ usage.amount }}",
      "percent": "{{ usage.percent }}"
    }
  }
}
""",
)

PRESETS: dict[str, Preset] = {
    preset.slug: preset for preset in (SLACK, TEAMS, ZENDESK, FRESHDESK, HUBSPOT_CONTACT, HUBSPOT_NOTE, WEBHOOK)
}


def check_preset(kind: str, slug: str) -> dict[str, list[str]]:
    """What keeps a destination's preset from being stored: the other kinds have one each, which needs no name."""
    if not slug or (kind == "http" and slug in PRESETS):
        return {}
    return {"preset": ["There is no such preset of HTTP requests. Leave it out."]}
