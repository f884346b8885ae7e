"""A file is recorded once, whole or not at all where it must be, and says what came of every row."""

import csv
from datetime import timedelta
from decimal import Decimal as D
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from loyalty.models import ImportJob, ImportRejection, Member, ParkedRefund, Transaction
from promos.imports import loader
from promos.imports.errors import FileRefused
from promos.imports.loader import close_interrupted_jobs, import_file
from tests.factories import NOON, BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db

HEADER = "external_id,member_ref,business_ref,amount,category,purchased_at,kind,refund_of\n"
DAY = "2026-06-01T12:00:00+03:00"


@pytest.fixture(autouse=True)
def coalition(db):
    with translation.override("en"):
        yield [BusinessFactory(code="B01"), BusinessFactory(code="B02"), MemberFactory(card_number="card-a")]


@pytest.fixture
def written(tmp_path):
    def write(*rows: str, header: str = HEADER):
        path = tmp_path / "purchases.csv"
        path.write_text(header + "".join(f"{row}\n" for row in rows))
        return path

    return write


def buy(receipt: str, card: str = "card-a", amount: str = "100.00", business: str = "B01") -> str:
    return f"{receipt},{card},{business},{amount},tea,{DAY},purchase,"


def give_back(receipt: str, of: str, amount: str = "10.00") -> str:
    return f"{receipt},card-a,B01,{amount},tea,2026-06-02T12:00:00+03:00,refund,{of}"


def test_purchases_and_refunds_are_counted_apart_and_the_sum_is_net(written):
    path = written(buy("1"), buy("2", amount="0.50"), give_back("3", of="1"))

    report = import_file(path, at=NOON)

    assert report.line() == "read=3 created=2 duplicates=0 rejected=0 refunds=1 parked=0 amount=90.50"
    job = ImportJob.objects.get()
    assert (job.status, job.read, job.created, job.refunds, job.amount) == ("done", 3, 2, 1, D("90.50"))
    assert set(Transaction.objects.values_list("source", flat=True)) == {"import"}


def test_an_unknown_card_is_refused_unless_members_are_created(written):
    path = written(buy("1", card="card-b"))

    first = import_file(path, at=NOON)
    second = import_file(path, at=NOON, create_members=True)

    assert (first.created, dict(first.by_code)) == (0, {"member_not_found": 1})
    assert (second.created, second.members_created) == (1, 1)
    assert Member.objects.get(card_number="card-b").phone is None


def test_cards_that_differ_only_in_letter_case_never_become_two_members(written):
    path = written(buy("1", card="CARD-A"), buy("2", card="card-b"), buy("3", card="Card-B"))

    import_file(path, at=NOON, create_members=True)

    assert list(ImportRejection.objects.order_by("line").values_list("line", "reason")) == [
        (2, "there is no such card; did you mean card-a?"),
        (4, "there is no such card; did you mean card-b?"),
    ]
    assert set(Member.objects.values_list("card_number", flat=True)) == {"card-a", "card-b"}


def test_a_lookalike_card_is_not_enrolled(written):
    path = written(buy("1", card="К-101"))

    report = import_file(path, at=NOON, create_members=True)

    assert dict(report.by_code) == {"lookalike": 1}
    assert Member.objects.count() == 1


def test_a_refund_meets_its_purchase_in_a_later_chunk_and_counts_as_a_refund(written, monkeypatch):
    monkeypatch.setattr(loader, "CHUNK_ROWS", 1)
    path = written(give_back("3", of="1"), give_back("4", of="none"), buy("1"))

    report = import_file(path, at=NOON)

    assert report.line() == "read=3 created=1 duplicates=0 rejected=0 refunds=1 parked=1 amount=90.00"
    assert ParkedRefund.objects.get().external_id == "4"


def test_a_dry_run_answers_the_same_and_stores_nothing(written, monkeypatch):
    monkeypatch.setattr(loader, "CHUNK_ROWS", 2)
    path = written(buy("1"), buy("1"), buy("2", amount="x"), buy("3", card="card-b"), give_back("4", of="1"))

    tried = import_file(path, at=NOON, create_members=True, dry_run=True)
    stored = (Transaction.objects.count(), Member.objects.count())
    done = import_file(path, at=NOON, create_members=True)

    assert stored == (0, 1)
    assert tried.line() == done.line()
    assert tried.line() == "read=5 created=2 duplicates=1 rejected=1 refunds=1 parked=0 amount=190.00"
    assert list(ImportJob.objects.order_by("pk").values_list("dry_run", "status")) == [
        (True, "done"), (False, "done"),
    ]  # fmt: skip
    assert list(ImportRejection.objects.values_list("job__dry_run", "line")) == [(True, 4), (False, 4)]


def test_dates_move_by_whole_days_and_amounts_by_a_factor(written):
    import_file(written(buy("1")), at=NOON, shift_days=-31, amount_factor=D(100))

    stored = Transaction.objects.get()
    assert stored.created_at.isoformat() == "2026-05-01T09:00:00+00:00"
    assert stored.amount == D("10000.00")


