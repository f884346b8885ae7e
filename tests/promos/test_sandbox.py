"""A sandbox: test keys act on a copy of the business, and nothing real ever notices."""

import json
from datetime import timedelta
from decimal import Decimal as D
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from loyalty.models import (
    ApiKey,
    Bonus,
    Business,
    Member,
    Notification,
    ParkedRefund,
    Transaction,
    WebhookDelivery,
)
from loyalty.services.api_keys import DEFAULT_SCOPES, create_api_key, use_api_key
from loyalty.services.messages import Message, queue
from loyalty.services.presence import issue_code
from loyalty.services.sandbox import keep_alike
from loyalty.services.verification import verify_ledger
from loyalty.services.webhooks.endpoints import add_endpoint
from promos.models import Coupon
from promos.services.checkout import record_purchase
from promos.services.sandbox import create_test_key
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, CouponFactory, MemberFactory, StaffFactory, give_bonuses
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db
LOOPBACK = ["127.0.0.0/8"]


def open_for(business):
    """Return the sandbox of the business, a till with a test key, and its members by tier."""
    key, secret = create_test_key(
        business=business, scopes=ApiKey.Scope.values, label="till", at=timezone.now()
    )
    members = Member.with_sandboxes.filter(sandbox_members__sandbox=key.sandbox).order_by("phone")
    return key.sandbox, Caller(f"Api-Key {secret}"), list(members)


@pytest.fixture
def shop(db):
    return BusinessFactory(pending_days=0, redemption_cap_percent=D("15.00"))


@pytest.fixture
def sandbox(shop, own_codes):
    return open_for(shop)


@pytest.fixture
def live(shop):
    return Caller(f"Api-Key {create_api_key(business=shop, scopes=ApiKey.Scope.values)[1]}")


# --- Opening ------------------------------------------------------------------------------------------


def test_the_first_test_key_opens_a_sandbox_like_its_business(shop, sandbox):
    copy, _till, members = sandbox

    assert (copy.is_sandbox, copy.name, copy.redemption_cap_percent) == (True, shop.name, D("15.00"))
    assert copy.code != shop.code
    assert [member.status_tier.level for member in members] == [1, 2, 3, 4]
    balances = Bonus.objects.filter(member__in=members).order_by("member__phone")
    assert list(balances.values_list("balance", flat=True)) == [D(300), D(1200), D(3600), D(9600)]
    assert Coupon.objects.filter(business=copy).count() == 4


def test_a_second_test_key_acts_on_the_same_sandbox(shop, sandbox):
    copy, till, members = sandbox
    till.post("transactions", {"external_id": "1", "member": {"phone": members[0].phone}, "amount": "100.00"})

    again, _till, same_members = open_for(shop)

    assert (again, same_members) == (copy, members)
    assert Business.with_sandboxes.filter(is_sandbox=True).count() == 1
    assert Bonus.objects.get(member=members[0]).balance == D("303.00")


def test_every_business_has_a_sandbox_of_its_own(sandbox):
    _copy, till, members = sandbox

    _other, other_till, others = open_for(BusinessFactory())

    assert not {member.phone for member in members} & {member.phone for member in others}
    assert refusal(till.get("members/lookup", phone=others[0].phone))[:2] == (404, "member_not_found")
    assert refusal(other_till.get("members/lookup", card=members[0].card_number))[0] == 404


def test_a_test_key_knows_itself_by_its_beginning_and_belongs_to_the_business(shop, sandbox):
    key, secret = create_test_key(business=shop, scopes=DEFAULT_SCOPES, label="", at=timezone.now())

    used = use_api_key(secret, at=timezone.now())

    assert secret.startswith("sk_test_")
    assert key.prefix == secret[:14]
    assert ApiKey.objects.get(pk=key.pk).business == shop
    assert used.business == sandbox[0]


def test_an_idle_business_closes_its_sandbox(shop, sandbox):
    Business.objects.filter(pk=shop.pk).update(is_active=False)
    shop.refresh_from_db()

    keep_alike(shop)

    assert sandbox[1].get("transactions").status_code == 401


def test_authentication_and_a_purchase_cost_a_test_key_no_more_queries(sandbox, live, member, monkeypatch):
    _copy, till, members = sandbox
    counts = []
    for caller, buyer in [(live, member), (till, members[0])] * 2:
        number = len(counts)
        with CaptureAll() as asked:
            answer = caller.post(
                "transactions",
                {"external_id": f"q{number}", "member": {"phone": buyer.phone}, "amount": "1.00"},
            )
        assert answer.status_code == 201
        counts.append(len(asked.statements))
    # The first of each notes the use of its key.
    assert counts[2] == counts[3]


