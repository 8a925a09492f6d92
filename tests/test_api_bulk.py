"""Many customers at once: whom each row means, what is answered to it, and what it costs."""

import json
import threading
import time
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from customers import turns
from customers.models import Customer, LimitOverride, PhoneNumber, Tier
from customers.turns import FIRST_ROWS
from sessions_app.database.prepared import djangos_transaction
from sessions_app.models import Session
from tests.api import Api
from tests.builders import NUMBER, LiveTok, assert_usage_is_sound, limit, make_customer, make_override, make_tier
from tests.live import LiveServer
from tests.test_concurrency import Frontdesk, begins

pytestmark = pytest.mark.django_db
BULK = "/api/v1/customers/bulk/"
TURN = "tests.test_api_bulk.turn_with_something_before"
before_each_piece = []


@pytest.fixture
def api(db: None) -> Api:
    make_tier("premium")
    return Api("manage")


@contextmanager
def turn_with_something_before():
    """The real turn; before the first, second … piece comes what the test has put there."""
    if before_each_piece and (work := before_each_piece.pop(0)) is not None:
        work()
    with djangos_transaction():
        yield


@pytest.fixture
def before_pieces(settings):
    settings.WRITE_TURN = TURN
    before_each_piece.clear()
    yield before_each_piece
    before_each_piece.clear()


def sent(api, *rows):
    """The rows' answers."""
    return api.post(BULK, list(rows))["results"]


def statuses(results):
    return [result["status"] for result in results]


def error_of(results, index=-1):
    return results[index]["status"], results[index]["errors"]


def histories():
    return tuple(model.history.count() for model in (Customer, PhoneNumber, LimitOverride))


def rows_of(count, **fields):
    return [
        {
            "external_id": f"crm-{n}",
            "name": f"Ada {n}",
            "tier": "premium",
            "numbers": [f"+1555{n:07}"],
            "time_zone": "Europe/Madrid",
            "context": {"language": "es", "orders": [{"number": n, "items": ["a lamp", "a chair"]}]},
            **fields,
        }
        for n in range(count)
    ]


# One row each


def test_a_row_is_found_by_id_else_external_id_else_number_and_changed_as_patch_does(api):
    tier = Tier.objects.get()
    ada = make_customer(tier, "+15550000001", external_id="crm-1", context={"a": 1, "b": 2}, notes="calls on Mondays")
    bo = make_customer(tier, "+15550000002", external_id="crm-2", context={"a": 1})
    cy = make_customer(tier, "+15550000003", "+15550000004")

    answer = api.post(
        BULK,
        [
            {"id": ada.pk, "external_id": "crm-new", "context": {"a": None, "c": 3}},
            {"external_id": "crm-2", "context": {"b": 2}},
            {"numbers": ["+1 555 000 0004", "+15550000003"], "name": "Cy"},
        ],
    )

    assert answer == {
        "refused": 0,
        "results": [
            {"index": index, "status": 200, "id": customer.pk, "errors": {}, "warnings": []}
            for index, customer in enumerate([ada, bo, cy])
        ],
    }
    shown = [api.get(f"/api/v1/customers/{customer.pk}/") for customer in (ada, bo, cy)]
    assert [one["context"] for one in shown] == [{"b": 2, "c": 3}, {"a": 1, "b": 2}, {}]
    assert [one["external_id"] for one in shown] == ["crm-new", "crm-2", None]
    assert [one["numbers"] for one in shown] == [
        ["+15550000001"], ["+15550000002"], ["+15550000003", "+1 555 000 0004"]]  # fmt: skip
    assert (shown[0]["notes"], shown[2]["name"]) == ("calls on Mondays", "Cy")