def test_a_shift_into_the_future_is_refused_row_by_row(written):
    report = import_file(written(buy("1")), at=NOON, shift_days=36_500)

    assert dict(report.by_code) == {"date_out_of_range": 1}


def test_a_file_of_one_business_may_leave_its_column_out_but_not_name_another(written):
    header = HEADER.replace("business_ref,", "")
    short = written(f"1,card-a,5.00,tea,{DAY},purchase,", header=header)
    business = BusinessFactory(code="B03")

    assert import_file(short, at=NOON, business=business).created == 1
    assert Transaction.objects.get().business == business
    mixed = written(buy("2", business="B01"), buy("3", business="B03"))
    assert dict(import_file(mixed, at=NOON, business=business).by_code) == {"business_not_found": 1}


def test_columns_may_stand_in_any_order(written):
    header = "kind,amount,purchased_at,business_ref,member_ref,external_id\n"

    report = import_file(written(f"purchase,5.00,{DAY},B01,card-a,1", header=header), at=NOON)

    assert report.created == 1


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (HEADER.replace("amount", "summa"), "The header is not understood; missing: amount; unknown: summa."),
        (HEADER.replace("category", "amount"), "The header names amount twice."),
    ],
)
def test_a_header_with_a_strange_column_is_refused(written, header, sentence):
    with pytest.raises(FileRefused) as caught:
        import_file(written(buy("1"), header=header), at=NOON)

    assert caught.value.detail.startswith(sentence)
    assert ImportJob.objects.get().status == "failed"


def test_the_error_file_disarms_formulas(written, tmp_path):
    errors = tmp_path / "errors.csv"
    path = written('"=1+1",card-a,B01,-5.00,"@SUM(A1)",' + DAY + ",purchase,")

    import_file(path, at=NOON, errors_path=errors)

    header, row = list(csv.reader(StringIO(errors.read_text(encoding="utf-8-sig"))))
    assert header[:5] == ["line", "column", "code", "reason", "external_id"]
    assert row[:3] == ["2", "amount", "amount_not_positive"]
    assert row[4:9] == ["'=1+1", "card-a", "B01", "'-5.00", "'@SUM(A1)"]


class Stopped(Exception):
    """Stands for whatever ends an import midway."""


def test_an_import_that_stops_midway_is_failed_and_completed_by_another_run(written, monkeypatch):
    monkeypatch.setattr(loader, "CHUNK_ROWS", 2)
    path = written(*[buy(str(number)) for number in range(1, 8)])

    def stop_after_four(done: int, total: int) -> None:
        if done > 4:
            raise Stopped("the lamp went out")

    with pytest.raises(Stopped):
        import_file(path, at=NOON, on_progress=stop_after_four)
    # What was under way by then is recorded and counted, too.
    job = ImportJob.objects.get()
    assert (job.status, job.error, job.created) == ("failed", "Stopped: the lamp went out", 6)
    assert Transaction.objects.count() == 6

    report = import_file(path, at=NOON)

    assert report.line() == "read=7 created=1 duplicates=6 rejected=0 refunds=0 parked=0 amount=100.00"


def test_a_job_whose_import_is_gone_is_closed(written):
    gone = ImportJob.objects.create(file_name="x.csv")

    assert close_interrupted_jobs() == 1

    gone.refresh_from_db()
    assert (gone.status, gone.error) == ("failed", "The import was interrupted; run it again.")


def test_progress_ends_at_the_last_line(written):
    told = []

    import_file(
        written(buy("1"), buy("2")), at=NOON, on_progress=lambda done, total: told.append((done, total))
    )

    assert told == [(3, 3)]


def test_the_command_ends_with_the_line_that_scripts_read(written, capsys):
    out, err = StringIO(), StringIO()

    call_command("import_purchases", str(written(buy("1"), buy("2", amount="0"))), stdout=out, stderr=err)

    assert out.getvalue() == ("read=2 created=1 duplicates=0 rejected=1 refunds=0 parked=0 amount=100.00\n")
    assert err.getvalue() == "  amount_not_positive: 1\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.csv"], "There is no file missing.csv."),
        (["."], ". is not a regular file; it is read twice."),
        (["missing.csv", "--business", "NOPE"], "There is no active business NOPE."),
        (["missing.csv", "--shift-days", "40000"], "--shift-days is at most a hundred years."),
    ],
)
def test_the_command_refuses_with_one_sentence(arguments, sentence):
    with pytest.raises(CommandError) as caught:
        call_command("import_purchases", *arguments, stdout=StringIO())

    assert str(caught.value) == sentence


def test_a_row_just_inside_the_future_limit_loads(written):
    ahead = (NOON + timedelta(hours=24)).isoformat()
    beyond = (NOON + timedelta(hours=24, seconds=1)).isoformat()
    path = written(f"1,card-a,B01,5.00,,{ahead},purchase,", f"2,card-a,B01,5.00,,{beyond},purchase,")

    report = import_file(path, at=NOON)

    assert (report.created, dict(report.by_code)) == (1, {"date_out_of_range": 1})
