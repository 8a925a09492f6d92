"""One search: the same finds on both databases, kept right by whatever writes customers."""

import json

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils import timezone
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from customers.importing.formats import CustomerCsv
from customers.importing.storing import import_rows
from customers.models import Agent, Customer, SearchKey, Tier
from customers.search.finding import best_first, matches, named, wanted
from customers.search.keeping import NewCallers, keep_search_keys, keys_of
from sessions_app.sums.keeping import keep_sums
from tests.api import Api
from tests.builders import make_customer, make_tier, payload, set_policy, the_session
from tests.examples import examples
from tests.staff import form_of, staff, text_of, with_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    tier = make_tier()
    ada = make_customer(tier, "+442079460958", name="Ada Lovelace", external_id="crm-77", email="Ada.King@example.com")
    others = [
        make_customer(tier, "+4915112345678", "sip:bob@pbx.example", name="Jörg Ångström"),
        make_customer(tier, "+79161234567", name="Мария Özil"),
        make_customer(tier, "12345", name="山田太郎"),
        make_customer(tier, "+15550001111", name=""),
        make_customer(tier, "+15550002222", name="Lovelace Ada Trading", external_id="CRM-771"),
    ]
    keep_search_keys([ada.pk, *(customer.pk for customer in others)])


ADA, JOERG, MARIA, YAMADA, NOBODY, TRADING = (
    "Ada Lovelace",
    "Jörg Ångström",
    "Мария Özil",
    "山田太郎",
    "",
    "Lovelace Ada Trading",
)


@pytest.mark.parametrize(
    "text, found",
    [
        ("lovelace", [ADA, TRADING]),
        ("LOVE ada", [ADA, TRADING]),
        ("ovelace", []),
        ("ångström", [JOERG]),
        ("ANGSTROM", [JOERG]),
        ("OZIL", [MARIA]),
        ("özil", [MARIA]),
        ("мария", [MARIA]),
        ("МАР", [MARIA]),
        ("太郎", [YAMADA]),
        ("crm-77", [ADA, TRADING]),
        ("crm-771", [TRADING]),
        ("ada.king@EXAMPLE.com", [ADA]),
        ("king", [ADA]),
        ("+44 20 7946 0958", [ADA]),
        ("0044 (0)20-7946.0958", [ADA]),
        ("4420", [ADA]),
        ("0958", [ADA]),
        ("０９５８", [ADA]),
        ("7946 0958", [ADA]),
        ("020 7946 0958", [ADA]),
        ("94609", [ADA]),
        ("460", []),
        ("0049 151", [JOERG]),
        ("12345", [YAMADA, JOERG]),
        ("SIP:Bob@", [JOERG]),
        ("bob", [JOERG]),
        ("%", []),
        ("_", []),
        ("", []),
        ("ada grace", []),
    ],
)
def test_a_search_finds_customers_by_words_and_digits(people, text, found, monkeypatch):
    def names():
        return sorted(Customer.objects.filter(named(text)).values_list("name", flat=True))

    if text == "12345":  # in the middle of one, all of another: the former is looked for only where nothing begins so
        found = [YAMADA]
    assert names() == sorted(found)
    # However many there are, they are the same ones.
    monkeypatch.setattr("customers.search.finding.MOST_MATCHES", 0)
    assert names() == sorted(found)


def test_who_is_meant_most_likely_comes_first(people):
    def order(text):
        looked_for = wanted(text)
        return [str(customer) for customer in best_first(looked_for, matches(looked_for).ids, set(), 10)]

    assert order("ada lovelace") == [ADA, TRADING]
    assert order("lovelace ada") == [TRADING, ADA]
    assert order("crm-77") == [ADA, TRADING]


def test_words_of_one_customer_hide_no_other(monkeypatch):
    monkeypatch.setattr("customers.search.finding.MOST_MATCHES", 1)
    tier = make_tier()
    both = [make_customer(tier, f"+1555000{n}", name=name) for n, name in enumerate(["Ana Anb", "Anc"])]
    keep_search_keys([customer.pk for customer in both])

    assert Customer.objects.filter(named("an")).count() == 2


def test_a_short_number_leads_to_whoever_has_it_among_many_that_begin_so(viewer):
    tier = make_tier()
    meant = make_customer(tier, "+15550", name="Zoe")
    others = [make_customer(tier, f"+1555000{n:04}", name=f"Ana {n:02}") for n in range(20)]
    keep_search_keys([meant.pk, *(other.pk for other in others)])

    assert found_on(viewer, "+15550") == f"/reports/customers/{meant.pk}/"


