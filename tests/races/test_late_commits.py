"""Writers commit late and out of order while the sync runs all the time: it misses nothing, a clock does."""

import random
import threading
import time
from datetime import UTC, datetime

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from analytics.services.sync import sync_facts
from loyalty.models import Transaction
from tests.factories import BusinessFactory, MemberFactory
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

WRITERS = 8
SECONDS = at_length(briefly=4, full=60)
# How long a writer may keep its transaction open.
LONGEST_SECONDS = at_length(briefly=0.4, full=5)
ROWS = at_length(briefly=10, full=60)
BETWEEN_SYNCS_SECONDS = 0.05
SEED = 8

INSERT = """
INSERT INTO transactions (id, user_id, business_id, kind, amount, coupon_discount, bonus_redeemed,
    bonus_accrued, category, request_hash, source, explanation, created_at, recorded_at, sync_xid)
VALUES (%s, %s, %s, 'purchase', 1, 0, 0, 0, '', '', 'till', '{}', clock_timestamp(), clock_timestamp(), 0)
"""


def write(member, business, dice, until):
    """Make purchases in transactions that stay open for a while; some end in nothing."""
    own = connection.copy()
    own.set_autocommit(False)
    while time.monotonic() < until:
        with own.cursor() as cursor:
            for _ in range(ROWS):
                cursor.execute(INSERT, [uuid7(), member.pk, business.pk])
        # Most commits are quick; that is what makes the late ones dangerous.
        time.sleep(LONGEST_SECONDS * dice.random() ** 4)
        if dice.random() < 0.05:
            own.rollback()
        else:
            own.commit()
    own.close()


def test_late_commits_are_all_carried_and_a_cursor_on_time_loses_some(clickhouse, proved):
    business, until = BusinessFactory(), time.monotonic() + SECONDS
    writers = [
        threading.Thread(target=write, args=(MemberFactory(), business, random.Random(SEED + number), until))
        for number in range(WRITERS)
    ]
    seen, moment, syncs = set(), datetime.min.replace(tzinfo=UTC), 0
    for writer in writers:
        writer.start()
    while alive := any(writer.is_alive() for writer in writers):
        sync_facts()
        syncs += 1
        # The twin: everything created since the latest row it has seen.
        later = (
            Transaction.objects.all() if moment is None else Transaction.objects.filter(created_at__gt=moment)
        )
        if rows := list(later.values_list("created_at", "pk")):
            moment = max(rows)[0]
            seen.update(key for _, key in rows)
        time.sleep(BETWEEN_SYNCS_SECONDS)
    assert not alive
    sync_facts()

    stored = set(Transaction.objects.values_list("pk", flat=True))
    carried = [row[0] for row in clickhouse.run("SELECT transaction_id FROM transaction_facts FINAL").rows]
    assert (len(stored - set(carried)), len(set(carried) - stored), len(carried)) == (0, 0, len(stored))
    lost = len(stored - seen)
    assert lost > 0
    proved(f"{len(stored)} rows, {WRITERS} writers, {syncs} syncs, seed {SEED}; the clock lost {lost}")