class CaptureAll:
    """Every statement of this connection."""

    def __enter__(self):
        self.statements = []
        self._wrapper = connection.execute_wrapper(self._note)
        self._wrapper.__enter__()
        return self

    def _note(self, execute, sql, params, many, context):
        self.statements.append(sql)
        return execute(sql, params, many, context)

    def __exit__(self, *error):
        self._wrapper.__exit__(*error)


def test_the_command_prints_members_to_try_and_the_key_last(business):
    out = StringIO()

    call_command("create_api_key", "--business", business.code, "--test", stdout=out)

    *told, secret = out.getvalue().splitlines()
    key = use_api_key(secret, at=timezone.now())
    phones = list(
        key.business.sandbox_members.order_by("member__phone").values_list("member__phone", flat=True)
    )
    assert [line.split()[0] for line in told if line.startswith("  +")] == phones
    assert secret.startswith("sk_test_")


def test_owners_make_test_keys_and_see_them_marked_and_nothing_of_the_sandbox(shop, sandbox, member, client):
    StaffFactory(member=member, business=shop)
    member.is_staff = True
    member.save()
    client.force_login(member)
    scopes = [str(scope) for scope in DEFAULT_SCOPES]
    page = "/admin/loyalty/apikey/"

    added = client.post(
        f"{page}add/", {"business": shop.pk, "label": "tests", "test": "on", "scopes": scopes}
    )
    listed = client.get(page).content.decode()

    assert "sk_test_" in added.content.decode()
    assert [phone in added.content.decode() for phone in (m.phone for m in sandbox[2])] == [True] * 4
    made = ApiKey.objects.get(label="tests")
    assert (made.business, made.sandbox) == (shop, sandbox[0])
    assert listed.count("sk_test_") == 2


@pytest.mark.parametrize("who", ["owner", "programme"])
def test_admin_lists_leave_out_what_happened_in_sandboxes(shop, sandbox, live, member, client, who):
    place = shop if who == "owner" else Business.objects.get(is_programme=True)
    client.force_login(StaffFactory(business=place).member)
    live.post("transactions", {"external_id": "real-1", "member": {"phone": member.phone}, "amount": "1.00"})
    CouponFactory(business=shop, member=member)
    early = {"external_id": "early-1", "refund_of": "0", "amount": "1.00", "member": {"phone": member.phone}}
    live.post("refunds", early)
    early |= {"external_id": "early-2", "member": {"phone": sandbox[2][0].phone}}
    sandbox[1].post("refunds", early)

    purchases, coupons, parked, members = (
        client.get(f"/admin/{name}/").content.decode()
        for name in ("loyalty/transaction", "promos/coupon", "loyalty/parkedrefund", "loyalty/member")
    )

    assert ("real-1" in purchases, "first-of-" in purchases) == (True, False)
    codes = list(Coupon.objects.filter(business=sandbox[0]).values_list("code", flat=True))
    assert not any(code in coupons for code in codes)
    assert ("early-1" in parked, "early-2" in parked) == (True, False)
    assert not any(str(someone.pk) in members for someone in sandbox[2])


# --- Neither sees the other ---------------------------------------------------------------------------


def test_a_test_key_never_meets_a_real_member(sandbox, member, shop):
    _copy, till, _members = sandbox
    give_bonuses(member, shop, "100.00", at=timezone.now() - timedelta(days=1))
    code = issue_code(member.pk, at=timezone.now()).code
    bill = {"external_id": "1", "amount": "100.00"}
    named = [{"phone": member.phone}, {"card": member.card_number}]

    answers = [till.get("members/lookup", **who) for who in named]
    answers += [till.post("transactions", bill | {"member": who}) for who in named]
    answers += [till.post("quotes", {"amount": "100.00", "member": who}) for who in named]
    answers += [till.post("refunds", bill | {"refund_of": "0", "member": who}) for who in named]
    by_code = [
        till.get("members/lookup", code=code),
        till.post("transactions", bill | {"member": {"code": code}}),
        till.post("quotes", {"amount": "100.00", "member": {"code": code}}),
    ]
    batch = till.post("transactions/batch", [bill | {"member": who} for who in named]).json()["results"]

    assert {refusal(answer)[:2] for answer in answers} == {(404, "member_not_found")}
    assert {refusal(answer)[:2] for answer in by_code} == {(403, "presence_code_invalid")}
    assert {row["code"] for row in batch} == {"member_not_found"}
    assert not Transaction.objects.filter(member=member).exists()


