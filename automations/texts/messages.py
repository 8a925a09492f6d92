"""The texts of mails as they are offered, and LiveTok's WhatsApp template request."""

import json
import re
from collections.abc import Mapping, Sequence

from automations.texts.lines import check_line, fill_line
from automations.texts.liquid import TextError

WHATSAPP_PATH = "/messages/templates"
MOST_PARAMETERS = 20
DEFAULT_PARAMETER = '{{ customer.name | default: "there" }}'
EMPTY_PARAMETER = f"is empty, which WhatsApp refuses. Write what stands in its place, such as {DEFAULT_PARAMETER}."
_E164 = re.compile(r"\+[0-9]{7,15}")
_SPELLING = re.compile(r"[\s().\-/]+")
_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")

DEFAULT_SUBJECT = "{{ event.label }}: {{ customer.name | default: session.number | default: 'unknown caller' }}"
DEFAULT_MAIL = """\
{{ event.label }} at {{ event.at | date: '%H:%M on %-d %B %Y' }}.

{% if session.id -%}
Caller:   {{ customer.name | default: 'unknown' }} {{ session.number }}
Tier:     {{ tier.name | default: 'none' }}
Channel:  {{ session.channel_label }}
Agent:    {{ session.agent_name | default: session.agent_id }}
{% if session.duration_minutes -%}
Duration: {{ session.duration_minutes }} minutes
{% endif -%}
{% if decision.allowed == false -%}
Denied:   {{ decision.message }}
{% endif -%}
{% endif -%}
{% if usage.metric -%}
Customer: {{ customer.name }}
Used:     {{ usage.used }} of {{ usage.amount }} {{ usage.metric }} ({{ usage.percent }} %)
Anew:     {{ usage.resets_at | date: '%H:%M on %-d %B %Y' }}
{% endif -%}

{{ event.link }}

Sent by the rule “{{ rule.name }}”.
"""


def check_whatsapp(to: str, template_name: str, template_language: str, parameters: Sequence[str]) -> list[str]:
    """What keeps such a message from being saved. `to` and the parameters may have placeholders."""
    problems = [f"To: {problem}" for problem in check_line(to)]
    if not _TEMPLATE_NAME.fullmatch(template_name):
        problems.append("Template: the name as WhatsApp has it, small letters, digits and underscores.")
    if not _LANGUAGE.fullmatch(template_language):
        problems.append("Language: such as en_US.")
    if len(parameters) > MOST_PARAMETERS:
        problems.append(f"At most {MOST_PARAMETERS} parameters.")
    for position, text in enumerate(parameters, start=1):
        problems += [f"Parameter {position}: {problem}" for problem in check_line(text)]
    return problems


def whatsapp_body(
    to: str, template_name: str, template_language: str, parameters: Sequence[str], data: Mapping[str, object]
) -> bytes:
    """The body of LiveTok's `POST /messages/templates`, from its page on the API.

    Parameters are one line each, as WhatsApp takes no line breaks in them. Raises TextError where `to` gives no number
    in E.164 or a parameter is empty, which WhatsApp refuses.
    """
    problems = check_whatsapp(to, template_name, template_language, parameters)
    number = _SPELLING.sub("", fill_line(to, data)) if not problems else ""
    if not problems and not _E164.fullmatch(number):
        is_known = bool(number)
        told = f"“{number[:40]}” is no number such as +442079460958." if is_known else "There is no number to write to."
        problems.append(f"To: {told}")
    texts = [re.sub(r" {2,}", " ", fill_line(text, data)) for text in parameters] if not problems else []
    problems += [f"Parameter {position} {EMPTY_PARAMETER}" for position, text in enumerate(texts, start=1) if not text]
    if problems:
        raise TextError(problems)
    body: dict[str, object] = {"to": number, "template_name": template_name, "template_language": template_language}
    if texts:
        body["template_parameters"] = [{"type": "text", "text": text} for text in texts]
    return json.dumps(body, ensure_ascii=False).encode()