def test_a_new_customer_is_the_same_as_one_that_a_put_makes(api):
    fields = {
        "name": "Ada",
        "email": "ada@example.com",
        "tier": "premium",
        "status": "paused",
        "valid_from": "2026-01-01T00:00:00+02:00",
        "time_zone": "Europe/Madrid",
        "notes": "VIP",
        "context": {"vip": True, "a": {"b": 1}},
        "overrides": [{"metric": "sessions", "period": "day", "amount": 5, "channel": "Fax", "agent": 7}],
    }
    api.put("/api/v1/customers/by-external-id/crm-1/", fields | {"numbers": ["+1 555 000 0001"]}, status=201)

    assert statuses(sent(api, fields | {"external_id": "crm-2", "numbers": ["+1 555 000 0002"]})) == [201]

    one, two = (api.get(f"/api/v1/customers/by-external-id/crm-{n}/") for n in (1, 2))
    differing = {"id", "external_id", "numbers", "created_at"}
    assert {n: one[n] for n in one if n not in differing} == {n: two[n] for n in two if n not in differing}
    assert two["numbers"] == ["+1 555 000 0002"]
    assert PhoneNumber.objects.get(number="+1 555 000 0002").key == "+15550000002"
    for model, count in ((Customer, 1), (PhoneNumber, 1), (LimitOverride, 1)):
        kept = [
            (record.history_type, record.history_change_reason, record.history_user_id)
            for record in model.history.order_by("history_id")
        ]
        assert len(kept) == 2 * count
        assert set(kept) == {kept[0]}, model
        assert kept[0][1].startswith("API key CRM (")


def test_the_same_request_again_changes_nothing(api):
    rows = rows_of(3, overrides=[{"metric": "sessions", "period": "day", "amount": 5}], valid_until="2027-01-01T00:00Z")
    rows.append({"numbers": ["+15550009999"], "tier": "premium"})
    first = sent(api, *rows)
    kept, shown = histories(), api.get("/api/v1/customers/")

    again = sent(api, *rows)

    assert (statuses(first), statuses(again)) == ([201] * 4, [200] * 4)
    assert [row["id"] for row in again] == [row["id"] for row in first]
    assert histories() == kept == (4, 4, 3)
    assert api.get("/api/v1/customers/") == shown


def test_lists_that_are_given_replace_the_lists_and_others_stay(api):
    customer = make_customer(Tier.objects.get(), "+15550000001", "+15550000002", external_id="crm-1")
    make_override(customer, limit("sessions", 5))

    sent(api, {"external_id": "crm-1", "numbers": ["+15550000003", "+15550000002"]})

    shown = api.get("/api/v1/customers/by-external-id/crm-1/")
    assert (shown["numbers"], len(shown["overrides"])) == (["+15550000002", "+15550000003"], 1)
    assert PhoneNumber.history.get(history_type="-").history_change_reason.startswith("API key CRM")

    sent(api, {"external_id": "crm-1", "overrides": [], "tier": "premium"})

    assert not LimitOverride.objects.exists()
    assert PhoneNumber.objects.count() == 2


def test_a_number_that_is_none_is_saved_with_a_warning(api):
    (result,) = sent(api, {"external_id": "crm-1", "tier": "premium", "numbers": ["4.91512E+12", "+15550000001"]})

    assert result["status"] == 201
    assert [warning[:33] for warning in result["warnings"]] == ['"4.91512E+12" is no phone number,']


# First contacts


def test_a_first_contact_becomes_the_customer_and_keeps_its_sessions(api, livetok: LiveTok):
    livetok.begin(phoneNumber=NUMBER)
    record = Customer.objects.get()

    results = sent(api, {"external_id": "crm-1", "numbers": [NUMBER], "context": {"vip": True}})

    assert (statuses(results), results[0]["id"]) == ([200], record.pk)
    record.refresh_from_db()
    assert (record.external_id, record.source, record.context) == ("crm-1", "api", {"vip": True})
    assert Session.objects.get().customer == record


def test_several_first_contacts_of_one_row_become_one_customer(api, livetok: LiveTok):
    numbers = ["+15550000001", "+15550000002", "+15550000003"]
    for index, number in enumerate(numbers):
        livetok.begin(sessionId=str(index), phoneNumber=number)
        livetok.end(sessionId=str(index), phoneNumber=number)
    make_customer(Tier.objects.get(slug="premium"), "+15550000009", external_id="crm-1")

    results = sent(
        api,
        {"external_id": "crm-0", "tier": "premium", "context": {"before": 1}},
        {"external_id": "crm-1", "numbers": numbers[:1]},
        {"external_id": "crm-2", "numbers": numbers[1:], "tier": "premium"},
        {"external_id": "crm-3", "tier": "premium", "numbers": ["+15550000009"]},
    )

    assert statuses(results) == [201, 200, 200, 201]
    owned = Session.objects.order_by("session_id").values_list("customer__external_id", flat=True)
    assert list(owned) == ["crm-1", "crm-2", "crm-2"]
    assert Customer.objects.count() == 4
    assert_usage_is_sound()


