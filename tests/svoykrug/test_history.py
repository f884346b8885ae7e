"""The history of a row in the admin: who changed what, and to whom it is shown."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from loyalty.models import AuditLog, Business, Member
from svoykrug.db.actor import Actor, ActorKind, acting_as
from tests.factories import BusinessFactory, CouponFactory, MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db


def page_of(person, model, page, *arguments, **query):
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(person)
    address = reverse(f"admin:loyalty_{model._meta.model_name}_{page}", args=arguments)
    return client.get(address, query)


@pytest.fixture
def programme():
    return StaffFactory(business=Business.objects.get(is_programme=True)).member


@pytest.fixture
def owner(business):
    return StaffFactory(business=business, member__first_name="Boris").member


def rename(business, name, kind=ActorKind.STAFF, actor_id=None):
    with acting_as(Actor(kind, actor_id, "r-77777777")):
        Business.objects.filter(pk=business.pk).update(name=name)


def shown(response):
    return [(change.who, change.deed, change.values) for change in response.context["changes"]]


def test_history_names_who_changed_what_newest_first(owner, business):
    before = business.name
    rename(business, "Bakery", actor_id=owner.pk)
    Business.objects.filter(pk=business.pk).update(is_active=False)

    changes = shown(page_of(owner, Business, "history", business.pk))

    assert changes[:2] == [
        ("system", "changed", [("active", "yes", "no")]),
        ("staff: Boris", "changed", [("name", before, "Bakery")]),
    ]
    assert changes[2][1] == "created"


def test_a_partner_reads_no_history_of_a_member(owner, programme, business):
    member = MemberFactory()
    CouponFactory(member=member, business=business)

    assert shown(page_of(owner, Member, "history", member.pk)) == []
    assert [deed for _who, deed, _values in shown(page_of(programme, Member, "history", member.pk))] == [
        "created"
    ]


def test_history_of_another_business_is_not_found(owner):
    assert page_of(owner, Business, "history", BusinessFactory().pk).status_code == 404


def test_an_actor_who_is_gone_is_said_to_be(owner, business):
    rename(business, "Bakery", actor_id=(gone := MemberFactory()).pk)
    gone.delete()

    assert shown(page_of(owner, Business, "history", business.pk))[0][0] == "staff: no longer there"


def test_the_journal_asks_the_database_the_same_for_one_row_and_many(programme, business, owner):
    def asked():
        with CaptureQueriesContext(connection) as log:
            assert page_of(programme, AuditLog, "changelist").status_code == 200
        return len(log)

    rename(business, "Bakery", actor_id=owner.pk)
    once = asked()
    for number in range(30):
        rename(business, f"Bakery {number}", actor_id=owner.pk)
    assert asked() == once


@pytest.mark.parametrize("query", [
    {"table": "businesses"}, {"actor_kind__exact": "staff"}, {"action__exact": "update"}, {"q": "r-77777777"},
])  # fmt: skip
def test_the_journal_is_filtered(programme, business, query):
    rename(business, "Bakery")

    rows = page_of(programme, AuditLog, "changelist", **query).context["cl"].result_list

    assert rows[0].row_id == business.pk
    assert {(row.table_name, row.actor_kind, row.action) for row in rows} != {
        (row.table_name, row.actor_kind, row.action) for row in AuditLog.objects.all()
    }


def test_the_journal_is_searched_by_row_and_by_person(programme, business, owner):
    rename(business, "Bakery", actor_id=owner.pk)

    def found(text):
        rows = page_of(programme, AuditLog, "changelist", q=str(text)).context["cl"].result_list
        return [(row.table_name, row.action) for row in rows]

    assert found(business.pk) == [("businesses", "update"), ("businesses", "insert")]
    assert found(owner.pk) == [("businesses", "update"), ("users", "insert")]


def test_the_page_of_one_change_opens(programme, business):
    rename(business, "Bakery")
    row = AuditLog.objects.latest("created_at")

    page = page_of(programme, AuditLog, "change", row.pk).content.decode()

    assert "Bakery" in page
    assert reverse("admin:loyalty_business_history", args=[business.pk]) in page
