"""CRM settings and messages in the admin: set up, tried, mended, applied again; of the own business only."""

import json
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from loyalty.models import AuditLog, Business, CrmIntegration, CrmMessage, Transaction
from promos.crm.applying import apply_message
from promos.crm.integrations import secrets_of, store
from promos.crm.mapping import read_mapping
from promos.crm.questions import address, cursor_of, headers, read_question
from promos.crm.reading import Skipped, Told, read_events
from promos.crm.trying import try_message
from promos.crm.vendors import OWN, VENDORS
from promos.tasks import apply_crm_message
from svoykrug.encryption import decrypt
from tests.factories import BusinessFactory, MemberFactory, StaffFactory
from tests.promos.crm.messages import MAPPING, connect, encoded, sale
from tests.promos.crm.test_reading import MOSCOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]


def client_of(member):
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(member)
    return client


@pytest.fixture
def owner(business):
    return client_of(StaffFactory(business=business).member)


@pytest.fixture
def queued(monkeypatch):
    asked = []
    monkeypatch.setattr(apply_crm_message, "delay_on_commit", asked.append)
    return asked


def page(name, *arguments, model="crmintegration"):
    return reverse(f"admin:loyalty_{model}_{name}", args=arguments)


def deed(name, row):
    kind = type(row)._meta.model_name
    return reverse(f"admin:loyalty_{kind}_{name}", args=[row.pk])


def form(business, **fields):
    return {
        "business": business.pk, "provider": OWN, "base_url": "", "mapping": "", "polling": "",
        "new_token": "", "is_active": "on",
    } | fields  # fmt: skip


def failed_message(integration, message=None):
    store(integration, {"0" * 64: encoded(message or sale())}, at=timezone.now())
    kept = CrmMessage.objects.get()
    apply_message(kept.pk, at=timezone.now())
    kept.refresh_from_db()
    return kept


def test_the_secret_is_shown_once_and_kept_encrypted(owner, business):
    answer = owner.post(page("add"), form(business))

    integration = CrmIntegration.objects.get()
    [secret] = secrets_of(integration, at=timezone.now())
    text = answer.content.decode()
    assert (secret in text, f"/api/v1/crm/{integration.pk}/events" in text) == (True, True)
    assert "no-store" in answer.headers["Cache-Control"]
    assert integration.mapping == VENDORS[OWN].mapping
    assert integration.next_poll_at is None
    shown = owner.get(page("change", integration.pk)).content.decode()
    assert secret not in shown
    assert secret.removeprefix("whsec_") not in json.dumps(
        list(AuditLog.objects.values_list("changes")), default=str
    )


def test_a_new_secret_is_shown_once_and_the_old_one_lives_on(owner, business):
    integration, old = connect(business)

    asked = owner.get(deed("new_secret", integration)).content.decode()
    text = owner.post(deed("new_secret", integration)).content.decode()

    integration.refresh_from_db()
    new, kept = secrets_of(integration, at=timezone.now())
    assert (kept, new in text, old in text, new in asked) == (old, True, False, False)