# Rows that are refused


def test_a_bad_row_keeps_no_other_out(api):
    results = sent(
        api,
        {"external_id": "crm-0", "tier": "premium"},
        {"external_id": "crm-1", "tier": "gold"},
        {"external_id": "crm-2", "tier": "premium", "numbers": ["anonymous"]},
        "Ada",
        {"external_id": "crm-3", "tier": "premium"},
    )

    assert statuses(results) == [201, 400, 400, 400, 201]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert [result["id"] is None for result in results] == [False, True, True, True, False]
    assert set(Customer.objects.values_list("external_id", flat=True)) == {"crm-0", "crm-3"}
    assert api.post(BULK, [{"external_id": "crm-9"}])["refused"] == 1


OVERRIDE = {"metric": "sessions", "period": "day", "amount": 5}


@pytest.mark.parametrize(
    ("row", "status", "place", "words"),
    [
        ({"external_id": "x"}, 400, "tier", "Give a tier's slug: a new customer needs it."),
        ({"external_id": "x", "tier": "gold"}, 400, "tier", "Make it first: PUT /api/v1/tiers/gold/"),
        ({"external_id": "x", "tier": "old"}, 400, "tier", "Choose another, or make it active again."),
        ({"tier": "premium", "name": "Ada"}, 400, "body", "Give id, external_id or numbers"),
        ({"tier": "premium", "numbers": []}, 400, "body", "Give id, external_id or numbers"),
        ({"id": 999_999}, 404, "id", "There is no customer with id 999999. Leave id out to make one."),
        ({"id": 0}, 400, "id", "greater than or equal to 1"),
        ({"id": "1"}, 400, "id", "Give a whole number."),
        ({"external_id": "x", "teir": "premium"}, 400, "teir", "Unknown. There are: id, external_id, name"),
        ({"external_id": "x", "time_zone": "Spain"}, 400, "time_zone", "Give a name such as Europe/Madrid"),
        ({"external_id": "x", "context": []}, 400, "context", "Give a JSON object"),
        ({"external_id": "crm-1", "context": {"more": "x" * 16_000}}, 400, "context", "16384 are the most"),
        ({"external_id": "x", "numbers": ["+15550000009", "n/a"]}, 400, "numbers[1]", '"n/a" is no number.'),
        ({"external_id": "crm-1", "valid_until": "2020-01-01T00:00Z"}, 400, "valid_until", ""),
        ({"external_id": "x", "overrides": [{"metric": "sessions"}]}, 400, "overrides[0].amount", "required"),
        ({"external_id": "crm-1", "overrides": [OVERRIDE, OVERRIDE]}, 400, "overrides", "would hold at the same time"),
        (
            {"external_id": "crm-1", "numbers": ["+15550000002"]}, 409, "numbers[0]",
            "It leads to customer Bo (external id crm-2) with id {bo}, but external_id to customer Ada (external id",
        ),
        (
            {"external_id": "x", "numbers": ["+15550000002"]}, 409, "external_id",
            "The row has external id x, but numbers[0] leads to customer Bo (external id crm-2) with id {bo}. ",
        ),
        ({"external_id": None, "numbers": ["+15550000002"]}, 409, "external_id", "The row has no external id, but"),
        ({"numbers": ["+15550000001", "+15550000002"]}, 409, "numbers[1]", "but numbers[0] to customer Ada"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_what_to_do_and_nothing_of_the_row_is_stored(api, row, status, place, words):
    tier = Tier.objects.get()
    make_tier("old", is_active=False)
    valid = {"valid_from": "2026-01-01T00:00Z", "context": {"much": "y" * 1_000}}
    ada = make_customer(tier, "+15550000001", external_id="crm-1", name="Ada", **valid)
    bo = make_customer(tier, "+15550000002", external_id="crm-2", name="Bo")
    before = histories(), api.get("/api/v1/customers/")

    given, errors = error_of(sent(api, row))

    assert (given, list(errors)) == (status, [place])
    assert words.format(ada=ada.pk, bo=bo.pk) in errors[place][0]
    assert (histories(), api.get("/api/v1/customers/")) == before


def test_an_id_that_differs_from_what_else_the_row_says_names_both(api):
    tier = Tier.objects.get()
    ada = make_customer(tier, "+15550000001", external_id="crm-1", name="Ada")
    bo = make_customer(tier, "+15550000002", external_id="crm-2", name="Bo")

    status, errors = error_of(sent(api, {"id": ada.pk, "external_id": "crm-2"}))

    assert (status, list(errors)) == (409, ["external_id"])
    assert f"customer Bo (external id crm-2) with id {bo.pk}, but id to customer Ada" in errors["external_id"][0]


def test_the_same_customer_twice_is_an_error_of_the_later_rows_wherever_they_stand(api):
    ada = make_customer(Tier.objects.get(), "+15550009999", external_id="crm-ada")
    far = rows_of(60)

    results = sent(
        api,
        {"id": ada.pk, "name": "first"},
        *far,
        {"id": ada.pk, "name": "same id"},
        {"external_id": "crm-ada", "name": "same customer"},
        {"numbers": ["+15550009999"], "name": "same customer"},
        {"external_id": "crm-7", "name": "same external id"},
        {"external_id": "crm-z", "tier": "premium", "numbers": ["+1 555 000 0008"]},
    )

    assert statuses(results) == [200] + [201] * 60 + [409] * 5
    twice = "This customer is in the row with index {} already. Send each customer once in a list."
    assert [result["errors"] for result in results[61:]] == [
        {"id": [twice.format(0)]},
        {"body": [twice.format(0)]},
        {"body": [twice.format(0)]},
        {"external_id": [twice.format(8)]},
        {"numbers[0]": [twice.format(9)]},
    ]
    ada.refresh_from_db()
    assert ada.name == "first"
    assert Customer.objects.get(external_id="crm-7").name == "Ada 7"


def test_rows_are_done_in_their_order_so_that_numbers_and_ids_can_move(api):
    tier = Tier.objects.get()
    ada = make_customer(tier, "+15550000001", external_id="crm-1")
    bo = make_customer(tier, "+15550000002", external_id="crm-2")

    results = sent(
        api,
        {"id": ada.pk, "external_id": "crm-9", "numbers": []},
        {"id": bo.pk, "external_id": "crm-1", "numbers": ["+15550000001"]},
        {"external_id": "crm-2", "tier": "premium", "numbers": ["+15550000002"]},
    )

    assert statuses(results) == [200, 200, 201]
    assert set(Customer.objects.values_list("external_id", "numbers__key")) == {
        ("crm-9", None), ("crm-1", "+15550000001"), ("crm-2", "+15550000002")}  # fmt: skip


# The whole


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({"external_id": "x"}, 400, {"body": ["Send a JSON list of customers."]}),
        (b"[", 400, {"body": ["Send JSON in UTF-8."]}),
        (
            [{}] * 1001,
            400,
            {"body": ["Send at most 1000 customers at once; these are 1001. Send the others after them."]},
        ),
        (b" " * (4 * 1024 * 1024 + 1), 413, {"detail": "A body has at most 4194304 bytes."}),
        ([], 200, {"refused": 0, "results": []}),
    ],
)
def test_a_body_that_is_no_such_list_is_refused_whole(api, body, status, answer):
    assert api.post(BULK, body, status=status) == answer


def test_it_takes_the_scope_manage(api):
    assert "scope" in Api("read").post(BULK, [], status=403)["detail"]
    Api().post(BULK, [], status=401)
    api.get(BULK, status=405)


def test_it_takes_no_if_match(api):
    response = api.request("POST", BULK, [{"external_id": "x", "tier": "premium"}], **{"If-Match": "*"})

    assert (response.status_code, list(response.json())) == (400, ["If-Match"])
    assert not Customer.objects.exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = {
    "id": VALUES | st.integers(1, 3),
    "external_id": VALUES | st.sampled_from(["crm-1", "crm-2", "crm-3"]),
    "tier": VALUES | st.just("premium"),
    "numbers": VALUES
    | st.lists(st.sampled_from(["+15550000001", "+1 555 0000001", "+15550000002", "n/a"]), max_size=3),
    "context": VALUES | st.dictionaries(st.sampled_from("abc"), VALUES, max_size=2),
    "overrides": VALUES | st.lists(st.just({"metric": "sessions", "period": "day", "amount": 1}), max_size=2),
}


@examples(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({}, optional=FIELDS) | VALUES, max_size=6))
def test_whatever_comes_each_row_is_answered_in_its_place_and_the_same_again_changes_nothing(api, rows):
    results = sent(api, *rows)
    shown = api.get("/api/v1/customers/")
    kept = histories()
    again = sent(api, *(row if result["id"] else {} for row, result in zip(rows, results, strict=True)))

    assert [result["index"] for result in results] == list(range(len(rows)))
    for first, second in zip(results, again, strict=True):
        assert bool(first["errors"]) == (first["id"] is None) == (first["status"] not in (200, 201))
        assert first["id"] is None or (second["id"], second["status"]) == (first["id"], 200)
    assert (histories(), api.get("/api/v1/customers/")) == (kept, shown)


