"""Schemathesis drives the running site by its own description: examples, coverage, fuzzing, sequences."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from loyalty.models import ApiKey, CrmIntegration, Member, Session, Transaction, WebhookDelivery
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.models import Coupon, Quote
from tests.prove import at_length
from tests.svoykrug.api_schema import description
from tests.svoykrug.staff_rows import open_shop

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes", "clickhouse"),
]

# Of each operation; the full run makes more than ten thousand cases.
EXAMPLES = at_length(briefly=2, full=60)
# test_api_examples.py sends the examples.
PHASES = at_length(briefly="fuzzing", full="examples,coverage,fuzzing,stateful")
SEED = 5
CALLERS = ("visitor", "key", "member", "staff")
# All checks are on. What is well formed may be refused for what no schema can say: by the state of things
# (403, 404, 409, 422, 429) and, in these calls alone, with 400.
STATE = ["2xx", 401, 403, 404, 409, 422, 429]
ALSO_400 = {
    "a phone is not every text": ["request_code", "sign_in", "send_presence_code"],
    "an e-mail address is not every text": ["change_me"],
    "partners are those that there are": ["decide_consents"],
    "lines add up to the amount, times lie within the programme": ["quote", "record_purchase"],
    "either the amount or the lines": ["record_refund", "record_refund_of_receipt"],
    "a member is named by one parameter of three": ["lookup_member", "check_coupon"],
    "days lie within those kept, the first before the last": ["analytics_summary", "analytics_win_win"],
    "a cursor is one that a list gave": [
        "businesses", "offers", "list_transactions", "list_webhook_deliveries", "list_webhook_endpoints",
        "my_coupons", "my_devices", "my_entries", "my_transactions",
    ],
    "an address is a public one": ["create_webhook_endpoint", "change_webhook_endpoint"],
}  # fmt: skip
# Asked with the ETag of what they would answer, these say that nothing has changed.
ALSO_304 = ["businesses", "offers"]
# Each row of a batch stands alone: what it says amiss is told in its result, and the others are recorded.
REFUSED_BY_ROW = ["record_batch"]
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429]


@pytest.fixture
def shop(settings):
    """A business with a row of everything; limits that a fuzzer does not reach."""
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    for name in dir(settings):
        if name.startswith(("API_CALLS_PER_", "OTP_REQUESTS_", "OTP_ATTEMPTS_", "PRESENCE_SENT_")):
            setattr(settings, name, 10**9)
    opened = open_shop("ours", code="A")
    Coupon.objects.update(valid_until=timezone.now() + timedelta(days=7))
    return opened


def authorization(caller, shop):
    if caller == "key":
        return f"Api-Key {create_api_key(business=shop.business, scopes=list(ApiKey.Scope))[1]}"
    staff = caller == "staff"
    who = shop.owner if staff else shop.rows[Member]
    return f"Bearer {open_session(who, at=timezone.now(), as_staff=staff).access}"


def known(shop):
    """Values that mean something here, by where they stand: half of the cases take them."""
    customer, purchase = shop.rows[Member], shop.rows[Transaction]
    delivery = shop.rows[WebhookDelivery]
    phones, cards, coupons = [customer.phone], [customer.card_number], [shop.rows[Coupon].code]
    return {
        "path.transaction_id": [str(purchase.pk)],
        "path.quote_id": [str(shop.rows[Quote].pk)],
        "path.code": coupons,
        "path.device_id": [str(family) for family in Session.objects.values_list("family", flat=True)],
        "path.endpoint_id": [str(delivery.endpoint_id)],
        "path.delivery_id": [str(delivery.pk)],
        "path.integration_id": [str(shop.rows[CrmIntegration].pk)],
        "query.phone": phones,
        "query.card": cards,
        "query.external_id": [purchase.external_id],
        "body.phone": phones,
        "body.member.phone": phones,
        "body.member.card": cards,
        "body.coupon": coupons,
        "body.amount": ["100.00", "499.99", "0.01"],
        "body.refund_of": [purchase.external_id],
        "body.url": ["http://127.0.0.1:9/hook"],
    }


def config(shop):
    values = {where: each for where, each in known(shop).items() if each}
    names = {where: where.replace(".", "_") for where in values}
    may_400 = {operation for operations in ALSO_400.values() for operation in operations}
    also = {
        operation: [*([400] if operation in may_400 else []), *([304] if operation in ALSO_304 else [])]
        for operation in may_400.union(ALSO_304)
    }
    return "\n".join([
        "[checks.positive_data_acceptance]",
        f"expected-statuses = {json.dumps(STATE)}",
        # No text may hold a NUL, which a description cannot say of every text; test_api_fuzz.py sends them.
        "[generation]\nallow-x00 = false",
        "[dictionaries]",
        *(f"{names[where]} = {{ values = {json.dumps(each)} }}" for where, each in values.items()),
        "[parameters]",
        *(f'"{where}" = {{ dictionary = "{name}", probability = 0.5 }}' for where, name in names.items()),
        *(
            of_operation(operation, "positive_data_acceptance", [*STATE, *statuses])
            for operation, statuses in sorted(also.items())
        ),
        *(of_operation(each, "negative_data_rejection", [200, *REFUSALS]) for each in REFUSED_BY_ROW),
    ])  # fmt: skip


def of_operation(operation, check, statuses):
    return (
        f"[[operations]]\ninclude-operation-id = {json.dumps(operation)}\n"
        f"checks.{check}.expected-statuses = {json.dumps(statuses)}"
    )


@pytest.mark.parametrize("caller", CALLERS)
def test_the_site_keeps_what_its_description_promises(live_server, shop, tmp_path, caller, proved):
    options = [] if caller == "visitor" else ["--header", f"Authorization: {authorization(caller, shop)}"]
    report, settings, described = (
        tmp_path / name for name in ("report.json", "schemathesis.toml", "openapi.json")
    )
    settings.write_text(config(shop))
    # Made once for all callers.
    described.write_text(json.dumps(description()))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", settings, "run",
            described, "--url", live_server.url,
            "--checks", "all", "--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", str(SEED),
            "--continue-on-failure", "--report-json-path", report, "--no-color", *options,
        ],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    found = json.loads(report.read_text())
    operations, cases = found["operations"], found["test_cases"]["generated"]
    assert operations["tested"] == operations["total"]
    proved(f"seed {SEED}: {cases} cases of {operations['tested']} operations")