def test_digits_that_others_have_too_lead_nowhere_by_themselves(viewer):
    tier = make_tier()
    by_id = make_customer(tier, name="Ada", external_id="1234")
    by_number = make_customer(tier, "+15550001234", name="Grace")
    keep_search_keys([by_id.pk, by_number.pk])
    page = found_on(viewer, "1234")
    assert page.index("Ada") < page.index("Grace")
    by_number.delete()
    assert found_on(viewer, "1234") == f"/reports/customers/{by_id.pk}/"
    Agent.objects.create(livetok_id="1234")
    assert "Agents 1234" in found_on(viewer, "1234")


def test_own_ids_of_callers_without_a_name_do_not_come_before_numbers(viewer):
    tier = make_tier()
    nameless = [make_customer(tier, f"+1555{n:07}", name="") for n in range(3)]
    keep_search_keys(one.pk for one in nameless)
    assert not SearchKey.objects.filter(kind=SearchKey.Kind.WORD).exists()
    assert list(Customer.objects.filter(named(f"Customer {nameless[0].pk}"))) == [nameless[0]]


def test_a_stranger_is_found_before_the_hour_is_summed(livetok, viewer):
    set_policy(unknown_callers="deny")
    livetok.begin(phoneNumber="+15557779876", timestamp=timezone.now().isoformat())
    assert "Numbers of callers who are no customers +15557779876" in found_on(viewer, "9876")


def test_an_address_is_shown_to_whoever_may_see_customers(people, viewer):
    assert "Ada.King@example.com" in viewer.get("/reports/search/?q=lovelace").content.decode()

    client = staff(None, "sessions alone")
    client.user.user_permissions.add(
        Permission.objects.get(content_type__app_label="sessions_app", codename="view_session")
    )
    page = client.get("/reports/search/?q=lovelace").content.decode()
    assert ADA in page
    assert "Ada.King@example.com" not in page


def test_a_customer_without_a_name_is_found_by_what_pages_say(people):
    nobody = Customer.objects.get(name="")

    assert list(Customer.objects.filter(named(f"customer {nobody.pk}"))) == [nobody]


def test_who_has_no_keys_gets_them_from_the_worker(django_assert_max_num_queries):
    tier = make_tier()
    old = make_customer(tier, name="Grace")
    worker = NewCallers()

    assert (worker.run(), worker.run()) == (1, 0)
    assert Customer.objects.get(named("grace")) == old
    new = make_customer(tier, "+15550003333", name="Lin")
    with django_assert_max_num_queries(10):
        assert worker.run() == 1
    assert Customer.objects.get(named("3333")) == new
    with django_assert_max_num_queries(2):
        assert worker.run() == 0
    old.delete()
    assert set(SearchKey.objects.values_list("customer", flat=True)) == {new.pk}


def test_one_that_is_committed_after_many_later_ones_is_not_passed_over(monkeypatch):
    monkeypatch.setattr("customers.search.keeping.LOOKED_AT", 2)
    tier = make_tier()
    worker = NewCallers()
    worker.run()
    late = make_customer(tier, "+15550003333", name="Lin")
    others = [make_customer(tier, f"+1555000{n:04}", name=f"Ana {n}") for n in range(7)]
    keep_search_keys([other.pk for other in others])

    assert worker.run() == 1
    assert Customer.objects.get(named("lin")) == late


def test_the_worker_goes_on_where_it_ran_out_of_time(monkeypatch):
    monkeypatch.setattr("customers.search.keeping.LOOKED_AT", 2)
    monkeypatch.setattr("customers.search.keeping.PAUSE_SECONDS", 0.02)
    monkeypatch.setattr("customers.search.keeping.RUN_SECONDS", 0.01)
    tier = make_tier()
    for n in range(5):
        make_customer(tier, f"+1555000{n:04}", name=f"Ana {n}")
    worker = NewCallers()
    runs = [worker.run() for _ in range(20)]

    assert (max(runs), sum(runs)) == (2, 5)


# The page


def found_on(client, text):
    """What the page says, or the address that it leads to."""
    response = client.get("/reports/search/", {"q": text})
    return response.headers["Location"] if response.status_code == 302 else text_of(response)


