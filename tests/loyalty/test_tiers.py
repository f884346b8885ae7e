"""Tiers rise by the turnover of twelve months, are held for a year, and are then reviewed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django_celery_beat.models import PeriodicTask

from loyalty.models import Member, TierChange
from loyalty.selectors import next_review, tier_history, tier_progress
from loyalty.services import tiers
from loyalty.services.tiers import Review, raise_tiers, review_tiers, tier_holds_until
from loyalty.tasks import review_tiers as review_tiers_task
from tests.factories import NOON, MemberFactory
from tests.loyalty.tier_rows import member_of, paid

pytestmark = pytest.mark.django_db

RUN_OUT = datetime(2027, 6, 30, 21, 0, tzinfo=UTC)  # midnight of 1 July 2027 in Moscow
REVIEW = datetime(2027, 6, 30, 21, 30, tzinfo=UTC)
HELD_ON = datetime(2028, 7, 31, 21, 0, tzinfo=UTC)
YEAR = timedelta(days=365)


def standing(member: Member) -> tuple[int, datetime | None]:
    member = Member.objects.select_related("status_tier").get(pk=member.pk)
    return member.status_tier.level, member.tier_valid_until


def steps(member: Member) -> list[tuple]:
    changes = TierChange.objects.filter(member=member).order_by("created_at", "id")
    return list(changes.values_list("from_level", "to_level", "reason", "turnover_rub", "created_at"))


# --- Rising ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turnover", "level"),
    [("29999.99", 1), ("30000.00", 2), ("100000.00", 3), ("299999.99", 3), ("300000.00", 4)],
)
def test_each_threshold_is_reached_by_the_kopeck(member, business, turnover, level):
    paid(member, business, turnover, at=NOON)

    raise_tiers(at=NOON)

    assert standing(member)[0] == level
    rise = [(1, level, "rise", D(turnover), NOON)]
    assert steps(member) == (rise if level > 1 else [])


def test_turnover_is_net_of_refunds_and_of_purchases_older_than_a_year(business):
    refunded, old = MemberFactory(), MemberFactory()
    paid(refunded, business, "30000.00", at=NOON)
    paid(refunded, business, "-0.01", at=NOON)
    paid(old, business, "30000.00", at=NOON - YEAR)

    assert raise_tiers(at=NOON) == {}


def test_a_rise_never_lowers_and_a_second_run_changes_nothing(member, business):
    paid(member, business, "30000.00", at=NOON)

    assert raise_tiers(at=NOON) == {member.pk: 2}
    assert raise_tiers(at=NOON) == {}
    assert raise_tiers(at=NOON + timedelta(days=400)) == {}

    assert standing(member) == (2, RUN_OUT)
    assert steps(member) == [(1, 2, "rise", D("30000.00"), NOON)]


@pytest.mark.parametrize(
    ("decided", "until"),
    [
        # The middle of a month.
        ("2026-06-15T12:00+03:00", "2027-07-01T00:00+03:00"),
        # The last moment of a month and the first of the next.
        ("2026-06-30T23:59:59+03:00", "2027-07-01T00:00+03:00"),
        ("2026-07-01T00:00+03:00", "2027-08-01T00:00+03:00"),
        # Still June in UTC, July in Moscow already.
        ("2026-06-30T21:30+00:00", "2027-08-01T00:00+03:00"),
        # The end of a year, in Moscow and in UTC.
        ("2026-12-31T23:30+03:00", "2028-01-01T00:00+03:00"),
        ("2026-12-31T21:30+00:00", "2028-02-01T00:00+03:00"),
        # A leap day, and February of a leap year.
        ("2028-02-29T12:00+03:00", "2029-03-01T00:00+03:00"),
        ("2027-02-28T12:00+03:00", "2028-03-01T00:00+03:00"),
        ("2027-01-31T12:00+03:00", "2028-02-01T00:00+03:00"),
    ],
)
def test_a_tier_holds_to_the_end_of_the_month_a_year_later(decided, until):
    assert tier_holds_until(datetime.fromisoformat(decided)) == datetime.fromisoformat(until)


# --- The review --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "turnover", "reviewed", "until"),
    [
        # Own threshold, by the kopeck.
        (2, "30000.00", 2, HELD_ON),
        (2, "29999.99", 1, None),
        (3, "100000.00", 3, HELD_ON),
        (3, "99999.99", 2, HELD_ON),
        (4, "300000.00", 4, HELD_ON),
        (4, "299999.99", 3, HELD_ON),
        # By one level only, however little was bought.
        (4, "0.01", 3, HELD_ON),
        (3, "0.01", 2, HELD_ON),
        # A higher threshold is the business of a rise.
        (2, "300000.00", 2, HELD_ON),
    ],
)
def test_a_review_keeps_a_tier_or_lowers_it_by_one_level(business, level, turnover, reviewed, until):
    member = member_of(level, until=RUN_OUT)
    paid(member, business, turnover, at=REVIEW - timedelta(days=1))

    result = review_tiers(at=REVIEW)

    assert standing(member) == (reviewed, until)
    lowered = reviewed != level
    assert result == Review(kept=not lowered, lowered=lowered)
    assert steps(member) == ([(level, reviewed, "review", D(turnover), REVIEW)] if lowered else [])


def test_a_review_counts_the_last_year_net_of_refunds(business):
    cases = {
        "nothing bought": [],
        "too old by a moment": [("30000.00", REVIEW - YEAR)],
        "refunded": [("30000.00", REVIEW - timedelta(days=2)), ("-0.01", REVIEW - timedelta(days=1))],
        "bought after the review": [("30000.00", REVIEW + timedelta(seconds=1))],
        "just within the year": [("30000.00", REVIEW - YEAR + timedelta(microseconds=1))],
    }
    members = {name: member_of(2, until=RUN_OUT) for name in cases}
    for name, purchases in cases.items():
        for amount, at in purchases:
            paid(members[name], business, amount, at=at)

    assert review_tiers(at=REVIEW) == Review(kept=1, lowered=4)

    assert {name: standing(member)[0] for name, member in members.items()} == {
        "nothing bought": 1,
        "too old by a moment": 1,
        "refunded": 1,
        "bought after the review": 1,
        "just within the year": 2,
    }
    assert steps(members["refunded"]) == [(2, 1, "review", D("29999.99"), REVIEW)]


def test_a_review_leaves_those_whose_time_has_not_come():
    holding = member_of(3, until=REVIEW + timedelta(microseconds=1))
    lowest, unlimited = member_of(1, until=RUN_OUT), member_of(4)
    left = member_of(3, until=RUN_OUT)
    Member.objects.filter(pk=left.pk).update(anonymised_at=NOON)

    assert review_tiers(at=REVIEW) == Review()

    assert standing(holding)[0] == 3
    assert standing(lowest) == (1, RUN_OUT)
    assert standing(unlimited) == (4, None)
    assert standing(left) == (3, RUN_OUT)
    assert not TierChange.objects.exists()


def test_a_second_review_changes_nothing_and_the_next_year_lowers_again(business):
    member, holder = member_of(4, until=RUN_OUT), member_of(2, until=RUN_OUT)
    paid(holder, business, "30000.00", at=REVIEW - timedelta(days=1))

    assert review_tiers(at=REVIEW) == Review(kept=1, lowered=1)
    assert review_tiers(at=REVIEW) == Review()
    assert review_tiers(at=REVIEW + timedelta(days=31)) == Review()
    assert review_tiers(at=HELD_ON + timedelta(minutes=30)) == Review(lowered=2)

    assert [(before, after) for before, after, *_ in steps(member)] == [(4, 3), (3, 2)]
    assert [(before, after) for before, after, *_ in steps(holder)] == [(2, 1)]


def test_the_lowest_tier_is_never_reviewed_again():
    member = member_of(2, until=RUN_OUT)

    review_tiers(at=REVIEW)
    review_tiers(at=HELD_ON + YEAR)

    assert standing(member) == (1, None)
    assert len(steps(member)) == 1


def test_a_review_goes_by_batches(monkeypatch):
    monkeypatch.setattr(tiers, "MEMBERS_AT_ONCE", 2)
    members = [member_of(2, until=RUN_OUT) for _ in range(5)]

    assert review_tiers(at=REVIEW) == Review(lowered=5)

    assert [standing(member)[0] for member in members] == [1] * 5


@pytest.mark.parametrize("count", [1, 3])
def test_a_review_costs_the_same_for_one_member_as_for_three(count, django_assert_num_queries):
    for _ in range(count):
        member_of(2, until=RUN_OUT)

    # Whose time it is, twice; savepoint, locks, the review, the history, savepoint.
    with django_assert_num_queries(7):
        review_tiers(at=REVIEW)


def test_the_review_is_a_monthly_task():
    row = PeriodicTask.objects.select_related("crontab").get(name="review_tiers")

    assert (row.task, row.enabled) == ("review_tiers", True)
    assert (row.crontab.day_of_month, row.crontab.hour, row.crontab.minute) == ("1", "0", "30")
    assert str(row.crontab.timezone) == "Europe/Moscow"
    member_of(2, until=NOON - YEAR)
    assert review_tiers_task() == {"kept": 0, "lowered": 1}


# --- What a member sees --------------------------------------------------------------------------------


def test_progress_says_what_is_needed_to_stay_and_to_rise(business):
    member = member_of(2, until=RUN_OUT)
    at = REVIEW - timedelta(days=100)
    # The first will have grown too old by the review.
    paid(member, business, "20000.00", at=at - timedelta(days=300))
    paid(member, business, "12500.00", at=at - timedelta(days=1))

    progress = tier_progress(member, at=at)

    assert (progress.tier.level, progress.next_tier.level) == (2, 3)
    assert (progress.turnover_rub, progress.missing_rub) == (D("32500.00"), D("67500.00"))
    assert (progress.kept_rub, progress.to_keep_rub) == (D("12500.00"), D("17500.00"))
    assert progress.review_at == REVIEW


def test_progress_of_the_lowest_and_the_highest_tier(business):
    lowest, highest = member_of(1, until=RUN_OUT), member_of(4, until=RUN_OUT)
    paid(highest, business, "400000.00", at=REVIEW - timedelta(days=1))

    below, above = (tier_progress(member, at=REVIEW - timedelta(hours=1)) for member in (lowest, highest))

    assert (below.review_at, below.to_keep_rub, below.missing_rub) == (None, D("0.00"), D("30000.00"))
    assert (above.next_tier, above.missing_rub, above.to_keep_rub) == (None, D("0.00"), D("0.00"))
    assert above.review_at == REVIEW


@pytest.mark.parametrize(
    ("until", "at", "review"),
    [
        ("2027-07-01T00:00+03:00", "2027-01-10T12:00+03:00", "2027-07-01T00:30+03:00"),
        ("2027-07-01T00:00+03:00", "2027-07-01T00:29+03:00", "2027-07-01T00:30+03:00"),
        # Staff set a time of their own; a review was missed.
        ("2027-06-15T12:00+03:00", "2027-01-10T12:00+03:00", "2027-07-01T00:30+03:00"),
        ("2027-07-01T00:00+03:00", "2027-07-01T00:31+03:00", "2027-08-01T00:30+03:00"),
        ("2027-12-31T23:00+03:00", "2027-12-31T22:00+03:00", "2028-01-01T00:30+03:00"),
        # The 1st in Moscow is the 31st in UTC.
        ("2027-12-31T21:00+00:00", "2027-12-30T00:00+00:00", "2027-12-31T21:30+00:00"),
    ],
)
def test_the_next_review_is_on_the_first_at_half_past_midnight(until, at, review):
    until, at, review = (datetime.fromisoformat(text) for text in (until, at, review))

    assert next_review(until, at=at) == review


def test_history_is_newest_first_and_the_members_own(business):
    member, stranger = MemberFactory(), MemberFactory()
    for one in (member, stranger):
        paid(one, business, "30000.00", at=NOON)
    raise_tiers(at=NOON)
    review_tiers(at=REVIEW)

    history = tier_history(member.pk, tier_progress(member, at=NOON).tiers)

    assert [(step.before.level, step.after.level, step.reason, step.is_rise) for step in history] == [
        (2, 1, "review", False),
        (1, 2, "rise", True),
    ]
    assert [step.turnover_rub for step in history] == [D("0.00"), D("30000.00")]