def test_a_live_key_never_meets_a_sandboxes_member(sandbox, live):
    _copy, till, members = sandbox
    someone = members[1]
    code = till.post("members/presence-code", {"member": {"phone": someone.phone}}).json()["code"]
    bill = {"external_id": "1", "amount": "100.00"}
    who = {"phone": someone.phone}

    answers = [
        live.get("members/lookup", **who),
        live.get("members/lookup", card=someone.card_number),
        live.post("transactions", bill | {"member": who}),
    ]
    by_code = live.post("transactions", bill | {"member": {"code": code}})
    told = live.post("members/presence-code", {"member": who})

    assert {refusal(answer)[:2] for answer in answers} == {(404, "member_not_found")}
    assert refusal(by_code)[:2] == (403, "presence_code_invalid")
    assert (told.status_code, set(told.json())) == (202, {"expires_in"})


def test_objects_of_the_one_are_not_found_by_the_other(sandbox, live, member, shop, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    _copy, till, members = sandbox
    answers = []
    for own, other, buyer in [(till, live, members[0]), (live, till, member)]:
        bill = {"external_id": "1", "amount": "100.00", "member": {"phone": buyer.phone}}
        bought = own.post("transactions", bill).json()["id"]
        quote = own.post("quotes", {"amount": "1.00", "member": {"phone": buyer.phone}}).json()["id"]
        hook = {"url": "http://127.0.0.1:9/hook", "events": ["purchase.created"]}
        endpoint = own.post("webhook-endpoints", hook).json()["id"]
        coupon = Coupon.objects.filter(business=own_business(own, sandbox, shop)).first() or CouponFactory(
            business=shop, member=member
        )
        assert own.get(f"coupons/{coupon.code}").status_code == 200
        answers += [
            other.get(f"transactions/{bought}"),
            other.post(f"transactions/{bought}/refunds", {"external_id": "R", "amount": "1.00"}),
            other.delete(f"quotes/{quote}"),
            other.get(f"coupons/{coupon.code}"),
            other.delete(f"webhook-endpoints/{endpoint}"),
        ]
        assert [row["id"] for row in own.get("webhook-endpoints").json()["results"]] == [endpoint]
        receipts = [row["external_id"] for row in own.get("transactions").json()["results"]]
        assert receipts[0] == "1"
        assert bought not in other.get("transactions").content.decode()

    assert {refusal(answer)[:2] for answer in answers} == {(404, "not_found")}


def own_business(caller, sandbox, shop):
    return sandbox[0] if caller is sandbox[1] else shop


def test_a_phone_of_a_sandbox_is_nobodys_to_sign_in_by(sandbox, client):
    phone = sandbox[2][0].phone

    answer = Caller().post("auth/otp", {"phone": phone})

    assert refusal(answer) == (400, "invalid", [("phone", "invalid")])
    with pytest.raises(IntegrityError), transaction.atomic():
        MemberFactory(phone="+71000000199")
    assert list(Member.objects.filter(phone=phone)) == []


def test_public_lists_leave_sandboxes_out(sandbox, shop):
    listed = [row["id"] for row in Caller().get("businesses", page_size=200).json()["results"]]

    assert listed.count(str(shop.pk)) == 1
    assert str(sandbox[0].pk) not in listed


# --- Everything a test key can do, and what it leaves -------------------------------------------------

# Rows of tables that no rule of sandboxes concerns: what the machine notes of its own work.
OF_THE_MACHINE = {"audit_logs", "idempotency_keys", "django_session", "api_keys"}


def real_rows():
    """Return a fingerprint of every table, of its rows that belong to no sandbox."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
            "AND table_type = 'BASE TABLE' ORDER BY 1"
        )
        found = {}
        for (table,) in cursor.fetchall():
            if table not in OF_THE_MACHINE:
                cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1")
                found[table] = [json.loads(row) for (row,) in cursor.fetchall()]
        cursor.execute(
            "SELECT id::text FROM users WHERE is_sandbox "
            "UNION SELECT id::text FROM businesses WHERE is_sandbox"
        )
        sandbox = {row for (row,) in cursor.fetchall()}
    # Whatever points at a row of a sandbox belongs to it, and so on.
    while True:
        more = {
            row["id"]
            for rows in found.values()
            for row in rows
            if "id" in row
            and row["id"] not in sandbox
            and sandbox & {v for k, v in row.items() if isinstance(v, str)}
        }
        if not more:
            break
        sandbox |= more
    return {
        table: [row for row in rows if not sandbox & {v for v in row.values() if isinstance(v, str)}]
        for table, rows in found.items()
    }


def everything(till, member, coupon):
    """Make every call that a test key may make; return the answers by call."""
    who = {"phone": member.phone}
    code = till.post("members/presence-code", {"member": who}).json()["code"]
    hook = till.post("webhook-endpoints", {"url": "http://127.0.0.1:9/hook", "events": ["purchase.created"]})
    endpoint = hook.json()["id"]
    answers = [hook]
    lookup = till.get("members/lookup", code=code)
    quote = till.post("quotes", {"member": who, "amount": "1000.00", "redeem": "50.00", "hold": True,
                                 "coupon": coupon.code})  # fmt: skip
    cancelled = till.delete(f"quotes/{quote.json()['id']}")
    bill = {"external_id": "e1", "member": who, "amount": "1000.00", "redeem": "50.00", "presence_code": code,
            "coupon": coupon.code, "lines": [{"amount": "400.00"}, {"amount": "600.00"}]}  # fmt: skip
    bought = till.post("transactions", bill)
    refund = till.post(
        f"transactions/{bought.json()['id']}/refunds", {"external_id": "e2", "amount": "100.00"}
    )
    early = till.post("refunds", {"external_id": "e3", "refund_of": "e9", "member": who, "amount": "5.00"})
    batch = till.post("transactions/batch", [
        {"external_id": "e4", "member": {"card": member.card_number}, "amount": "400000.00"},
        {"kind": "refund", "external_id": "e5", "refund_of": "e4", "amount": "1.00"},
    ])  # fmt: skip
    answers += [lookup, quote, cancelled, bought, refund, early, batch]
    answers += [
        till.get("transactions"), till.get(f"transactions/{bought.json()['id']}"),
        till.get(f"coupons/{coupon.code}"), till.get("webhook-endpoints"),
        till.get("webhook-deliveries"), till.patch(f"webhook-endpoints/{endpoint}", {"description": "x"}),
    ]  # fmt: skip
    return answers


def test_nothing_a_test_key_does_reaches_a_real_row_queue_or_fact(sandbox, shop, member, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    copy, till, members = sandbox
    give_bonuses(member, shop, "500.00", at=timezone.now() - timedelta(days=1))
    record_purchase(purchase(member, shop), at=timezone.now())
    add_endpoint(business=shop, url="http://127.0.0.1:9/live", events=["purchase.created", "coupon.redeemed"])
    before = real_rows()
    facts = exported()

    answers = everything(till, members[1], Coupon.objects.get(member=members[1]))

    assert [answer.status_code for answer in answers if answer.status_code >= 300] == []
    assert Transaction.objects.filter(business=copy, external_id__startswith="e").count() == 4
    assert ParkedRefund.objects.filter(business=copy).count() == 1
    assert WebhookDelivery.objects.filter(endpoint__business=copy).exists()
    assert real_rows() == before
    assert exported() == facts
    assert not Notification.objects.filter(member__in=members).exists()


def exported():
    """Return what ClickHouse may read."""
    found = {}
    with connection.cursor() as cursor:
        for view in ("transaction_facts", "bonus_facts", "event_facts", "chain_outcomes"):
            cursor.execute(f"SELECT * FROM export.{view} ORDER BY 1")
            found[view] = cursor.fetchall()
    assert found["transaction_facts"]
    return found


def test_verify_ledger_names_a_purchase_that_crossed_over(sandbox, shop, member):
    copy, _till, members = sandbox
    before = [finding.check.rule for finding in verify_ledger(at=timezone.now()) if finding.wrong]

    crossed, _ = record_purchase(purchase(member, copy), at=timezone.now())
    other, _ = record_purchase(purchase(members[0], shop), at=timezone.now())

    [found] = [finding for finding in verify_ledger(at=timezone.now()) if finding.wrong]
    assert before == []
    assert (found.check.rule, found.wrong) == ("members of sandboxes buy there, and nobody else does", 2)
    assert found.first.row_id == str(min(crossed.pk, other.pk))


def test_messages_to_members_of_sandboxes_are_never_queued(sandbox, member):
    def message(to):
        return Message(to.pk, "x", {}, "service", None, f"key:{to.pk}", timezone.now())

    assert queue([message(sandbox[2][0]), message(member)]) == 1
    assert [row.member for row in Notification.objects.all()] == [member]
