"""What would be decided of a customer's session now: the same words on the report page and in the admin."""

import json

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string

from customers.models import Customer
from sessions_app.reports.outlook import NOT_FOUND
from sessions_app.usage.outlook import outlooks_of, ready_for_outlook, setting_at
from sessions_app.usage.standing import standings
from sessions_app.webhook.preview import preview
from tests.builders import (
    LiveTok,
    begin_body,
    limit,
    make_channel,
    make_customer,
    make_override,
    make_tier,
    moment,
    set_policy,
    the_session,
)
from tests.staff import report_page, staff, text_of

# A Friday; the customer's zone is the company's.
NOW = moment("2024-03-15T10:30:00+00:00")


def outlook(customer: Customer) -> list[str]:
    return import_string(settings.CUSTOMER_OUTLOOK)([customer.pk], NOW)[customer.pk]


def use(livetok: LiveTok, *, day: str = "2024-03-14", minutes: float, **changes) -> None:
    at = f"{day}T08:00:00Z"
    livetok.begin(sessionId=f"{day} {minutes}", timestamp=at, **changes)
    livetok.end(sessionId=f"{day} {minutes}", timestamp=f"{day}T22:00:00Z", duration=round(minutes * 60), **changes)


RESETS = {"day": "Sat 16 Mar, 00:00", "week": "Mon 18 Mar, 00:00", "month": "Mon 1 Apr, 00:00"}


@pytest.mark.parametrize(
    ("limits", "fields", "policy", "words"),
    [
        ([], {}, {}, ["Would be let in"]),
        (
            [limit("call_minutes", 130, "month"), limit("call_minutes", 900, "week")],
            {},
            {},
            [f"Would be let in: 6.1 of 130 call minutes left this month; starts afresh {RESETS['month']}"],
        ),
        (
            [limit("call_minutes", 120, "month"), limit("call_minutes", 60)],
            {},
            {},
            [f"Would be denied: 123.9 of 120 call minutes used this month; starts afresh {RESETS['month']}"],
        ),
        (
            [limit("call_minutes", 123, "week")],
            {},
            {},
            [f"Would be denied: 123.9 of 123 call minutes used this week; starts afresh {RESETS['week']}"],
        ),
        (
            [limit("sessions", 1, "week")],
            {"time_zone": "America/New_York"},
            {},
            [f"Would be denied: 1 of 1 session used this week; starts afresh {RESETS['week']} (America/New_York)"],
        ),
        ([limit("sessions", 0)], {}, {}, ["Would be denied: no sessions a day are allowed"]),
        ([limit("concurrent_sessions", 0)], {}, {}, ["Would be denied: no sessions at once are allowed"]),
        ([limit("call_minutes", 1, "month", hard=False)], {}, {}, ["Would be let in"]),
        ([], {"status": "paused"}, {}, ["Would be denied: the customer is paused"]),
        ([], {"status": "blocked"}, {"emergency": "allow_all"}, ["Would be denied: the customer is blocked"]),
        (
            [limit("sessions", 0)],
            {},
            {"emergency": "allow_all"},
            ["Would be let in: the emergency switch lets everybody in but blocked customers"],
        ),
        ([], {}, {"emergency": "deny_all"}, ["Would be denied: the emergency switch keeps everybody out"]),
        (
            [],
            {"valid_from": moment("2024-03-16T08:00:00+00:00")},
            {},
            ["Would be denied: the customer is not valid yet; it is from Sat 16 Mar, 08:00 on"],
        ),
        (
            [],
            {"valid_until": NOW},
            {},
            ["Would be denied: the customer is not valid any more, since Fri 15 Mar, 10:30"],
        ),
    ],
)
def test_what_would_be_decided_now_is_said_in_words(livetok: LiveTok, limits, fields, policy, words):
    customer = make_customer(make_tier("premium"), name="Ada")
    use(livetok, minutes=123.9)
    for row in limits:
        make_override(customer, row)
    Customer.objects.update(**fields)
    set_policy(**policy)

    assert outlook(customer) == words


def test_it_is_said_where_it_differs_by_channel_and_agent(livetok: LiveTok):
    tier = make_tier(
        "premium",
        limit("call_minutes", 60, "week"),
        limit("call_minutes", 90, "month", channel="telephony"),
        limit("sessions", 0, agent="7"),
    )
    tier.allowed_channels.add("telephony", make_channel("chat"), make_channel("web"))
    make_channel("fax")
    make_customer(tier, name="Ada")
    use(livetok, day="2024-03-05", minutes=95, kind="telephony")

    on_telephony = f"95 of 90 call minutes on telephony used this month; starts afresh {RESETS['month']}"
    with_agent = "Would be denied on chat, telephony and web with agent 7: no sessions with agent 7 a day are allowed"
    assert outlook(Customer.objects.get()) == [
        f"Would be denied on telephony: {on_telephony}",
        f"Would be let in on chat and web: 60 of 60 call minutes left this week; starts afresh {RESETS['week']}",
        "Would be denied on fax and whatsapp: the tier does not include it",
        with_agent,
    ]


def test_a_customer_whom_no_call_can_name_is_said_to_be_unknown(livetok: LiveTok):
    customer = make_customer(name="Ada")
    customer.numbers.all().delete()

    assert outlook(customer) == ["Would be let in", NOT_FOUND]


