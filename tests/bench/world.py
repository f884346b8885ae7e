"""A database of the bench's own, in PostgreSQL and in ClickHouse, and the people in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from analytics.clickhouse.client import connect, database, with_database
from analytics.clickhouse.postgres_link import collection
from loyalty.models import Business, Member, StatusTier, Transaction
from loyalty.services.api_keys import create_api_key
from promos.models import CrossPromoChain
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest

DATABASE = "svoykrug_bench"
REDIS_DATABASE = "?db=15"
# The circle as it is meant to be (README).
MEMBERS, BUSINESSES = 10_000, 20

HELPERS = """
-- A time-ordered key, as the product makes them.
CREATE FUNCTION bench_key() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
          || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;
-- An explanation and a hash as long as the product's.
CREATE TABLE bench_sample AS SELECT explanation, request_hash FROM transactions LIMIT 1;
"""


class NotDurable(Exception):
    """The server would answer before a commit is on disk, so its figures would say nothing."""


@contextmanager
def own_databases() -> Iterator[None]:
    """Create and migrate them, point this process and its children there, drop them at the end."""
    before = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = DATABASE
    refuse_undurable()
    settings.CLICKHOUSE_URL = with_database(settings.CLICKHOUSE_URL, DATABASE)
    settings.REDIS_URL = settings.REDIS_URL.partition("?")[0] + REDIS_DATABASE
    settings.CACHES["default"]["LOCATION"] = settings.REDIS_URL
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    os.environ |= {
        "DATABASE_URL": urlunsplit(urlsplit(settings.DATABASE_URL)._replace(path=f"/{DATABASE}")),
        "CLICKHOUSE_URL": settings.CLICKHOUSE_URL,
        "REDIS_URL": settings.REDIS_URL,
        "DEBUG": "false",
    }
    try:
        yield
    finally:
        connection.close()
        connection.creation.destroy_test_db(before, verbosity=0)
        with connect(to="default") as clickhouse:
            clickhouse.run(f"DROP DATABASE IF EXISTS {database()}")
            clickhouse.run(f"DROP NAMED COLLECTION IF EXISTS {collection()}")


def refuse_undurable() -> None:
    with connection.cursor() as cursor:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"SHOW {name}")
            if cursor.fetchone() != ("on",):
                raise NotDurable(f"{name} is not on: a commit might not survive a crash.")


@cache
def people() -> tuple[list[Member], list[Business]]:
    """Return members `bench-0` … and businesses `BENCH0` …, created at the first call.

    Each business has an active chain to the next one whose least bill no purchase here reaches: its
    rules are looked at every time, and the rows written stay those of the yardstick.
    """
    tier = StatusTier.objects.get(level=1)
    members = [
        Member(card_number=f"bench-{number}", phone=f"+7901{number:07}", status_tier=tier)
        for number in range(MEMBERS)
    ]
    Member.objects.bulk_create(members)
    businesses = [Business(code=f"BENCH{number}", name=f"Bench {number}") for number in range(BUSINESSES)]
    Business.objects.bulk_create(businesses)
    CrossPromoChain.objects.bulk_create(
        CrossPromoChain(
            source_business=business, target_business=businesses[number - 1],
            trigger_min_amount=Decimal("1000000.00"), status=CrossPromoChain.Status.ACTIVE,
            accepted_by=members[0], accepted_at=timezone.now() - timedelta(days=400),
        )
        for number, business in enumerate(businesses)
    )  # fmt: skip
    sample = PurchaseRequest(
        business=businesses[0], external_id="sample", member_id=members[0].pk, amount=Decimal("100.00")
    )
    record_purchase(sample, at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(HELPERS)
        cursor.execute("ANALYZE")
    return members, businesses


@cache
def api_keys() -> list[str]:
    """Return a key's secret for each business."""
    return [create_api_key(business=business)[1] for business in people()[1]]


def purchase(number: int, receipt: str, *, members: int = MEMBERS, source: str = "api") -> PurchaseRequest:
    """Return the purchase of that number; purchases.sql counts alike."""
    everybody, businesses = people()
    return PurchaseRequest(
        business=businesses[number % BUSINESSES],
        external_id=receipt,
        member_id=everybody[number % members].pk,
        amount=Decimal(100 + number % 900),
        category="tea",
        source=source,
    )


def stored(**conditions: Any) -> int:
    return Transaction.objects.filter(**conditions).count()