def test_the_vendors_key_is_written_and_never_read(owner, business, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    integration, _ = connect(business)
    polling = json.dumps(VENDORS["amocrm"].polling)
    fields = form(business, mapping=json.dumps(MAPPING), polling=polling, base_url="http://127.0.0.1:9")

    owner.post(page("change", integration.pk), fields | {"new_token": "s3cret-token"})
    integration.refresh_from_db()
    assert decrypt(integration.token) == "s3cret-token"
    assert integration.next_poll_at is not None
    CrmIntegration.objects.update(cursor={"mark": "5", "page": 1, "seen": ""})
    owner.post(page("change", integration.pk), fields)

    integration.refresh_from_db()
    assert (decrypt(integration.token), integration.cursor["mark"]) == ("s3cret-token", "5")
    assert "s3cret-token" not in owner.get(page("change", integration.pk)).content.decode()
    changed = json.loads(polling) | {"start": "7"}
    owner.post(page("change", integration.pk), fields | {"polling": json.dumps(changed)})
    integration.refresh_from_db()
    assert integration.cursor == {}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"mapping": "{"}, "mapping", "JSON"),
        ({"mapping": '{"amount": "sum"}'}, "mapping", "external_id"),
        ({"mapping": json.dumps(MAPPING | {"amount": {"path": "a", "unit": "x"}})}, "mapping", "kopecks"),
        ({"polling": '{"path": "x"}', "base_url": "https://127.0.0.1"}, "polling", "polling.items"),
        ({"polling": json.dumps(VENDORS["bitrix24"].polling)}, "base_url", "asked"),
        ({"base_url": "https://127.0.0.1/"}, "base_url", "private"),
        ({"base_url": "ftp://example.com"}, "base_url", ""),
        ({"new_token": "ключ"}, "new_token", "Latin"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_at_its_field_and_nothing_is_saved(owner, business, fields, field, words):
    answer = owner.post(page("add"), form(business, **fields))

    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert field in errors
    assert words in str(errors[field])
    assert not CrmIntegration.objects.exists()


def test_a_business_has_one_integration(owner, business):
    connect(business)

    assert owner.post(page("add"), form(business)).status_code == 200
    assert CrmIntegration.objects.count() == 1


def test_a_sample_is_read_and_nothing_is_stored(owner, business):
    integration, _ = connect(business, mapping=MAPPING | {"events": "all"})
    MemberFactory(phone="+79260000010")
    sample = {"all": [sale(), sale("c-2", sum="?"), sale("c-3", client={"phone": "+79160000000"})]}

    text = owner.post(deed("try_out", integration), {"sample": json.dumps(sample)}).content.decode()

    assert [
        text.count(words) for words in ("would be recorded", "cannot be recorded", "would be left out")
    ] == [1, 1, 1]
    assert "c-1" in text
    assert re.search(r"1.000.*₽", text)
    assert not CrmMessage.objects.exists()
    assert not Transaction.objects.exists()
    broken = owner.post(deed("try_out", integration), {"sample": "{"}).content.decode()
    assert 'aria-invalid="true"' in broken


def test_a_mended_message_is_applied_again(owner, business, queued):
    MemberFactory(phone="+79260000010")
    integration, _ = connect(business, mapping=MAPPING | {"amount": "total"})
    message = failed_message(integration)
    text = owner.get(page("change", message.pk, model="crmmessage")).content.decode()
    assert "total" in text
    assert "+79260000010" in text
    CrmIntegration.objects.update(mapping=MAPPING)

    assert owner.get(deed("replay", message)).status_code == 200
    assert queued == []
    owner.post(deed("replay", message))

    assert queued == [str(message.pk)]
    assert apply_crm_message(queued[0]) == "applied"
    purchase = Transaction.objects.get()
    shown = owner.get(page("change", message.pk, model="crmmessage")).content.decode()
    assert reverse("admin:loyalty_transaction_change", args=[purchase.pk]) in shown


def test_marked_and_failed_messages_are_applied_again(owner, business, queued):
    integration, _ = connect(business, mapping=MAPPING | {"amount": "total"})
    message = failed_message(integration)

    marked = {"action": "replay_marked", "_selected_action": [message.pk]}
    owner.post(page("changelist", model="crmmessage"), marked)
    message.refresh_from_db()
    assert (message.status, queued) == ("received", [str(message.pk)])
    apply_crm_message(queued[0])
    owner.post(deed("replay", integration))
    message.refresh_from_db()
    assert message.status == "received"


def test_another_businesss_rows_are_not_there_and_a_cashier_may_nothing(business, queued):
    other = BusinessFactory()
    integration, _ = connect(other)
    message = failed_message(integration, b"{")
    stranger = client_of(StaffFactory(business=business).member)
    cashier = client_of(StaffFactory(business=other, role="cashier").member)

    for name, row in (
        ("try_out", integration), ("new_secret", integration), ("replay", integration), ("replay", message),
    ):  # fmt: skip
        for client in (stranger, cashier):
            for method in ("get", "post"):
                assert getattr(client, method)(deed(name, row)).status_code in (403, 404), (name, method)
        assert stranger.post(deed(name, row)).status_code == 404
    marked = {"action": "replay_marked", "_selected_action": [message.pk]}
    stranger.post(page("changelist", model="crmmessage"), marked)
    message.refresh_from_db()
    assert (message.status, queued) == ("failed", [])
    assert secrets_of(CrmIntegration.objects.get(), at=timezone.now()) == secrets_of(
        integration, at=timezone.now()
    )


def test_a_manager_may_as_the_owner_may(business):
    manager = client_of(StaffFactory(business=business, role="manager").member)
    integration, _ = connect(business)

    assert manager.get(page("change", integration.pk)).status_code == 200
    assert manager.get(deed("try_out", integration)).status_code == 200


def test_hostile_words_of_a_message_are_only_words(owner, business):
    integration, _ = connect(business)
    message = failed_message(integration, {"id": "<script>alert(1)</script>", "type": "<b>x</b>"})

    for address_ in (page("change", message.pk, model="crmmessage"), page("changelist", model="crmmessage")):
        assert "<script>alert" not in owner.get(address_).content.decode()
        assert "<b>x</b>" not in owner.get(address_).content.decode()


# --- The command ------------------------------------------------------------------------------------------


def test_the_command_applies_failed_messages_again(business):
    MemberFactory(phone="+79260000010")
    integration, _ = connect(business, mapping=MAPPING | {"amount": "total"})
    message = failed_message(integration)
    CrmIntegration.objects.update(mapping=MAPPING)

    def run(*arguments):
        out = StringIO()
        call_command("replay_crm_messages", *arguments, stdout=out)
        return out.getvalue().strip()

    assert run("--business", BusinessFactory().code) == "messages=0"
    assert run("--business", business.code) == "messages=1 applied=1"
    assert run() == "messages=0"
    assert run("--message", str(message.pk)) == "messages=1 applied=1"
    assert run("--status", "applied") == "messages=1 applied=1"
    assert Transaction.objects.count() == 1
    with pytest.raises(CommandError, match="NOBODY"):
        run("--business", "NOBODY")


# --- What is ready for vendors ----------------------------------------------------------------------------

AMO = {
    "id": 17657, "price": 25000, "status_id": 142, "updated_at": 1588241643, "closed_at": 1588241600,
    "custom_fields_values": [
        {"field_name": "Источник", "values": [{"value": "сайт"}]},
        {"field_name": "Телефон", "values": [{"value": "+7 926 000-00-10"}]},
    ],
}  # fmt: skip
BITRIX = {
    "ID": "77", "STAGE_SEMANTIC_ID": "S", "OPPORTUNITY": "1249.50", "UF_CRM_PHONE": "89260000010",
    "DATE_MODIFY": "2026-11-21T10:00:00+03:00", "MOVED_TIME": "2026-11-20T14:05:00+03:00",
}  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "item", "receipt", "amount", "open_item"),
    [
        ("amocrm", AMO, "amo-17657", "25000.00", AMO | {"status_id": 143}),
        ("bitrix24", BITRIX, "b24-77", "1249.50", BITRIX | {"STAGE_SEMANTIC_ID": "P"}),
        ("own", sale(), "c-1", "1000.00", None),
    ],
)
def test_ready_mappings_read_what_the_vendor_documents(vendor, item, receipt, amount, open_item):
    mapping = read_mapping(VENDORS[vendor].mapping, zone=MOSCOW)

    [told] = read_events(item, mapping)
    assert (type(told), told.external_id, str(told.amount), told.phone) == (
        Told,
        receipt,
        amount,
        "+79260000010",
    )
    if open_item:
        assert type(read_events(open_item, mapping)[0]) is Skipped


def test_ready_questions_ask_as_the_vendor_documents():
    for name, vendor in VENDORS.items():
        assert (vendor.documentation.startswith("https://"), bool(vendor.polling)) == (
            name != OWN,
            name != OWN,
        )
    question = read_question(VENDORS["bitrix24"].polling)
    cursor = cursor_of({"mark": "2026-11-20T00:00:00+03:00", "page": 3, "seen": ""}, question)
    asked = address("https://x.bitrix24.ru", question, cursor, "1/abc")
    assert asked.startswith(
        "https://x.bitrix24.ru/rest/1/abc/crm.deal.list.json?filter%5B%3E%3DDATE_MODIFY%5D=2026"
    )
    assert asked.endswith("start=100")
    question = read_question(VENDORS["amocrm"].polling)
    assert headers(question, cursor_of({}, question), "t")["Authorization"] == "Bearer t"


def test_trying_asks_nothing_of_other_businesses(business):
    assert [event.ok for event in try_message(json.dumps(sale()), connect(business)[0])] == [False]
    assert Business.objects.count() >= 1