@pytest.mark.parametrize("kind", ["telephony", "chat", "fax", "web"])
@pytest.mark.parametrize("agent", ["1", "7"])
def test_it_is_what_the_preview_of_a_begin_says(livetok: LiveTok, kind, agent):
    tier = make_tier(
        "premium",
        limit("call_minutes", 60, "week", channel="telephony"),
        limit("call_minutes", 100, "month"),
        limit("concurrent_sessions", 0, agent="7"),
    )
    tier.allowed_channels.add("telephony", make_channel("chat"), make_channel("web"))
    make_channel("fax")
    make_customer(tier, name="Ada")
    use(livetok, minutes=70, kind="telephony")
    body = begin_body(sessionId="now", kind=kind, agentId=agent, timestamp=NOW.isoformat())

    [customer] = ready_for_outlook(Customer.objects.all(), NOW)
    found = outlooks_of(standings([customer], NOW)[customer.pk], setting_at(NOW))

    told = [one for one in found if one.agent == agent and kind in one.channels]
    told = told or [one for one in found if one.agent is None and kind in one.channels]
    assert [one.decision.reason for one in told] == [preview(json.dumps(body).encode(), NOW).reason]


def test_admin_and_report_page_say_the_same_in_as_many_statements_for_many_as_for_few(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 1, "month"))
    ana = staff("administrators")
    ada = make_customer(tier, "+4915112345000", name="Ada")
    use(livetok, minutes=1, phoneNumber="+4915112345000")
    words = f"1 of 1 session used this month; starts afresh {RESETS['month']}"

    def listed() -> tuple[int, str]:
        with (
            time_machine.travel(NOW, tick=False),
            CaptureQueriesContext(
                connection,
            ) as asked,
        ):
            page = ana.get("/admin/customers/customer/")
        return len(asked), text_of(page)

    few, page = listed()
    assert f"Would be denied: {words}" in page
    assert f"Would be denied: {words}" in text_of(report_page(ana, f"/admin/customers/customer/{ada.pk}/change/", NOW))
    assert f"Would be denied {words}" in text_of(report_page(ana, f"customers/{ada.pk}/", NOW))
    for number in range(8):
        make_customer(tier, f"+49151123460{number:02}", name=f"Bob {number}")
    assert listed()[0] == few


def test_a_limit_of_one_agent_is_named_by_the_agents_name_everywhere(livetok: LiveTok):
    """LiveTok's id stands only where there is no name; the trace that is stored keeps the id."""
    tier = make_tier("premium", limit("call_minutes", 1, agent="4"), limit("sessions", 5, agent="5"))
    customer = make_customer(tier, name="Ada")
    make_override(customer, limit("call_minutes", 2, "week", agent="4"))
    with time_machine.travel(NOW, tick=False):
        for number in ("1", "2"):
            livetok.begin(sessionId=number, agentId=4, agentName="Support", timestamp="2024-03-15T08:00:00Z")
            livetok.end(sessionId=number, agentId=4, timestamp="2024-03-15T09:00:00Z", duration=3600)
    session = the_session("2")
    assert [check["agent"] for check in session.trace if check.get("agent")] == ["4", "4"]
    boss = staff("administrators", "boss")
    pages = {
        f"/reports/customers/{customer.pk}/": "with agent Support",
        f"/reports/customers/{customer.pk}/more/": "Call minutes a day with agent Support",
        f"/reports/customers/{customer.pk}/tier/": "1 call minute a day with agent Support",
        f"/reports/sessions/{session.pk}/": "with agent Support",
        f"/admin/sessions_app/session/{session.pk}/change/": "with agent Support",
        f"/admin/customers/customer/{customer.pk}/change/": "agent Support",
        f"/admin/customers/customer/{customer.pk}/history/": "2 call minutes a week with agent Support",
        "/admin/customers/customer/": "2 call minutes a week with agent Support",
        "/admin/customers/tier/": "1 call minute a day with agent Support",
    }
    for path, words in pages.items():
        text = text_of(report_page(boss, path, NOW))
        assert words in text, path
        assert "agent 4" not in text, path
    assert "with agent 5" in text_of(report_page(boss, "/admin/customers/tier/", NOW))
    assert any("with agent Support" in line for line in outlook(customer))


def test_a_figure_is_the_same_wherever_it_stands_and_used_and_left_add_up(livetok: LiveTok):
    """126.02 minutes: headline, table, trace and the agent's answer round up; what is left of 1,500 rounds down."""
    limits = [limit("call_minutes", 120, "month"), limit("call_minutes", 1500, "week", agent="1")]
    customer = make_customer(make_tier("premium", *limits), name="Ada")
    boss = staff("administrators", "boss")
    with time_machine.travel(NOW, tick=False):
        livetok.begin(sessionId="1", timestamp="2024-03-14T08:00:00Z")
        livetok.end(sessionId="1", timestamp="2024-03-14T22:00:00Z", duration=126 * 60 + 1)
        answer = livetok.begin(sessionId="2", timestamp="2024-03-15T10:00:00Z")
    assert answer["context"]["denied_limit_used"] == 127
    page = report_page(boss, f"/reports/customers/{customer.pk}/", NOW)
    assert "Would be denied 126.1 of 120 call minutes used this month" in text_of(page)
    shown = {line.amount: (line.used, line.left) for line in page.context["limits"]}
    assert shown == {"120": ("126.1", "0"), "1,500": ("126.1", "1,373.9")}
    session = text_of(report_page(boss, f"/reports/sessions/{the_session('2').pk}/", NOW))
    assert "126.1 of 120 call minutes" in session
    assert "1,500 min tier, hard 126.1 min 1,373.9 min" in session
    assert "1,500 call minutes a week" in text_of(report_page(boss, "/admin/customers/tier/", NOW))
    form = text_of(report_page(boss, f"/admin/customers/customer/{customer.pk}/change/", NOW))
    assert "1,500" in form
    assert "1500" not in form
