"""docs/examples/till.py, run as its reader would run it, against the running service and a sandbox."""

import os
import shutil
import socket
import subprocess
import sys
from decimal import Decimal as D
from pathlib import Path

import pytest
from django.utils import timezone

from loyalty.models import Bonus, Member, ParkedRefund, Transaction
from loyalty.services.api_keys import DEFAULT_SCOPES
from promos.services.sandbox import create_test_key
from tests.api import Caller
from tests.factories import BusinessFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

EXAMPLE = Path(__file__).resolve().parent.parent / "docs" / "examples" / "till.py"


@pytest.fixture
def key(own_codes):
    return create_test_key(business=BusinessFactory(), scopes=DEFAULT_SCOPES, label="", at=timezone.now())[1]


@pytest.fixture
def phone(key):
    return Member.with_sandboxes.filter(is_sandbox=True).order_by("phone")[1].phone


@pytest.fixture
def till(live_server, key, tmp_path):
    """Run a command of the till; a process of its own each time, as after a restart."""

    def run(*arguments, url=live_server.url):
        environment = {"PATH": os.environ["PATH"], "NO_PROXY": "*", "PYTHONIOENCODING": "utf-8",
                       "SVOYKRUG_URL": url, "SVOYKRUG_KEY": key}  # fmt: skip
        # -S: nothing but the standard library is in reach.
        ended = subprocess.run(
            [sys.executable, "-S", str(EXAMPLE), *arguments], cwd=tmp_path, env=environment, check=False,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return ended.returncode, ended.stdout.strip(), ended.stderr.strip()

    return run


@pytest.fixture
def nowhere():
    """The address of a service that does not answer."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def recorded():
    rows = Transaction.objects.filter(external_id__startswith="till1-").order_by("external_id")
    return list(rows.values_list("external_id", "amount", "bonus_redeemed"))


def test_a_day_at_the_till(till, key, phone):
    code = Caller(f"Api-Key {key}").post("members/presence-code", {"member": {"phone": phone}}).json()["code"]

    looked_up = till("lookup", phone)
    quoted = till("quote", phone, "1000.00", "--redeem", "150")
    sold = till("sell", phone, "1000.00")
    spent = till("sell", phone, "1000.00", "--redeem", "150.00", "--code", code)
    refunded = till("refund", "till1-000001", "400.00")
    too_much = till("refund", "till1-000001", "600.01")
    unknown = till("lookup", "+79990001122")

    assert looked_up == (0, "Борис, Приятель: may spend 1200.00", "")
    assert quoted == (0, "to pay 850.00, at most 300.00 by bonuses, earns 42.50", "")
    assert sold[1].splitlines() == [
        "till1-000001 on record",
        "till1-000001: sent, to pay 1000.00, bonuses spent 0.00, earned 50.00, balance 1250.00",
    ]
    assert "to pay 850.00, bonuses spent 150.00, earned 42.50" in spent[1]
    assert "till1-000003: sent, to pay -400.00" in refunded[1]
    assert "till1-000004: refused, refund_exceeds_purchase: " in too_much[1]
    assert (unknown[0], unknown[2].split(":")[0]) == (1, "member_not_found")
    assert recorded() == [
        ("till1-000001", D(1000), D(0)),
        ("till1-000002", D(1000), D(150)),
        ("till1-000003", D(-400), D(0)),
    ]


def test_what_was_sold_offline_is_sent_after_a_restart_once(till, phone, nowhere, tmp_path):
    sold = till("sell", phone, "500.00", url=nowhere)
    refunded = till("refund", "till1-000001", "100.00", "--phone", phone, url=nowhere)
    before = recorded()
    shutil.copy(tmp_path / "till.sqlite3", tmp_path / "copy")

    sent = till("send")
    # As if the answers had been lost: the till remembers nothing of them.
    shutil.copy(tmp_path / "copy", tmp_path / "till.sqlite3")
    again = till("send")

    assert (sold[0], sold[1], refunded[0]) == (2, "till1-000001 on record", 2)
    assert before == []
    assert sent == again
    assert [line.split(",")[0] for line in sent[1].splitlines()] == [
        "till1-000001: sent",
        "till1-000002: sent",
    ]
    assert recorded() == [("till1-000001", D(500), D(0)), ("till1-000002", D(-100), D(0))]
    assert Bonus.objects.get(member__phone=phone).balance == D("1220.00")


def test_a_sale_waits_for_a_key_that_works(till, phone):
    refused = till("--key", "sk_test_old", "sell", phone, "500.00")

    assert (refused[0], refused[2].split(":")[0]) == (1, "not_authenticated")
    assert till("send")[1].startswith("till1-000001: sent, ")


def test_a_refund_of_another_tills_sale_waits_for_it(till, phone, nowhere):
    till("--name", "till2", "--queue", "second", "sell", phone, "500.00", url=nowhere)

    early = till("refund", "till2-000001", "100.00", "--phone", phone)
    parked = ParkedRefund.objects.count()
    till("--name", "till2", "--queue", "second", "send")

    assert early[1].splitlines()[-1] == "till1-000001: sent, waits for till2-000001"
    assert (parked, ParkedRefund.objects.count()) == (1, 0)
    assert recorded() == [("till1-000001", D(-100), D(0))]
