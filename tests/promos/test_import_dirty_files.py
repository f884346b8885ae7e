"""Every broken export of ../shared/data/dirty behaves as its README asks."""

from decimal import Decimal as D

import pytest
from django.utils import translation

from loyalty.models import ImportJob, ImportRejection, ParkedRefund, Transaction
from promos.imports.errors import FileRefused
from promos.imports.loader import import_file
from promos.imports.profiles import PROFILES
from tests.factories import NOON, BusinessFactory
from tests.shared_data import SHARED_DATA

pytestmark = [pytest.mark.shared_data, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def coalition(db):
    with translation.override("en"):
        yield [BusinessFactory(code=f"B{number:02}") for number in range(1, 21)]


def load(name: str, profile: str = "default", **options):
    return import_file(
        SHARED_DATA / "dirty" / name, profile=PROFILES[profile], create_members=True, at=NOON, **options
    )


def refused() -> list[tuple[int, str, str]]:
    return list(ImportRejection.objects.order_by("line").values_list("line", "column", "code"))


def refused_whole(name: str, profile: str = "default") -> str:
    """Load a file that must be refused; return the sentence, having seen that nothing is stored."""
    with pytest.raises(FileRefused) as caught:
        load(name, profile)
    job = ImportJob.objects.get()
    assert (job.status, job.error, job.finished_at is not None) == ("failed", caught.value.detail, True)
    assert Transaction.objects.count() == 0
    return caught.value.detail


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("01-cp1251-semicolon.csv", "1c"),
        ("02-utf8-bom.csv", "default"),
        ("16-mixed-line-ends.csv", "default"),
    ],
)
def test_a_sound_file_in_its_own_spelling_loads_whole(name, profile):
    report = load(name, profile)

    assert report.line() == "read=12 created=12 duplicates=0 rejected=0 refunds=0 parked=0 amount=804.58"
    assert load(name, profile).line() == (
        "read=12 created=0 duplicates=12 rejected=0 refunds=0 parked=0 amount=0.00"
    )


def test_01_russian_text_is_stored_as_it_was_meant():
    load("01-cp1251-semicolon.csv", "1c")

    first = Transaction.objects.get(external_id="489434-B01")
    assert first.category == "кухня и сад"
    assert first.created_at.isoformat() == "2009-12-01T04:45:00+00:00"


@pytest.mark.parametrize(
    ("name", "fitting"),
    [
        ("01-cp1251-semicolon.csv", "1c"),
        ("03-nbsp-thousands.csv", "excel-ru"),
        ("10-dates-dd-mm-yyyy.csv", "day-first"),
        ("11-excel-serial-dates.csv", "excel-serial"),
    ],
)
def test_without_its_profile_a_file_is_refused_and_the_fitting_one_named(name, fitting):
    assert refused_whole(name).endswith(f"A profile that may fit: --profile {fitting}.")


def test_03_thousands_are_read_whole():
    report = load("03-nbsp-thousands.csv", "excel-ru")

    amounts = Transaction.objects.order_by("external_id").values_list("amount", flat=True)
    assert [str(amount) for amount in amounts] == [
        "1234.56", "12345.60", "1234567.89", "1000.00", "987.60", "0.99",
    ]  # fmt: skip
    assert report.rejected == 0


def test_04_without_a_header_the_file_is_refused():
    assert refused_whole("04-missing-header.csv").startswith(
        "Line 1 is not a header that profile default knows: 489434-B01."
    )


def test_05_the_same_row_twice_is_a_duplicate():
    report = load("05-duplicate-same-body.csv")

    assert report.line() == "read=14 created=10 duplicates=4 rejected=0 refunds=0 parked=0 amount=678.50"


def test_06_the_same_receipt_with_other_content_is_a_conflict_shown_with_both_bodies():
    report = load("06-duplicate-different-body.csv")

    assert report.line() == "read=13 created=10 duplicates=0 rejected=3 refunds=0 parked=0 amount=678.50"
    assert refused() == [(line, "external_id", "external_id_reused") for line in (12, 13, 14)]
    conflict = ImportRejection.objects.get(line=12)
    assert conflict.row["cells"][3] == "99.99"
    assert conflict.row["stored"] == {
        "member_ref": "uci-13085", "amount": "83.40", "category": "christmas", "kind": "purchase",
        "purchased_at": "2009-12-01T07:45:00+00:00", "refund_of": "",
    }  # fmt: skip


def test_07_only_the_sound_amount_loads():
    report = load("07-negative-zero-text-amounts.csv")

    assert report.line() == "read=8 created=1 duplicates=0 rejected=7 refunds=0 parked=0 amount=7.10"
    assert refused() == [
        (2, "amount", "amount_not_positive"), (3, "amount", "amount_not_positive"),
        (4, "amount", "amount_not_positive"), (5, "amount", "amount_not_positive"),
        (6, "amount", "amount_missing"), (7, "amount", "amount_invalid"), (8, "amount", "amount_invalid"),
    ]  # fmt: skip


def test_08_only_the_sound_amount_loads():
    report = load("08-huge-and-odd-amounts.csv")

    assert report.line() == "read=10 created=1 duplicates=0 rejected=9 refunds=0 parked=0 amount=49.90"


def test_09_only_the_sound_date_loads():
    report = load("09-future-and-ancient-dates.csv")

    assert report.line() == "read=8 created=1 duplicates=0 rejected=7 refunds=0 parked=0 amount=115.20"
    assert refused() == [
        (2, "purchased_at", "date_out_of_range"), (3, "purchased_at", "date_out_of_range"),
        (4, "purchased_at", "date_out_of_range"), (5, "purchased_at", "date_out_of_range"),
        (6, "purchased_at", "date_out_of_range"), (7, "purchased_at", "date_invalid"),
        (8, "purchased_at", "date_missing"),
    ]  # fmt: skip


