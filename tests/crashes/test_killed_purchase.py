"""A web process killed while it records a purchase: the till's repeat neither loses nor doubles it."""

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal as D
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from loyalty.models import BonusEntry, Transaction
from loyalty.services.api_keys import create_api_key
from loyalty.services.presence import issue_code
from promos.services.checkout import record_purchase
from svoykrug.embedded.ports import LOOPBACK, choose_port
from tests.api import Caller
from tests.factories import BusinessFactory, MemberFactory
from tests.model.stored import balances
from tests.promos.requests import purchase
from tests.prove import at_length

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]
# Every other one spends bonuses by a code, which its repeat may use again.
KILLS = at_length(briefly=4, full=40)
PATIENCE_SECONDS = 30
POINTS = {"checkout-before-commit": 201, "checkout-after-commit": 200}


@contextmanager
def web_server(failpoint):
    """Serve this test's database by a worker that dies at the failpoint and is started anew each time."""
    port = choose_port()
    database = urlsplit(django_settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(database),
        "REDIS_URL": django_settings.REDIS_URL,
        "CLICKHOUSE_URL": django_settings.CLICKHOUSE_URL,
        "SECRET_KEY": django_settings.SECRET_KEY,
        "FAILPOINTS": failpoint,
    }
    command = [
        sys.executable, "-m", "gunicorn", "svoykrug.wsgi", "--bind", f"{LOOPBACK}:{port}", "--workers", "1",
        "--preload", "--no-control-socket", "--log-level", "critical",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=django_settings.BASE_DIR, env=environment)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)


def post_and_be_cut_off(port, key, body, path="transactions", **more):
    """Post until a worker takes the request and dies of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        client = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE_SECONDS)
        headers = {"Content-Type": "application/json", "Authorization": f"Api-Key {key}", **more}
        try:
            client.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
            answer = client.getresponse()
        except ConnectionRefusedError:
            time.sleep(0.05)  # The server has not begun to listen.
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return
        else:
            raise AssertionError(f"The worker lived on: {answer.status} {answer.read()!r}")
        finally:
            client.close()
    raise AssertionError("The server does not answer.")


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_purchase_is_stored_once(point, proved):
    business = BusinessFactory()
    key = create_api_key(business=business)[1]
    with web_server(point) as port:
        for number in range(KILLS):
            member, redeem = MemberFactory(), D("10.00") * (number % 2)
            earlier = purchase(member, business, f"earlier{number}", purchased_at=None)
            record_purchase(earlier, at=timezone.now())  # 30.00
            body = {
                "external_id": str(number), "member": {"phone": member.phone}, "amount": "1000.00",
            }  # fmt: skip
            if redeem:
                code = issue_code(member.pk, at=timezone.now()).code
                body |= {"redeem": str(redeem), "presence_code": code}

            post_and_be_cut_off(port, key, body)
            repeats = [Caller(f"Api-Key {key}").post("transactions", body) for _ in range(2)]

            assert [answer.status_code for answer in repeats] == [POINTS[point], 200]
            assert repeats[0].json() == repeats[1].json()
            assert Transaction.objects.filter(external_id=str(number)).count() == 1
            entries = BonusEntry.objects.filter(member=member).order_by("position")
            assert list(entries.values_list("kind", "amount"))[1:] == [
                *([("redemption", -redeem)] if redeem else []),
                ("accrual", D("30.00") - redeem * 3 / 100),
            ]
            balances([member.pk])
    proved(f"{KILLS} kills")
