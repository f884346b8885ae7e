"""Every page of the admin, walked by everybody: who meets which rows, and never another's."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from analytics.models import ForecastRun, Reconciliation, RfmRun, SyncWindow
from events.models import Event
from loyalty.models import (
    ApiKey,
    AuditLog,
    BonusEntry,
    BonusLot,
    Business,
    CrmIntegration,
    CrmMessage,
    ImportJob,
    Member,
    ParkedRefund,
    Referral,
    StaffMembership,
    StatusTier,
    Transaction,
    WebhookDelivery,
    WebhookEndpoint,
)
from promos.models import Coupon, CouponCampaign, CrossPromoChain, Offer, Quote
from tests.factories import MemberFactory, StaffFactory
from tests.svoykrug.staff_rows import CANARY, Shop, open_shop

SCHEDULES = (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule)

ANALYTICS = (SyncWindow, Reconciliation, RfmRun, ForecastRun)

# What each may do: v view, a add, c change, d delete. Nobody else may anything.
TABLE: dict[type, dict[str, str]] = {
    Business: {"programme": "vac", "owner": "vc"},
    StatusTier: {"programme": "vc"},
    Member: {"programme": "vc", "owner": "v"},
    StaffMembership: {"programme": "vacd", "owner": "vacd"},
    Transaction: {"programme": "v", "owner": "v", "cashier": "v"},
    ParkedRefund: {"programme": "v", "owner": "v"},
    BonusLot: {"programme": "v", "owner": "v"},
    BonusEntry: {"programme": "v", "owner": "v"},
    ApiKey: {"programme": "va", "owner": "va"},
    CrmIntegration: {"programme": "vac", "owner": "vac"},
    CrmMessage: {"programme": "v", "owner": "v"},
    WebhookEndpoint: {"programme": "vac", "owner": "vac"},
    WebhookDelivery: {"programme": "v", "owner": "v"},
    ImportJob: {"programme": "v", "owner": "v"},
    AuditLog: {"programme": "v"},
    CrossPromoChain: {"programme": "vac", "owner": "vac"},
    CouponCampaign: {"programme": "vac", "owner": "vac"},
    Coupon: {"programme": "v", "owner": "v"},
    Offer: {"programme": "vac", "owner": "vac"},
    Quote: {"programme": "v", "owner": "v"},
    Referral: {"programme": "v"},
    Event: {"programme": "v", "owner": "v"},
    **{model: {"programme": "v"} for model in ANALYTICS},
    **{model: {"programme": "vacd"} for model in SCHEDULES},
}
OWNED = [model for model in TABLE if model not in (*ANALYTICS, *SCHEDULES, StatusTier)]
PEOPLE = ("programme", "owner", "cashier", "without_business", "anonymous")


def address(model: type, page: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


@pytest.fixture
def own(db: None) -> Shop:
    return open_shop("ours", code="A")


@pytest.fixture
def other(db: None) -> Shop:
    return open_shop(CANARY, code="B")


@pytest.fixture
def clients(own: Shop, other: Shop) -> dict[str, Client]:
    programme = StaffFactory(business=Business.objects.get(is_programme=True)).member
    people = {
        "programme": programme,
        "owner": own.owner,
        "cashier": own.cashier,
        "without_business": MemberFactory(is_staff=True),
    }
    clients = {name: Client() for name in PEOPLE}
    for name, member in people.items():
        clients[name].force_login(member)
    return clients


def test_every_page_of_the_admin_is_in_the_table():
    assert set(admin.site._registry) == set(TABLE)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("model", TABLE, ids=lambda model: model.__name__)
def test_pages_open_to_whom_the_table_says(clients, own, model, person):
    may = TABLE[model].get(person, "")
    refused = 302 if person == "anonymous" else 403
    client = clients[person]
    row = own.rows.get(model) or model.objects.first()

    def status(page: str, *arguments: Any, query: str = "") -> int:
        return client.get(address(model, page, *arguments) + query).status_code

    allowed = 200 if "v" in may else refused
    assert status("changelist") == allowed
    assert status("changelist", query="?q=ours-receipt-A") == allowed
    assert status("add") == (200 if "a" in may else refused)
    if row is not None:
        # Who may see no row at all meets a missing one before a forbidden page.
        hidden = refused if person in ("anonymous", "programme") else 404
        seen = 200 if "v" in may else hidden
        assert status("change", row.pk) in (seen, refused if "v" not in may else seen)
        assert status("history", row.pk) in (seen, refused if "v" not in may else seen)
        if "d" not in may:
            assert status("delete", row.pk) in (refused, 404)


@pytest.mark.parametrize("person", ["owner", "cashier", "without_business"])
@pytest.mark.parametrize("page", ["change", "history", "delete"])
@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__name__)
def test_a_row_of_another_business_is_not_found(clients, other, model, page, person):
    response = clients[person].get(address(model, page, other.rows[model].pk))

    # Refused before the row is looked for, or not found: never anything that tells them apart.
    missing = clients[person].get(address(model, page, "0198f2f0-0000-7000-8000-000000000000"))
    assert response.status_code == missing.status_code
    assert response.status_code in (403, 404)
    if "v" in TABLE[model].get(person, "") and page != "delete":
        assert response.status_code == 404


@pytest.mark.parametrize("person", ["owner", "cashier"])
def test_no_page_of_ours_carries_a_word_of_theirs(clients, own, other, person):
    addresses = [reverse("admin:index")]
    for model in TABLE:
        addresses += [address(model, "changelist"), address(model, "changelist") + f"?q={CANARY}",
                      address(model, "add")]  # fmt: skip
        if row := own.rows.get(model):
            addresses += [address(model, "change", row.pk), address(model, "history", row.pk)]
        addresses += [address(model, page, other.rows[model].pk) for page in ("change", "history", "delete")
                      if model in other.rows]  # fmt: skip

    for path in addresses:
        body = clients[person].get(path).content.decode()
        # What was searched for comes back in the search box and in links.
        assert CANARY not in body.replace(f"q={CANARY}", "").replace(f"q%3D{CANARY}", "").replace(
            f'value="{CANARY}"', ""
        ), path
        assert other.rows[Member].phone not in body, path


REPORTS = ("rfm", "forecast", "cohorts", "segments", "liability", "breakage", "win_win")


@pytest.mark.parametrize("person", PEOPLE)
def test_reports_open_to_who_may_see_money_and_carry_no_word_of_others(clickhouse, clients, other, person):
    expected = {"programme": 200, "owner": 200, "anonymous": 302}.get(person, 403)
    for name in REPORTS:
        response = clients[person].get(reverse(f"admin:reports_{name}"))
        assert response.status_code == expected, name
        assert CANARY not in response.content.decode(), name


@pytest.mark.parametrize("lookup", [
    "phone__startswith=%2B79", "last_name__startswith=o", "email__contains=%40", "birth_date__year=1980",
    "password__startswith=p",
])  # fmt: skip
def test_hidden_columns_cannot_be_guessed_by_address(clients, own, lookup):
    response = clients["owner"].get(address(Member, "changelist") + f"?{lookup}")

    assert response.status_code in (302, 400)
    assert "ours name" not in response.content.decode()


def test_search_of_another_businesss_row_finds_nothing(clients, own, other):
    for model, text in [(Transaction, f"{CANARY}-receipt-B"), (Transaction, f"{CANARY}-card-B"),
                        (Member, f"{CANARY}-card-B"), (Coupon, other.rows[Coupon].code)]:  # fmt: skip
        page = clients["owner"].get(address(model, "changelist"), {"q": text})
        assert list(page.context["cl"].result_list) == []
        page = clients["programme"].get(address(model, "changelist"), {"q": text})
        assert [row.pk for row in page.context["cl"].result_list] == [other.rows[model].pk]


def test_only_the_programme_searches_by_phone(clients, own):
    for model in (Member, Transaction):
        query = {"q": own.rows[Member].phone}
        assert list(clients["owner"].get(address(model, "changelist"), query).context["cl"].result_list) == []
        found = clients["programme"].get(address(model, "changelist"), query).context["cl"].result_list
        assert [row.pk for row in found] == [own.rows[model].pk]


def test_a_partner_sees_a_first_name_and_a_masked_phone_only(clients, own):
    member = own.rows[Member]
    for page in ("change", "history"):
        body = clients["owner"].get(address(Member, page, member.pk)).content.decode()
        for hidden in (member.phone, member.last_name, member.email, "1980"):
            assert hidden not in body
    shown = clients["owner"].get(address(Member, "change", member.pk)).content.decode()
    assert member.first_name in shown
    assert member.masked_phone in shown


def test_history_names_a_colleague_without_the_phone(clients, own):
    LogEntry.objects.log_actions(own.owner.pk, [own.business], 2, change_message="x", single_object=True)

    body = clients["owner"].get(address(Business, "history", own.business.pk)).content.decode()

    assert "ours owner" in body
    assert own.owner.phone not in body


def test_autocomplete_answers_strangers_nothing(clients, other):
    query = {"app_label": "loyalty", "model_name": "transaction", "field_name": "member", "term": CANARY}
    for person in ("owner", "cashier", "without_business"):
        response = clients[person].get(reverse("admin:autocomplete"), query)
        assert CANARY not in response.content.decode().replace(f"term={CANARY}", "")


@pytest.mark.parametrize("model", [Transaction, Coupon, StaffMembership, ParkedRefund, BonusEntry, BonusLot,
                                   CouponCampaign, CrmIntegration, CrmMessage, CrossPromoChain, Member, Offer,
                                   Quote, Referral, WebhookDelivery, WebhookEndpoint],
                         ids=lambda model: model.__name__)  # fmt: skip
def test_lists_ask_the_database_the_same_for_one_row_and_three(
    clients, own, model, django_assert_max_num_queries
):
    def queries() -> int:
        with django_assert_max_num_queries(100) as asked:
            assert clients["programme"].get(address(model, "changelist")).status_code == 200
        return len(asked)

    queries()
    first = queries()
    open_shop("third", code="C")
    open_shop("fourth", code="D")
    assert queries() == first


def test_owner_of_one_shop_and_cashier_of_another_manages_the_first_only(clients, own, other):
    StaffFactory(member=own.owner, business=other.business, role="cashier")

    assert clients["owner"].get(address(ApiKey, "change", other.rows[ApiKey].pk)).status_code == 404
    assert clients["owner"].get(address(Member, "change", other.rows[Member].pk)).status_code == 404
    assert clients["owner"].get(address(Transaction, "change", other.rows[Transaction].pk)).status_code == 200


def test_only_the_admin_relaxes_the_policy_of_scripts(client, clients):
    admin_policy = clients["owner"].get(reverse("admin:index")).headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in admin_policy
    assert "style-src 'self' 'unsafe-inline'" in admin_policy
    assert "Content-Security-Policy" not in client.get("/api/v1/me").headers  # JSON is no page
    for path in ("/", "/healthz"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'self'" in policy
