"""A file recorded over two connections comes to what one connection would have recorded."""

from decimal import Decimal as D
from zlib import crc32

import pytest
from django.db import DatabaseError, connection
from django.utils import translation

from loyalty.models import AuditLog, Business, ImportJob, ImportRejection, TierChange, Transaction
from promos.imports import loader
from promos.imports.lanes import LANES, split
from promos.imports.loader import import_file
from promos.imports.rows import Row
from svoykrug.db.actor import Actor, ActorKind, acting_as
from tests.factories import NOON, BusinessFactory, MemberFactory

HEADER = "external_id,member_ref,business_ref,amount,category,purchased_at,kind,refund_of\n"


def cards_of_lanes() -> list[list[str]]:
    """Return some cards of each lane."""
    lanes: list[list[str]] = [[] for _lane in range(LANES)]
    for number in range(40):
        card = f"card-{number}"
        lanes[crc32(card.encode()) % LANES].append(card)
    return lanes


@pytest.fixture
def coalition():
    with translation.override("en"):
        business = BusinessFactory(code="B01")
        for card in (card for cards in cards_of_lanes() for card in cards):
            MemberFactory(card_number=card)
        yield business


def written(tmp_path, *rows: str):
    path = tmp_path / "purchases.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def line(receipt: str, card: str, amount: str, *, day: int = 1, kind: str = "purchase", of: str = "") -> str:
    return f"{receipt},{card},B01,{amount},tea,2026-06-{day:02}T12:00:00+03:00,{kind},{of}"


def backend() -> tuple[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_each_member_rises_in_the_files_order_and_all_is_counted(tmp_path, coalition, monkeypatch):
    monkeypatch.setattr(loader, "CHUNK_ROWS", 7)
    cards = [cards[number] for cards in cards_of_lanes() for number in range(3)]
    rows = [line(f"{card}-{day}", card, "10000.00", day=day) for day in range(1, 6) for card in cards]
    own = backend()

    with acting_as(Actor(ActorKind.COMMAND, request_id="import-of-two")):
        report = import_file(written(tmp_path, *rows, "broken,row"), at=NOON)

    assert (report.read, report.created, report.rejected) == (31, 30, 1)
    assert report.amount == D("300000.00")
    job = ImportJob.objects.get()
    assert (job.read, job.created, job.rejected, job.amount) == (31, 30, 1, D("300000.00"))
    rises = TierChange.objects.values_list("member__card_number", "transaction__external_id", "turnover_rub")
    assert sorted(rises) == sorted((card, f"{card}-3", D("30000.00")) for card in cards)
    # The third purchase earned at the old rate, the fourth at the new one.
    for card in cards:
        accrued = Transaction.objects.filter(member__card_number=card).order_by("created_at")
        assert list(accrued.values_list("bonus_accrued", flat=True)) == [D(300)] * 3 + [D(500)] * 2
    stored = AuditLog.objects.filter(table_name="transactions")
    assert set(stored.values_list("request_id", "actor_kind")) == {("import-of-two", "command")}
    assert backend() == own, "the caller's connection is left open"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert cursor.fetchone() == (1,), "the lanes' connections are closed"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_members_with_one_receipt_the_earlier_line_wins(tmp_path, coalition):
    one, two = (cards[0] for cards in cards_of_lanes())
    rows = [line(f"r{number}", two if number % 2 else one, "100.00") for number in range(20)]
    rows += [line(f"r{number}", one if number % 2 else two, "100.00") for number in range(20)]

    report = import_file(written(tmp_path, *rows), at=NOON)

    assert (report.created, dict(report.by_code)) == (20, {"external_id_reused": 20})
    assert set(ImportRejection.objects.values_list("line", flat=True)) == set(range(22, 42))
    assert ImportJob.objects.get().rejected == 20


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_one_lane_recorded_counts_when_the_other_fails(tmp_path, coalition, monkeypatch):
    one, two = (cards[0] for cards in cards_of_lanes())
    chunk = loader.Chunk

    def failing(rows, **options):
        if any(row.card == two for row in rows):
            raise DatabaseError("the disk is full")
        return chunk(rows, **options)

    monkeypatch.setattr(loader, "Chunk", failing)
    path = written(tmp_path, line("1", one, "100.00"), line("2", two, "100.00"))

    with pytest.raises(DatabaseError, match="disk is full"):
        import_file(path, at=NOON)

    job = ImportJob.objects.get()
    assert (job.status, job.created, job.amount) == ("failed", 1, D("100.00"))
    monkeypatch.undo()
    assert import_file(path, at=NOON).line().startswith("read=2 created=1 duplicates=1 ")


def test_cards_that_differ_by_case_share_a_lane_and_a_foreign_receipt_waits(row_of):
    one, two = (cards[0] for cards in cards_of_lanes())
    rows = [row_of("1", one), row_of("2", one.upper()), row_of("3", two), row_of("1", two)]

    parts, later = split(rows, LANES)

    assert sorted(len(part) for part in parts) == [1, 2]
    assert [(row.external_id, row.card) for row in later] == [("1", two)]
    assert split(rows, 1) == ([rows], [])


@pytest.fixture
def row_of():
    business = Business(code="B01")
    return lambda receipt, card: Row(
        line=2, kind="purchase", business=business, external_id=receipt, card=card, amount=D(1),
        purchased_at=NOON, category="", refund_of="", cells=[],
    )  # fmt: skip
