"""Real purchases: sums to the kopeck, memory, and an import that is killed."""

import csv
import gzip
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from decimal import Decimal
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Sum

from loyalty.models import Business, ImportJob, Transaction
from promos.demo.sample import BUSINESSES, SAMPLE, packaged_businesses
from promos.imports.loader import import_file
from tests.factories import NOON, BusinessFactory
from tests.shared_data import SHARED_DATA


def head(source: Path, target: Path, rows: int) -> Path:
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        target.write_text("".join(islice(lines, rows + 1)), encoding="utf-8")
    return target


def expected_sums(path: Path) -> tuple[dict[str, Decimal], dict[str, Decimal], int]:
    """Net sums by card and by business, and the refunds that name no purchase: csv and Decimal only."""
    by_card: dict[str, Decimal] = defaultdict(Decimal)
    by_business: dict[str, Decimal] = defaultdict(Decimal)
    unlinked = 0
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["kind"] == "refund" and not row["refund_of"]:
                unlinked += 1
                continue
            amount = Decimal(row["amount"]) * (-1 if row["kind"] == "refund" else 1)
            by_card[row["member_ref"]] += amount
            by_business[row["business_ref"]] += amount
    return by_card, by_business, unlinked


def stored_sums(key: str) -> dict[str, Decimal]:
    return dict(Transaction.objects.values_list(key).annotate(net=Sum("amount")).values_list(key, "net"))


@pytest.mark.shared_data
@pytest.mark.django_db
def test_the_first_10_000_real_rows_add_up_to_the_kopeck_and_load_once(tmp_path):
    for number in range(1, 21):
        BusinessFactory(code=f"B{number:02}")
    path = head(SHARED_DATA / "purchases-uci.csv.gz", tmp_path / "head.csv", 10_000)
    by_card, by_business, unlinked = expected_sums(path)

    report = import_file(path, create_members=True, at=NOON)
    stored = Transaction.objects.count()
    again = import_file(path, create_members=True, at=NOON)

    assert stored_sums("member__card_number") == by_card
    assert stored_sums("business__code") == by_business
    assert report.amount == sum(by_card.values())
    assert (report.read, dict(report.by_code)) == (10_000, {"refund_unlinked": unlinked})
    assert (report.duplicates, report.parked) == (0, 0)
    assert again.line() == (
        f"read=10000 created=0 duplicates={stored} rejected={unlinked} refunds=0 parked=0 amount=0.00"
    )
    assert Transaction.objects.count() == stored


def test_reading_takes_bounded_memory_whatever_the_file(tmp_path):
    path = tmp_path / "big.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'external_id,member_ref\n"never closed\n1,')
        for _part in range(100):
            stream.write(b"x" * 1_000_000)
        stream.write(b"\n")
        for number in range(200):
            stream.write(b"".join(b"%d-%d,card\n" % (number, row) for row in range(1000)))
    program = (
        "import sys, tracemalloc, django; django.setup()\n"
        "from pathlib import Path\n"
        "from promos.imports.profiles import DEFAULT\n"
        "from promos.imports.reader import read_records, verify\n"
        "path = Path(sys.argv[1])\n"
        "tracemalloc.start()\n"
        "print(verify(path, DEFAULT), sum(1 for _ in read_records(path, DEFAULT)))\n"
        "print(tracemalloc.get_traced_memory()[1])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, check=True, cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "svoykrug.settings"},
    )  # fmt: skip

    counts, most_bytes = done.stdout.split("\n")[:2]
    assert counts == "200003 200003"
    # The long line alone is 100 MB.
    assert int(most_bytes) < 10_000_000


def database_url() -> str:
    """Return the address of the test database, for another process."""
    parts = urlsplit(settings.DATABASE_URL)
    return parts._replace(path="/" + str(connection.settings_dict["NAME"])).geturl()


def advisory_locks() -> int:
    """Return how many advisory locks are held in the test database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_import_killed_midway_is_completed_by_running_it_again(tmp_path):
    for row in packaged_businesses():
        Business.objects.create(code=row["code"], name=row["name"])
    path = head(SAMPLE, tmp_path / "head.csv", 12_000)
    by_card, _by_business, unlinked = expected_sums(path)

    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_purchases", str(path), "--create-members"],
        cwd=settings.BASE_DIR, env={**os.environ, "DATABASE_URL": database_url()},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not ImportJob.objects.filter(read__gt=0).exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed = ImportJob.objects.get()
    assert killed.status == "running"
    # The server ends the statement in hand before it sees that its client is gone.
    while advisory_locks():
        time.sleep(0.02)

    report = import_file(path, create_members=True)

    killed.refresh_from_db()
    assert killed.status == "failed"
    # A chunk is one transaction: what the killed run had counted is exactly what it had stored.
    assert killed.read < 12_000
    assert report.duplicates == killed.created + killed.refunds
    assert (report.read, report.rejected) == (12_000, unlinked)
    assert stored_sums("member__card_number") == by_card


def test_the_packaged_sample_is_there_small_and_attributed():
    attribution = (SAMPLE.parent / "ATTRIBUTION.md").read_text(encoding="utf-8")

    assert SAMPLE.stat().st_size <= 3_000_000
    assert len(packaged_businesses()) == 20
    assert BUSINESSES.is_file()
    assert (
        "«Online Retail» and «Online Retail II» by Daqing Chen, UCI Machine Learning Repository, CC BY 4.0"
        in (" ".join(attribution.split()))
    )