def test_a_thousand_customers_with_context_are_one_request_of_few_statements(api, monkeypatch):
    monkeypatch.setattr(turns, "HOLD_SECONDS", 60.0)  # else a slow machine makes smaller pieces
    rows = rows_of(1000)
    for row in rows:
        row["context"]["history"] = "x" * 2_000
    with CaptureQueriesContext(connection) as made:
        results = sent(api, *rows)
    with CaptureQueriesContext(connection) as unchanged:
        again = sent(api, *rows)
    for row in rows:
        row["context"]["orders"] = []
    with CaptureQueriesContext(connection) as changed:
        sent(api, *rows)

    assert (statuses(results), statuses(again)) == ([201] * 1000, [200] * 1000)
    assert Customer.objects.get(external_id="crm-999").context == {
        "language": "es", "orders": [], "history": "x" * 2_000}  # fmt: skip
    assert histories() == (2000, 1000, 0)
    assert max(len(made), len(unchanged), len(changed)) <= 0.2 * 1000


def test_a_piece_takes_as_many_statements_for_many_rows_as_for_one(api):
    api.get("/api/v1/customers/")  # notes that the key is used

    def statements(*rows):
        with CaptureQueriesContext(connection) as queries:
            sent(api, *rows)
        return len(queries)

    one = statements({"external_id": "crm-x", "tier": "premium", "numbers": ["+15559999999"], "context": {"a": 1}})
    many = rows_of(FIRST_ROWS)

    assert statements(*many) == one <= 14
    assert statements(*many) <= 9
    assert statements(*({"external_id": row["external_id"], "context": {"b": 1}} for row in many)) <= 10
    overridden = [{"external_id": row["external_id"], "overrides": [OVERRIDE]} for row in many]
    sent(api, *overridden)
    assert statements(*overridden) <= 9


