"""RFM of real purchases equals a computation in plain Python that reads the file and knows no database."""

from collections import defaultdict
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from analytics.services.reconcile import reconcile
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import sync_facts
from tests.analytics.real_purchases import load_real_purchases

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

MOSCOW = ZoneInfo("Europe/Moscow")
# The last purchases of the file are of the day before yesterday. Before the last date lies the file's
# first year, and refunds of it that are dated later.
DAYS_AGO = (0, 45, 300)
# Segment by recency score, rows, and frequency score, columns 1 to 5 (rules.md).
SEGMENTS = {
    5: "new potential_loyalist potential_loyalist champions champions",
    4: "promising potential_loyalist potential_loyalist loyal loyal",
    3: "about_to_sleep about_to_sleep need_attention loyal loyal",
    2: "hibernating hibernating at_risk at_risk cant_lose",
    1: "hibernating hibernating at_risk at_risk cant_lose",
}


def by_hand(lines, day):
    """Return {member: (recency, frequency, kopecks, r, f, m, segment)} of the 365 Moscow days before."""
    first = day - timedelta(days=365)
    kopecks, receipt = {}, {}
    for line in lines:  # sorted by time, so a purchase precedes its refunds
        bought_on = line.at.astimezone(MOSCOW).date()
        pence = int(line.amount.scaleb(2))
        if line.kind == "purchase" and first <= bought_on < day:
            kopecks[line.external_id] = pence
            receipt[line.external_id] = (line.member, bought_on)
        elif line.kind == "refund" and bought_on < day and line.refund_of in kopecks:
            kopecks[line.refund_of] += pence
    kept = defaultdict(list)
    for number, left in kopecks.items():
        if left > 0:
            member, bought_on = receipt[number]
            kept[member].append((bought_on, left))
    values = {
        member: (
            (day - max(on for on, _ in receipts)).days, len(receipts), sum(left for _, left in receipts)
        )
        for member, receipts in kept.items()
    }  # fmt: skip
    scores = [
        score([sign * value[place] for value in values.values()])
        for place, sign in enumerate((-1, 1, 1))
    ]  # fmt: skip
    result = {}
    for member, (recency, frequency, money) in values.items():
        r, f, m = scores[0](-recency), scores[1](frequency), scores[2](money)
        result[member] = (recency, frequency, money, r, f, m, SEGMENTS[r].split()[f - 1])
    return result


def score(values):
    """Return the score by fifths: one more than the cut-points below the value."""
    ranked = sorted(values)
    places = [(share * len(ranked) + 4) // 5 for share in (1, 2, 3, 4)]
    cuts = [ranked[place - 1] for place in places]
    return lambda value: 1 + sum(cut < value for cut in cuts)


def test_rfm_of_real_purchases_equals_the_hand_computed_at_three_dates(clickhouse, proved):
    lines = load_real_purchases()
    sync_facts()
    members = []

    for days in DAYS_AGO:
        day = timezone.localdate() - timedelta(days=days)
        calculate_rfm(snapshot_date=day, at=timezone.now())

        rows = clickhouse.run(
            "SELECT user_id, recency_days, frequency_count, toInt64(monetary_value * 100), r_score, f_score,"
            " m_score, rfm_segment FROM rfm_snapshots FINAL WHERE snapshot_date = %(day)s",
            {"day": day},
        ).rows
        expected = by_hand(lines, day)
        assert {row[0]: tuple(row[1:]) for row in rows} == expected
        members.append(len(expected))

    assert min(members) > 50
    assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
    proved(f"{len(lines)} real rows; members at the three dates: {members}")
