"""Presets, mails and WhatsApp messages as they are offered: sound, and safe with whatever a caller is called."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations.texts.bodies import check_json_body, fill_json_body
from automations.texts.escapes import ESCAPES
from automations.texts.lines import check_address, check_header, check_line, fill_address, fill_header, fill_line
from automations.texts.liquid import TextError, check, fill
from automations.texts.messages import DEFAULT_MAIL, DEFAULT_SUBJECT, check_whatsapp, whatsapp_body
from automations.texts.names import NAMES, Kind, data_of, sample_data
from automations.texts.pointers import check_pointer, value_at
from automations.texts.presets import FRESHDESK, HUBSPOT_NOTE, PRESETS, SLACK, TEAMS, ZENDESK, Preset

pytestmark = pytest.mark.pure

ALL = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
HOSTILE = "<!channel> <@U1> [x](http://evil.example) </p><script>\"'}],\r\n{{ x }} {% x %} \u2028*_`~|\\ &lt; .."


def data_named(name: str) -> dict[str, object]:
    """The sample, with every text that comes from a caller, a CRM or LiveTok replaced."""
    values = {key: entry.sample for key, entry in NAMES.items()}
    texts = {key: name for key, entry in NAMES.items() if entry.kind is Kind.TEXT and not key.startswith("event.")}
    return data_of({**values, **texts}, UTC)


def without_values() -> dict[str, object]:
    """What a usage alert or a silent webhook has: hardly anything."""
    return data_of({key: NAMES[key].sample for key in NAMES if key.startswith(("event.", "rule."))}, UTC)


def filled(preset: Preset, data: dict[str, object]) -> object:
    return json.loads(fill_json_body(preset.body, data, ESCAPES[preset.escape]))


def strings_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)


@ALL
def test_a_preset_can_be_saved_as_it_is(preset: Preset) -> None:
    secrets = [name for name, _ in preset.secrets]
    assert check_json_body(preset.body) == []
    for name, text in preset.headers:
        assert check_header(name, text, secrets) == []
    if "…" not in preset.address:
        assert check_address(preset.address) == []
    assert check_pointer(preset.kept_pointer) == []
    assert not preset.kept_link or check_address(preset.kept_link) == []
    assert preset.escape in ESCAPES
    assert preset.fill_in.endswith(".")


@ALL
@pytest.mark.parametrize(
    "data", [sample_data(), without_values(), data_named(HOSTILE)], ids=["sample", "none", "hostile"]
)
def test_a_preset_is_filled_whatever_the_data(preset: Preset, data: dict[str, object]) -> None:
    body = fill_json_body(preset.body, data, ESCAPES[preset.escape])
    assert len(body) < 28 * 1024
    assert json.loads(body)
    for _, text in preset.headers:
        header = fill_header(text, data, {name: "s3cret" for name, _ in preset.secrets})
        assert header.isascii()
        assert "\n" not in header


@ALL
def test_a_secret_is_used_by_the_headers_and_never_by_the_body(preset: Preset) -> None:
    headers = " ".join(text for _, text in preset.headers)
    for name, _ in preset.secrets:
        assert f"secrets.{name}" in headers
        with pytest.raises(TextError):
            fill_json_body(f'"{{{{ secrets.{name} }}}}"', {**sample_data(), "secrets": {name: "s3cret"}})


@given(st.text() | st.just(HOSTILE))
def test_nobody_is_called_and_nothing_linked_by_a_callers_name_in_slack(name: str) -> None:
    body = filled(SLACK, data_named(name))
    shown = str(value_at(body, "/blocks/0/text/text"))
    assert "<" not in str(value_at(body, "/text"))
    assert shown.count("<") == 1
    assert f"<{NAMES['event.link'].sample}|Open in Frontdesk>" in shown


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tier.name": "Gold", "session.channel_label": "Telephone", "session.agent_id": "4"}, "Gold, Telephone, 4"),
        ({"tier.name": "Gold", "session.agent_id": "4", "session.agent_name": "Ada"}, "Gold, Ada"),
        ({"session.duration_minutes": 2.5}, "No tier, 2.5 min"),
    ],
)
def test_slack_says_what_there_is_and_leaves_no_comma_for_what_there_is_not(values, said) -> None:
    link = {"event.link": NAMES["event.link"].sample, "session.id": "a"}
    body = filled(SLACK, data_of({**link, **values}, UTC))

    assert str(value_at(body, "/blocks/0/text/text")).split("\n")[1] == said


def test_slack_makes_no_links_or_mentions_of_plain_words() -> None:
    assert value_at(filled(SLACK, sample_data()), "/blocks/0/text/verbatim") is True


@given(st.text() | st.just(HOSTILE))
def test_nothing_is_linked_by_a_callers_name_in_teams(name: str) -> None:
    card = value_at(filled(TEAMS, data_named(name)), "/attachments/0/content")
    for text in strings_of(value_at(card, "/body")):
        for mark in "[<`*@":
            assert text.count(mark) == text.count("\\" + mark)
    assert value_at(card, "/actions/0/url") == NAMES["event.link"].sample


@pytest.mark.parametrize(
    "preset, pointer",
    [(FRESHDESK, "/description"), (HUBSPOT_NOTE, "/properties/hs_note_body")],
    ids=["freshdesk", "note"],
)
def test_html_of_a_callers_name_is_text_where_the_provider_takes_html(preset: Preset, pointer: str) -> None:
    calm, hostile = (
        str(value_at(filled(preset, data_named(name)), pointer)) for name in ("Ada", "<script>\"'<a href=x>")
    )
    assert hostile.count("<") == calm.count("<")


@pytest.mark.parametrize(
    "preset, secrets, decoded",
    [
        (ZENDESK, {"email": "ada@example.com", "api_token": "t0ken"}, "ada@example.com/token:t0ken"),
        (FRESHDESK, {"api_key": "k3y"}, "k3y:X"),
    ],
    ids=["zendesk", "freshdesk"],
)
def test_basic_authentication_is_as_the_provider_wants_it(
    preset: Preset, secrets: dict[str, str], decoded: str
) -> None:
    value = fill_header(dict(preset.headers)["Authorization"], sample_data(), secrets)
    assert base64.b64decode(value.removeprefix("Basic ")).decode() == decoded


@pytest.mark.parametrize(
    "preset, answer, kept, link",
    [
        (ZENDESK, {"ticket": {"id": 35436}}, 35436, "https://YOUR-SUBDOMAIN.zendesk.com/agent/tickets/35436"),
        (FRESHDESK, {"id": 7}, 7, "https://YOUR-DOMAIN.freshdesk.com/a/tickets/7"),
        (ZENDESK, {"ticket": {"id": "../x"}}, "../x", "https://YOUR-SUBDOMAIN.zendesk.com/agent/tickets/..%2Fx"),
    ],
)
def test_the_link_of_a_ticket_is_made_of_the_answer(preset: Preset, answer: object, kept: object, link: str) -> None:
    assert value_at(answer, preset.kept_pointer) == kept
    assert fill_address(preset.kept_link, {**sample_data(), "kept": {"value": kept}}) == link


def test_the_mail_as_it_is_offered_can_be_saved_and_tells_the_sample() -> None:
    assert check_line(DEFAULT_SUBJECT) == []
    assert check(DEFAULT_MAIL) == []
    assert fill_line(DEFAULT_SUBJECT, sample_data()) == "A session ended: Ada Lovelace"
    mail = fill(DEFAULT_MAIL, sample_data())
    assert mail.startswith("A session ended at 13:07 on 28 November 2026.\n\nCaller:   Ada Lovelace +442079460958\n")
    assert "\n\n\n" not in mail


def test_the_mail_as_it_is_offered_leaves_out_what_there_is_not() -> None:
    mail = fill(DEFAULT_MAIL, without_values())
    assert "Caller" not in mail
    assert "Used" not in mail
    assert "\n\n\n" not in mail


@given(st.text())
def test_a_subject_is_one_line_whoever_calls(name: str) -> None:
    assert len(fill_line(DEFAULT_SUBJECT, data_named(name)).splitlines()) == 1


def test_a_whatsapp_message_is_as_livetok_documents_it() -> None:
    body = whatsapp_body("{{ session.number }}", "after_call", "en_US", ["{{ customer.name }}", "x"], sample_data())
    assert json.loads(body) == {
        "to": "+442079460958",
        "template_name": "after_call",
        "template_language": "en_US",
        "template_parameters": [{"type": "text", "text": "Ada Lovelace"}, {"type": "text", "text": "x"}],
    }
    assert "template_parameters" not in json.loads(
        whatsapp_body("{{ customer.number }}", "after_call", "en", [], sample_data())
    )


@pytest.mark.parametrize(
    "to, name, language, parameters, problem",
    [
        ("{{ session.numbr }}", "after_call", "en_US", [], "To: "),
        ("{{ session.number }}", "After call", "en_US", [], "Template"),
        ("{{ session.number }}", "after_call", "english please", [], "Language"),
        ("{{ session.number }}", "after_call", "en_US", ["{{ x }}"], "Parameter 1"),
        ("{{ session.number }}", "after_call", "en_US", ["a\nb"], "Parameter 1"),
        ("{{ session.number }}", "after_call", "en_US", ["a"] * 21, "At most 20"),
    ],
)
def test_a_whatsapp_message_with_a_fault_is_refused_on_saving(
    to: str, name: str, language: str, parameters: list[str], problem: str
) -> None:
    assert problem in check_whatsapp(to, name, language, parameters)[0]
    with pytest.raises(TextError):
        whatsapp_body(to, name, language, parameters, sample_data())


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"session.number": None}, "To: There is no number to write to."),
        ({"session.number": "sip:ada@example.com"}, "is no number"),
        (
            {"customer.name": " \n"},
            'which WhatsApp refuses. Write what stands in its place, such as {{ customer.name | default: "there" }}.',
        ),
    ],
)
def test_a_whatsapp_message_without_a_number_or_a_parameter_is_not_sent(
    changes: dict[str, object], problem: str
) -> None:
    data = data_of({"session.number": "+1234567890", "customer.name": "Ada", **changes}, UTC)
    with pytest.raises(TextError) as caught:
        whatsapp_body("{{ session.number }}", "after_call", "en_US", ["{{ customer.name }}"], data)
    assert problem in caught.value.problems[0]