# With others


def test_a_begin_is_decided_between_the_pieces_with_what_is_stored_already(api, livetok: LiveTok, before_pieces):
    answered = []
    before_pieces += [None, lambda: answered.append(livetok.begin(phoneNumber="+15550000000")), None, None]

    results = sent(api, *rows_of(3 * FIRST_ROWS))

    assert set(statuses(results)) == {201}
    assert [answer["context"]["orders"][0]["number"] for answer in answered] == [0]
    assert Session.objects.get().customer.external_id == "crm-0"


def test_what_somebody_else_stores_before_a_piece_is_found_by_it(api, before_pieces):
    def store_one():
        make_customer(Tier.objects.get(), "+15550000025", external_id="crm-25", name="Quick", notes="by hand")

    before_pieces += [None, store_one]

    results = sent(api, *rows_of(2 * FIRST_ROWS))

    assert [result["index"] for result in results if result["status"] != 201] == [25]
    assert results[25]["status"] == 200
    assert Customer.objects.get(external_id="crm-25").notes == "by hand"


def test_a_piece_is_stored_in_one_order_whatever_the_lists_so_that_no_two_wait_for_each_other(api):
    sent(api, *rows_of(FIRST_ROWS)[::-1])

    for column, rows in (("external_id", Customer.objects), ("key", PhoneNumber.objects)):
        stored = list(rows.order_by("pk").values_list(column, flat=True))
        assert stored == sorted(stored)


