"""Segments of the latest snapshot are kept for offers; an older one or a repeat changes nothing."""

from datetime import date

import pytest

from promos.models import MemberSegment
from promos.services.segments import store
from tests.factories import MemberFactory

pytestmark = pytest.mark.django_db
MONDAY, TUESDAY = date(2026, 6, 15), date(2026, 6, 16)


def kept():
    return dict(MemberSegment.objects.values_list("member", "segment"))


def test_a_newer_snapshot_takes_the_place_of_the_older(django_assert_num_queries):
    anna, boris, vera = (MemberFactory().pk for _ in range(3))
    store([(anna, "new"), (boris, "loyal")], snapshot_date=MONDAY)
    # What is newer, the two statements, and the savepoint around them.
    with django_assert_num_queries(5):
        assert store([(anna, "champions"), (vera, "new")], snapshot_date=TUESDAY) == 2
    assert kept() == {anna: "champions", vera: "new"}

    store([(anna, "champions")], snapshot_date=TUESDAY)
    assert store([(boris, "at_risk")], snapshot_date=MONDAY) == 0
    assert kept() == {anna: "champions"}


def test_who_has_left_the_programme_is_passed_over():
    gone = MemberFactory()
    key = gone.pk
    gone.delete()
    store([(key, "new")], snapshot_date=MONDAY)
    assert kept() == {}