def test_10_day_first_dates_load_where_the_day_exists():
    report = load("10-dates-dd-mm-yyyy.csv", "day-first")

    assert (report.created, report.rejected) == (4, 4)
    third_of_april = Transaction.objects.get(external_id="489434-B04")
    assert third_of_april.created_at.isoformat() == "2011-04-02T20:00:00+00:00"
    assert [line for line, _column, _code in refused()] == [5, 6, 8, 9]


def test_11_excel_days_load_where_the_calendar_is_sound():
    report = load("11-excel-serial-dates.csv", "excel-serial")

    moments = Transaction.objects.order_by("created_at").values_list("created_at", flat=True)
    assert [moment.isoformat() for moment in moments] == [
        "2010-11-30T21:00:00+00:00", "2010-12-01T05:26:00+00:00", "2010-12-01T15:00:00+00:00",
    ]  # fmt: skip
    assert (report.created, report.rejected) == (3, 3)


def test_12_formulas_are_stored_as_they_are():
    report = load("12-formula-injection.csv")

    assert (report.created, report.rejected) == (8, 0)
    assert set(Transaction.objects.values_list("category", flat=True)) == {
        '=HYPERLINK("http://example.invalid/","click")', "+1+1", "-2+3", "@SUM(A1:A9)", "\t=1+1", "\r=1+1",
        "=1+1", "kitchen",
    }  # fmt: skip


def test_13_an_empty_file_fails():
    assert refused_whole("13-empty.csv") == "The file is empty."


def test_14_a_cut_file_stores_nothing():
    assert (
        refused_whole("14-truncated.csv.gz") == "14-truncated.csv.gz is cut off: the gzip stream has no end."
    )


def test_15_a_huge_cell_is_refused_and_not_repeated(tmp_path):
    errors = tmp_path / "errors.csv"
    report = load("15-one-line-5mb.csv", errors_path=errors)

    assert report.line() == "read=3 created=2 duplicates=0 rejected=1 refunds=0 parked=0 amount=245.40"
    assert refused() == [(3, "", "line_too_long")]
    assert errors.stat().st_size < 500


def test_17_rows_with_nul_are_refused():
    report = load("17-nul-bytes.csv")

    assert report.line() == "read=6 created=3 duplicates=0 rejected=3 refunds=0 parked=0 amount=346.20"
    assert refused() == [
        (3, "category", "odd_character"), (5, "external_id", "odd_character"),
        (6, "member_ref", "odd_character"),
    ]  # fmt: skip


def test_18_line_numbers_stay_right_after_a_break_in_quotes():
    report = load("18-quotes-and-columns.csv")

    assert report.line() == "read=9 created=4 duplicates=0 rejected=5 refunds=0 parked=0 amount=259.20"
    assert refused() == [
        (5, "", "columns"), (6, "", "columns"), (7, "", "empty_row"), (8, "", "empty_row"),
        (11, "", "quote_not_closed"),
    ]  # fmt: skip
    categories = Transaction.objects.filter(external_id__in=["489434-B01", "489434-B04"])
    assert set(categories.values_list("category", flat=True)) == {'garden, "best" tools', "two\nlines"}


def test_19_refunds_in_any_order_never_exceed_their_purchase():
    report = load("19-refund-chains.csv")

    assert report.line() == "read=13 created=3 duplicates=0 rejected=6 refunds=2 parked=2 amount=191.00"
    assert refused() == [
        (3, "amount", "refund_exceeds_purchase"), (4, "amount", "refund_exceeds_purchase"),
        (5, "purchased_at", "refund_unlinked"), (11, "refund_of", "invalid"),
        (12, "refund_of", "refund_unlinked"), (13, "member_ref", "refund_unlinked"),
    ]  # fmt: skip
    assert set(Transaction.objects.filter(kind="refund").values_list("external_id", "amount")) == {
        ("R1", D("-83.40")), ("R10", D("-1.00")),
    }  # fmt: skip
    assert set(ParkedRefund.objects.values_list("external_id", flat=True)) == {"R5", "R6"}


def test_20_spaces_are_trimmed_and_lookalikes_named():
    report = load("20-lookalikes-and-spaces.csv")

    assert report.line() == "read=8 created=4 duplicates=0 rejected=4 refunds=0 parked=0 amount=288.70"
    reasons = ImportRejection.objects.order_by("line").values_list("line", "column", "code", "reason")
    assert list(reasons) == [
        (3, "member_ref", "odd_character", "contains U+200B ZERO WIDTH SPACE"),
        (4, "business_ref", "lookalike", "U+0412 CYRILLIC CAPITAL LETTER VE looks like B"),
        (5, "member_ref", "member_not_found", "there is no such card; did you mean uci-13085?"),
        (7, "business_ref", "business_not_found", "there is no active business B99"),
    ]
    assert set(Transaction.objects.values_list("external_id", flat=True)) == {
        "489434-B01", "489434-B14", "489435-B03", "489435-B05",
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted((SHARED_DATA / "dirty").glob("*.csv*")), ids=lambda path: path.name)
def test_no_file_is_stored_twice(path):
    profiles = {"01": "1c", "03": "excel-ru", "10": "day-first", "11": "excel-serial"}
    profile = profiles.get(path.name[:2], "default")
    try:
        load(path.name, profile)
    except FileRefused:
        return
    stored = set(Transaction.objects.values_list("pk", flat=True))

    again = load(path.name, profile)

    assert (again.created, again.refunds, again.amount) == (0, 0, D("0.00"))
    assert set(Transaction.objects.values_list("pk", flat=True)) == stored
    assert again.read == again.duplicates + again.rejected + again.parked
