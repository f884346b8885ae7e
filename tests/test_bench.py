"""`make bench` measures what it says it does; the figures themselves are no test's business."""

import pytest
from django.db import connection

from tests.bench.figures import UnknownFigure, chosen
from tests.bench.history import switch_triggers_on
from tests.bench.registry import FIGURES, NAMES, Result
from tests.bench.yardstick import with_values


def test_every_figure_bears_a_name_that_readers_know():
    assert set(FIGURES) <= set(NAMES)
    assert list(chosen("")) == [name for name in NAMES if name in FIGURES]


def test_only_picks_figures_by_name():
    assert list(chosen("hot_member, http_purchase")) == ["http_purchase", "hot_member"]


def test_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(UnknownFigure) as refused:
        chosen("http_purchase,warp_speed")
    assert str(refused.value) == f"No figure is called warp_speed. There are: {', '.join(chosen(''))}."


def test_stored_result_has_the_six_fields_of_the_file():
    result = Result(2 / 3, "rows/s", "≥ 1/2", ok=True, yardstick=1.0, ratio=2 / 3, note="shown only")
    assert result.stored() == {
        "value": 0.6667, "unit": "rows/s", "goal": "≥ 1/2", "ok": True, "yardstick": 1.0, "ratio": 0.6667,
    }  # fmt: skip


def test_values_go_into_the_yardsticks_places_and_leave_casts_alone():
    assert with_values("SELECT :first::bigint, :count::bigint", count=5) == "SELECT :first::bigint, 5::bigint"


@pytest.mark.django_db
def test_no_trigger_is_left_out_after_the_history_was_loaded():
    off = "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'"
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE bonus_lots DISABLE TRIGGER USER; ALTER TABLE audit_logs DISABLE TRIGGER USER"
        )
        cursor.execute(off)
        assert cursor.fetchone() > (0,)

        switch_triggers_on()

        cursor.execute(off)
        assert cursor.fetchone() == (0,)