def test_the_page_groups_what_it_finds(people, livetok, viewer, django_assert_max_num_queries):
    livetok.begin(sessionId="lovelace-1", phoneNumber="+44 20 7946 0958", agentId="a-1", agentName="Lovelace Bot")
    make_tier("lovelace-gold", name="Lovelace Gold")
    with django_assert_max_num_queries(28):
        page = viewer.get("/reports/search/", {"q": "lovelace"})
    text = text_of(page)

    assert "Customers Lovelace Ada Trading +15550002222 · CRM-771 · Premium Ada Lovelace +442079460958 · crm-77" in text
    assert "Tiers Lovelace Gold" in text
    assert "Agents Lovelace Bot a-1" in text
    assert "Sessions" not in text.partition("Customers Lovelace")[2]
    assert 'value="lovelace"' in page.content.decode()


def test_one_exact_hit_leads_straight_there(people, livetok, viewer):
    livetok.begin(sessionId="s-1", phoneNumber="+44 20 7946 0958")
    session, ada = the_session("s-1"), Customer.objects.get(name=ADA)

    for text in ("+44 (20) 7946 0958", "ADA.KING@example.com", " crm-77 "):
        assert found_on(viewer, text) == f"/reports/customers/{ada.pk}/", text
    assert found_on(viewer, "s-1") == f"/reports/sessions/{session.pk}/"
    assert "Customers Ada Lovelace" in found_on(viewer, "0958")  # not all of the number
    Customer.objects.filter(name=TRADING).update(external_id="s-1")
    both = found_on(viewer, "s-1")
    assert "Customers Lovelace Ada Trading" in both
    assert "Sessions s-1" in both


def test_a_new_caller_is_found_by_number_at_once_and_by_all_else_once_the_worker_came(livetok, viewer):
    body = json.loads(payload("envelope_begin"))
    body["data"]["customer"] = {"name": "Jörg", "phone": "+15550009876", "email": "j@example.com"}
    assert livetok.send(body).status_code == 200
    (new,) = Customer.objects.all()
    address = f"/reports/customers/{new.pk}/"

    assert found_on(viewer, "+1 555 000 9876") == address
    assert address in viewer.get("/reports/search/?q=1555000").content.decode()
    assert "Nothing was found." in found_on(viewer, "JORG")
    NewCallers().run()
    assert address in viewer.get("/reports/search/?q=JORG").content.decode()
    assert found_on(viewer, "J@example.com") == address


def test_numbers_that_are_no_customers_lead_to_their_sessions(livetok, viewer):
    set_policy(unknown_callers="deny")
    livetok.begin(sessionId="s-1", phoneNumber="+15550009876", timestamp="2026-01-05T10:00:00Z")
    with time_machine.travel("2026-01-05T12:30:00Z", tick=False):
        keep_sums()

    assert "callers who are no customers +15550009876" in found_on(viewer, "9876")
    assert "Sessions s-1" in found_on(viewer, "+1 555 000 9876")


@pytest.mark.parametrize("text", ["nobody-at-all", "%", "'; DROP TABLE", "🌸", "x" * 255, "x1 x2 " * 42, "0" * 255])
def test_what_finds_nothing_says_what_would(people, viewer, text):
    assert "Nothing was found." in found_on(viewer, text)


def test_without_a_text_the_page_says_what_to_look_for(viewer):
    assert "What are you looking for?" in found_on(viewer, " ")


def test_everybody_finds_what_they_may_see_elsewhere_alone(people, livetok):
    livetok.begin(sessionId="s-1", phoneNumber="+44 20 7946 0958")
    nobody, tiers, customers = staff(None, "nobody"), staff(None, "tiers"), staff(None, "customers")
    tiers.user.user_permissions.add(Permission.objects.get(codename="view_tier"))
    customers.user.user_permissions.add(Permission.objects.get(codename="view_customer"))
    ada = Customer.objects.get(name=ADA)

    assert nobody.get("/reports/search/?q=ada").status_code == 403
    assert "one-search" not in nobody.get("/admin/").content.decode()
    assert "one-search" in tiers.get("/admin/").content.decode()
    assert "Nothing was found." in found_on(tiers, "+44 20 7946 0958")
    assert "Tiers Premium" in found_on(tiers, "premium")
    assert "Nothing was found." in found_on(customers, "s-1")
    assert found_on(customers, "crm-77") == f"/admin/customers/customer/{ada.pk}/change/"


