"""A client generated from the description, as a stranger would make one, does a member's whole journey."""

import importlib
import json
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest
from django.utils import timezone

from loyalty.services.api_keys import create_api_key
from tests.factories import BusinessFactory, ChainFactory
from tests.svoykrug.api_schema import description

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
PHONE = "+79161234567"


@pytest.fixture
def generated(tmp_path, monkeypatch, db):
    """The package of the generated client; the generator has nothing to complain of."""
    schema, package = tmp_path / "schema.json", tmp_path / "circle_client"
    schema.write_text(json.dumps(description()))
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ["--path", schema, "--output-path", package, "--meta", "none", "--fail-on-warning"]
    done = subprocess.run(
        [generator, "generate", *options],
        check=False, capture_output=True, text=True, timeout=120,
        env={"PATH": str(generator.parent)},  # where the formatter is that it runs on what it wrote
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda path: importlib.import_module(f"circle_client.{path}")
    for name in [name for name in sys.modules if name.startswith("circle_client")]:
        del sys.modules[name]


@pytest.fixture
def call(generated):
    """Call an operation; return its status and what the client made of the answer."""

    def run(operation, client, *path, **arguments):
        answer = generated(f"api.{operation}").sync_detailed(*path, client=client, **arguments)
        return int(answer.status_code), answer.parsed

    return run


def test_join_buy_spend_refund_and_use_a_coupon(live_server, generated, call, sent_code):
    bakery, tea_room = BusinessFactory(), BusinessFactory()
    ChainFactory(
        source_business=bakery, target_business=tea_room, trigger_min_amount=D("500.00"),
        coupon_benefit="fixed", coupon_value=D("100.00"), coupon_min_amount=D("0.00"),
        holdout_percent=D("0.00"), accepted_at=timezone.now() - timedelta(days=3),
    )  # fmt: skip
    clients, models = generated("client"), generated("models")
    stranger = clients.Client(base_url=live_server.url, raise_on_unexpected_status=True)

    def signed_in(token, prefix):
        return clients.AuthenticatedClient(
            base_url=live_server.url, token=token, prefix=prefix, raise_on_unexpected_status=True
        )

    at_bakery = signed_in(create_api_key(business=bakery)[1], "Api-Key")
    at_tea_room = signed_in(create_api_key(business=tea_room)[1], "Api-Key")

    # Join.
    assert call("auth.request_code", stranger, body=models.OtpIn(phone=PHONE))[0] == 202
    consents = models.ConsentsIn(processing=True, advertising=models.ChannelsIn(inapp=True))
    joining = models.TokenIn(phone=PHONE, code=sent_code(PHONE), consents=consents)
    status, tokens = call("auth.sign_in", stranger, body=joining)
    assert (status, tokens.is_new) == (200, True)
    member = signed_in(tokens.access, "Bearer")

    # Purchase: a repeat is the same.
    bill = models.PurchaseIn(
        external_id="check-1", member=models.MemberRef(phone=PHONE), amount="1000.00",
        purchased_at=timezone.now() - timedelta(days=1),
    )  # fmt: skip
    status, first = call("transactions.record_purchase", at_bakery, body=bill)
    assert (status, first.bonus_accrued, first.kind) == (201, "30.00", models.TransactionKind.PURCHASE)
    assert call("transactions.record_purchase", at_bakery, body=bill) == (200, first)
    [coupon] = first.coupons_issued
    assert call("me.my_balance", member)[1].available == "30.00"

    # Spend what was earned, as quoted, with the code that the member shows.
    _, shown = call("me.my_code", member)
    asked = models.QuoteIn(
        member=models.MemberRef(code=shown.code), amount="200.00", redeem="30.00", hold=True
    )
    status, quote = call("quotes.quote", at_tea_room, body=asked)
    assert (status, quote.bonus_redeemed, quote.amount_paid) == (201, "30.00", "170.00")
    paying = models.PurchaseIn(external_id="tea-1", quote=quote.id, presence_code=shown.code)
    status, spent = call("transactions.record_purchase", at_tea_room, body=paying)
    assert (status, spent.bonus_redeemed, spent.amount_paid) == (201, "30.00", "170.00")

    # Refund half of it.
    half = models.RefundIn(external_id="tea-1-back", amount="100.00")
    status, refund = call("transactions.record_refund", at_tea_room, spent.id, body=half)
    assert (status, refund.amount, refund.bonus_redeemed) == (201, "-100.00", "-15.00")
    # What half the payment of 170 brought, 2.55, and the 15.00 that came back.
    assert call("me.my_balance", member)[1].available == "17.55"

    # The bakery's purchase brought a coupon for the tea room: it is valid, is used, and is used up.
    assert coupon.business == tea_room.name
    status, known = call("coupons.check_coupon", at_tea_room, coupon.code)
    assert (status, known.benefit_value) == (200, "100.00")
    with_coupon = models.PurchaseIn(
        external_id="tea-2", member=models.MemberRef(phone=PHONE), amount="400.00", coupon=coupon.code
    )
    status, used = call("transactions.record_purchase", at_tea_room, body=with_coupon)
    assert (status, used.coupon_discount, used.amount_paid) == (201, "100.00", "300.00")
    with_coupon.external_id = "tea-3"
    status, refused = call("transactions.record_purchase", at_tea_room, body=with_coupon)
    assert (status, refused.code) == (409, "coupon_not_redeemable")
