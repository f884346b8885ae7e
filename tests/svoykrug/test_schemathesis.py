"""Schemathesis drives the running site by its own description: examples, coverage, fuzzing, sequences."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from loyalty.models import ApiKey, Member
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.models import Coupon
from tests.prove import at_length
from tests.svoykrug.staff_rows import open_shop

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]

# Of each operation; the full run makes more than ten thousand cases.
EXAMPLES = at_length(briefly=3, full=40)
PHASES = at_length(briefly="examples,fuzzing", full="examples,coverage,fuzzing,stateful")
SEED = 5
# What no schema can say: a phone that exists, lines that add up to the amount, one parameter of three.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 409, 413, 422, 429]
"""
CALLERS = ("visitor", "key", "member")


@pytest.fixture
def shop(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    opened = open_shop("ours", code="A")
    Coupon.objects.update(valid_until=timezone.now() + timedelta(days=7))
    return opened


def authorization(caller, shop):
    if caller == "key":
        return f"Api-Key {create_api_key(business=shop.business, scopes=list(ApiKey.Scope))[1]}"
    return f"Bearer {open_session(shop.rows[Member], at=timezone.now()).access}"


@pytest.mark.parametrize("caller", CALLERS)
def test_the_site_keeps_what_its_description_promises(live_server, shop, tmp_path, caller, proved):
    report, config = tmp_path / "report.json", tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    options = [] if caller == "visitor" else ["--header", f"Authorization: {authorization(caller, shop)}"]
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run",
            f"{live_server.url}/api/schema/",
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