# What keeps it

NUMBERS = ["+44 20 7946 0958", "+15550001111", "+15550002222", "sip:bob@pbx.example"]
NAMES = ["Ada Lovelace", "ANGSTROM", "Ångström Özil", ""]
IDS = ["crm-1", "CRM-1", "crm-2"]
LISTS = st.lists(st.sampled_from(NUMBERS), max_size=2, unique=True)
VALUES = st.tuples(
    st.sampled_from(IDS), st.sampled_from(NAMES), st.sampled_from(["", "ada@example.com", "x@y.example"]), LISTS
)
STEPS = st.tuples(st.sampled_from(["put", "bulk", "import", "form", "begin", "delete", "worker"]), VALUES)


def written_by(what, api, client, livetok, external_id, name, email, numbers):
    """One write by whoever writes customers; what it refuses changes nothing."""
    row = {"external_id": external_id, "name": name, "email": email, "tier": "standard", "numbers": numbers}
    stored = Customer.objects.filter(external_id=external_id).first()
    if what == "put":
        api.request("PUT", f"/api/v1/customers/by-external-id/{external_id}/", row)
    elif what == "bulk":
        api.request(
            "POST", "/api/v1/customers/bulk/", [row, {"external_id": "crm-9", "name": email, "tier": "standard"}]
        )
    elif what == "import":
        text = f"external_id,name,email,tier,numbers\n{external_id},{name},{email},standard,{';'.join(numbers)}\n"
        import_rows(CustomerCsv().create_dataset(text.encode()), "crm.csv", client.user)
    elif what == "form":
        address = f"/admin/customers/customer/{f'{stored.pk}/change' if stored else 'add'}/"
        data = form_of(client, address) | {"name": name, "email": email, "external_id": external_id}
        data["tier"] = Tier.objects.get(slug="standard").pk
        data |= {f"numbers-{place}-DELETE": "on" for place in range(int(data["numbers-INITIAL_FORMS"]))}
        for number in numbers:
            data = with_row(data, "numbers", number=number)
        client.post(address, data)
    elif what == "begin":
        livetok.begin(sessionId=external_id, phoneNumber=(numbers or NUMBERS)[0], timestamp="2026-01-05T10:00:00Z")
    elif what == "delete" and stored is not None:
        api.request("DELETE", f"/api/v1/customers/{stored.pk}/")
    elif what == "worker":
        NewCallers().run()


def assert_keys_are_what_a_rebuild_gives(steps, *, but):
    """Of everybody; of whom LiveTok's requests have made there may be none yet."""
    stored = {pk: set() for pk in Customer.objects.values_list("pk", flat=True)}
    for pk, kind, text in SearchKey.objects.values_list("customer_id", "kind", "text"):
        stored[pk].add((kind, text))
    for customer in Customer.objects.prefetch_related("numbers"):
        if stored[customer.pk] or customer.pk not in but:
            assert stored[customer.pk] == keys_of(customer, [number.key for number in customer.numbers.all()]), steps


@pytest.mark.property
def test_whatever_writes_customers_keeps_what_they_are_found_by(livetok, monkeypatch):
    monkeypatch.setattr("customers.search.keeping.PAUSE_SECONDS", 0)
    api, client = Api("manage"), staff("managers")

    # A failure is a few steps long as it is; to look for a shorter one takes minutes.
    @settings(max_examples=examples(0.25), phases=[Phase.generate])
    @given(st.lists(STEPS, max_size=7))
    def check(steps):
        with transaction.atomic():
            new = set()
            for what, values in steps:
                before = set(Customer.objects.values_list("pk", flat=True))
                written_by(what, api, client, livetok, *values)
                new |= set(Customer.objects.values_list("pk", flat=True)) - before if what == "begin" else set()
                assert_keys_are_what_a_rebuild_gives(steps, but=new)
            NewCallers().run()
            assert_keys_are_what_a_rebuild_gives(steps, but=())
            transaction.set_rollback(True)

    check()


def test_keys_are_no_part_of_what_deleting_a_customer_shows(people):
    ada = Customer.objects.get(name=ADA)

    text = text_of(staff("managers").get(f"/admin/customers/customer/{ada.pk}/delete/"))

    assert "Phone number" in text
    assert "earch key" not in text
