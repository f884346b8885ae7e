"""Every command of docs/integration.md works as it stands there, one after another."""

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest
from django.utils import timezone

from loyalty.models import Business, Member, ParkedRefund, Transaction
from loyalty.services.api_keys import create_api_key
from loyalty.services.presence import issue_code
from promos.crm.vendors import OWN, VENDORS
from promos.tasks import apply_crm_message
from tests.conftest import last_on_console
from tests.factories import BusinessFactory, MemberFactory, give_bonuses
from tests.promos.crm.messages import connect

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "integration.md"
PHONE = "+79000000010"
# A refusal ends curl with an error; the answer is printed all the same.
BEGIN = 'set -o pipefail; curl() { command curl --fail-with-body --max-time 20 "$@"; }\n'
DONE = "__done__"


class Shell:
    """One bash that runs the guide's blocks in turn and keeps their variables."""

    def __init__(self, **variables: str) -> None:
        self._bash = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"NO_PROXY": "*"} | variables,
        )  # fmt: skip
        self.run(BEGIN)

    def run(self, block: str) -> str:
        """Return what the block printed, having checked that its last command succeeded."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{block}\nended=$?; echo; echo {DONE} $ended\n")
        self._bash.stdin.flush()
        printed = []
        for line in self._bash.stdout:
            if line.startswith(DONE):
                assert line.split()[1] == "0", (block, "".join(printed))
                return "".join(printed)
            printed.append(line)
        raise AssertionError((block, "".join(printed)))

    def close(self) -> None:
        assert self._bash.stdin
        self._bash.stdin.close()
        self._bash.wait(timeout=20)


@pytest.fixture
def scene(own_codes: None) -> tuple[Member, str]:
    """The demo's member, who has bonuses, and a key of the demo's business."""
    member, tea = MemberFactory(phone=PHONE), BusinessFactory(code="B04", name="Чайная на углу")
    give_bonuses(member, tea, D("1000.00"), at=timezone.now() - timedelta(days=1))
    return member, create_api_key(business=tea)[1]


@pytest.fixture
def shell(live_server, scene, monkeypatch) -> Iterator[Shell]:
    crm, secret = connect(Business.objects.get(code="B04"), mapping=VENDORS[OWN].mapping)
    # Its worker is whoever stored the message, at once.
    monkeypatch.setattr(apply_crm_message, "delay", apply_crm_message)
    shell = Shell(BASE=live_server.url, KEY=scene[1], CRM=str(crm.pk), CRM_SECRET=secret)
    yield shell
    shell.close()


def test_the_guides_commands_work_in_their_order(shell, scene, caplog):
    member, _key = scene
    asked = {
        "shows": lambda: issue_code(member.pk, at=timezone.now()).code,
        "came to the phone": lambda: last_on_console(caplog, "Code to tell the cashier", PHONE),
        "from the console": lambda: last_on_console(caplog, "Sign-in code", PHONE),
    }
    blocks = re.findall(r"^```sh\n(.+?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert "create_api_key" in blocks[0], "the key is the fixture's"

    printed = [run_block(shell, block, asked) for block in blocks[1:]]

    assert len(printed) == 15
    kinds = Transaction.objects.filter(member=member).order_by("external_id")
    assert list(kinds.values_list("external_id", "kind", "amount", "bonus_redeemed")) == [
        ("crm-000001", "purchase", D("1249.50"), D("0.00")),
        ("till1-000001", "purchase", D("1249.50"), D("0.00")),
        ("till1-000002", "purchase", D("1000.00"), D("100.00")),
        ("till1-000003", "purchase", D("400.00"), D("40.00")),
        ("till1-000004", "refund", D("-249.50"), D("0.00")),
        ("till1-000005", "refund", D("-650.00"), D("-65.00")),
        ("till1-000006", "purchase", D("300.00"), D("0.00")),
        ("till1-000007", "refund", D("-100.00"), D("0.00")),
    ]
    parked = ParkedRefund.objects.order_by("external_id").values_list("external_id", flat=True)
    assert list(parked) == ["till1-000008", "till1-000010"]
    assert '"held":"0.00"' in printed[-1]


def run_block(shell: Shell, block: str, asked: dict) -> str:
    """Run a block; a question in it is answered by the line that follows it."""
    head, question, rest = block.partition("read -rp")
    if not question:
        return shell.run(block)
    line, _, rest = rest.partition("\n")
    code = next(answer for words, answer in asked.items() if words in line)
    if head:
        shell.run(head)
    return shell.run(f"{question}{line}\n{code()}\n{rest}")
