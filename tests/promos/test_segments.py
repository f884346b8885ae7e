"""The segments that a snapshot changes are kept for offers; a repeat changes nothing."""

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
    changes = [(anna, "champions"), (vera, "new"), (boris, "")]
    # The two statements, and the savepoint around them.
    with django_assert_num_queries(4):
        assert store(changes, snapshot_date=TUESDAY) == 3
    assert kept() == {anna: "champions", vera: "new"}

    assert store(changes, snapshot_date=TUESDAY) == 3
    assert kept() == {anna: "champions", vera: "new"}


def test_who_is_not_named_keeps_the_segment(django_assert_num_queries):
    anna, boris = (MemberFactory().pk for _ in range(2))
    store([(anna, "new"), (boris, "loyal")], snapshot_date=MONDAY)

    store([(anna, "promising")], snapshot_date=TUESDAY)

    assert kept() == {anna: "promising", boris: "loyal"}
    with django_assert_num_queries(2):  # the savepoint alone
        assert store([], snapshot_date=TUESDAY) == 0


def test_who_has_left_the_programme_is_passed_over():
    gone = MemberFactory()
    key = gone.pk
    gone.delete()
    store([(key, "new")], snapshot_date=MONDAY)
    assert kept() == {}
