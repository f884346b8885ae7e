"""Real purchases in the tables the pipeline reads: the packaged sample, at length the whole file."""

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zlib import crc32

from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from analytics.periods import oldest_kept
from loyalty.models import Member, StatusTier
from promos.demo.sample import SAMPLE
from tests.factories import BusinessFactory
from tests.prove import at_length
from tests.shared_data import SHARED_DATA

# Of so many members one is taken, with everything they bought.
ONE_OF = at_length(briefly=25, full=1)
WHOLE = SHARED_DATA / "purchases-uci.csv.gz"

COPY = """
COPY transactions (id, user_id, business_id, kind, amount, coupon_discount, bonus_redeemed, bonus_accrued,
    category, request_hash, source, explanation, created_at, recorded_at, sync_xid, external_id, refund_of)
FROM STDIN
"""


@dataclass(frozen=True)
class Line:
    """A row of the file, its days shifted so that the last one is the day before yesterday."""

    external_id: str
    member: UUID
    business: UUID
    amount: Decimal
    category: str
    at: datetime
    kind: str
    refund_of: str | None


def load_real_purchases() -> list[Line]:
    """Store the purchases, and the refunds that name one of them, in one transaction. Return them."""
    rows = list(_rows())
    last = datetime.fromisoformat(rows[-1]["purchased_at"])
    shift = timedelta(days=(timezone.now() - last).days - 2)
    oldest = oldest_kept(timezone.now()) + timedelta(days=1)
    tier = StatusTier.objects.get(level=1)
    cards = {row["member_ref"] for row in rows}
    members = {
        member.card_number: member.pk
        for member in Member.objects.bulk_create(
            [Member(card_number=card, referral_code=card, status_tier=tier) for card in sorted(cards)],
            batch_size=1000,
        )
    }
    businesses = {code: BusinessFactory(code=code).pk for code in {row["business_ref"] for row in rows}}
    lines, ids = [], {}
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in rows:
            at = datetime.fromisoformat(row["purchased_at"]) + shift
            # Two years and a week: ClickHouse would drop the first days while a test looks.
            if at < oldest or (row["kind"] == "refund" and row["refund_of"] not in ids):
                continue
            sign = -1 if row["kind"] == "refund" else 1
            line = Line(
                row["external_id"], members[row["member_ref"]], businesses[row["business_ref"]],
                sign * Decimal(row["amount"]), row["category"], at, row["kind"], row["refund_of"] or None,
            )  # fmt: skip
            ids[line.external_id] = uuid7()
            lines.append(line)
            copy.write_row((
                ids[line.external_id], line.member, line.business, line.kind, line.amount, 0, 0, 0,
                line.category, "", "import", "{}", line.at, line.at, 0, line.external_id,
                ids[line.refund_of] if line.refund_of else None,
            ))  # fmt: skip
    return lines


def _rows():
    source = at_length(briefly=SAMPLE, full=WHOLE if WHOLE.exists() else SAMPLE)
    with gzip.open(source, "rt", encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            if crc32(row["member_ref"].encode()) % ONE_OF == 0:
                yield row