REFUSE = {
    "sqlite": [
        """CREATE TRIGGER refuse BEFORE INSERT ON customers_customer WHEN NEW.external_id = 'crm-25'
        BEGIN SELECT RAISE(ABORT, 'somebody has it'); END"""
    ],
    "postgresql": [
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'somebody has it' USING ERRCODE = 'unique_violation'; END $$""",
        """CREATE TRIGGER refuse BEFORE INSERT ON customers_customer FOR EACH ROW WHEN (NEW.external_id = 'crm-25')
        EXECUTE FUNCTION refuse()""",
    ],
}


def test_what_the_database_refuses_in_one_row_keeps_no_other_out(api):
    with connection.cursor() as cursor:
        for statement in REFUSE[connection.vendor]:
            cursor.execute(statement)

    results = sent(api, *rows_of(3 * FIRST_ROWS))

    assert [result["index"] for result in results if result["status"] != 201] == [25]
    status, errors = error_of(results, 25)
    assert (status, list(errors)) == (409, ["body"])
    assert "Read it again, then send the request again." in errors["body"][0]
    stored = 3 * FIRST_ROWS - 1
    assert Customer.objects.count() == stored
    assert histories() == (stored, stored, 0)


def away():
    raise OperationalError("the server has gone away")


def test_where_the_database_goes_away_meanwhile_the_rows_that_are_not_stored_say_so(api, before_pieces):
    before_pieces += [None, away]

    results = sent(api, *rows_of(2 * FIRST_ROWS))

    assert statuses(results) == [201] * FIRST_ROWS + [503] * FIRST_ROWS
    assert "Send the request again in a moment." in results[-1]["errors"]["body"][0]
    assert Customer.objects.count() == FIRST_ROWS
    assert statuses(sent(api, *rows_of(2 * FIRST_ROWS))) == [200] * FIRST_ROWS + [201] * FIRST_ROWS


def test_where_the_database_is_away_from_the_start_the_whole_is_503(api, before_pieces):
    before_pieces.append(away)

    assert "Send the request again" in api.post(BULK, rows_of(1), status=503)["detail"]


# With real connections


@pytest.fixture(scope="module")
def frontdesk(live_server_process: LiveServer) -> Frontdesk:
    frontdesk = Frontdesk(live_server_process)
    frontdesk.tier("premium")
    return frontdesk


def new_rows(frontdesk, count):
    numbers = [frontdesk.number() for _ in range(count)]
    return [
        {"external_id": f"crm-{number[1:]}", "tier": "premium", "numbers": [number], "context": {"of": number}}
        for number in numbers
    ]


@pytest.mark.serial
@pytest.mark.parametrize("count", [200, *[FIRST_ROWS] * 9])
def test_requests_at_once_for_the_same_new_customers_make_each_once(frontdesk, count):
    rows = new_rows(frontdesk, count)
    orders = [rows, rows[::-1], rows, rows[::-1]]
    path = "/api/v1/customers/bulk/"

    replies = frontdesk.at_once([("POST", path, order, frontdesk.manage_key) for order in orders])

    answers = [json.loads(content) for _, content in replies]
    assert [answer["refused"] for answer in answers] == [0] * 4, answers
    in_order = [answer["results"][:: -1 if index % 2 else 1] for index, answer in enumerate(answers)]
    for row, results in zip(rows, zip(*in_order, strict=True), strict=True):
        assert sorted(statuses(results)) == [200, 200, 200, 201], row
        assert len({result["id"] for result in results}) == 1, row
    found = frontdesk.api("GET", f"customers/?external_id={rows[7]['external_id']}")["results"]
    assert [one["context"] for one in found] == [rows[7]["context"]]


@pytest.mark.serial
def test_begins_of_the_same_numbers_are_decided_while_a_thousand_customers_are_stored(frontdesk):
    rows = new_rows(frontdesk, 1000)
    seconds, answers = [], []

    def push():
        answers.append(frontdesk.api("POST", "customers/bulk/", rows))

    pushing = threading.Thread(target=push)
    pushing.start()
    for row in rows[::-1]:
        if not pushing.is_alive():
            break
        [body] = begins(row["numbers"][0], "meanwhile", 1)
        began = time.monotonic()
        assert frontdesk.send(body)["allowed"]
        if pushing.is_alive():
            seconds.append(time.monotonic() - began)
    pushing.join()

    assert answers[0]["refused"] == 0, answers
    assert len(seconds) >= 5
    assert max(seconds) < 1
    for row in rows[:: len(rows) // 20]:
        found = frontdesk.api("GET", f"customers/by-phone/{row['numbers'][0]}/")
        assert (found["external_id"], found["context"]) == (row["external_id"], row["context"])
