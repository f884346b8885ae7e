"""Stored purchases replay to the numbers they were stored with, and a changed one is named."""

import json
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from loyalty.models import StatusTier, Transaction
from promos.services.checkout import record_purchase
from tests.factories import (
    NOON,
    BusinessFactory,
    CouponFactory,
    MemberFactory,
    give_bonuses,
    publish_offer,
)
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db

LINES = [{"amount": "333.33", "category": "чай"}, {"amount": "666.67", "category": "табак"}]


@pytest.fixture
def stored():
    """A purchase with everything a bill can have: lines, one of which earns nothing, coupon, spending."""
    business = BusinessFactory(requires_presence_code=False, no_earn_categories=["Табак"])
    member = MemberFactory(status_tier=StatusTier.objects.get(level=2))
    give_bonuses(member, business, D("500.00"), at=NOON - timedelta(days=1))
    coupon = CouponFactory(member=member, business=business, benefit="multiplier", benefit_value=D("2.5"))
    request = purchase(member, business, lines=LINES, coupon_code=coupon.code, redeem=D("123.45"))
    transaction, _ = record_purchase(request, at=NOON)
    return transaction


def test_everything_replays_to_what_is_stored(stored, member, business, capsys):
    record_purchase(purchase(member, business, "plain", "419.99"), at=NOON)

    call_command("replay_purchases")

    assert capsys.readouterr().out.splitlines()[-1] == "replayed=2 differing=0 without_inputs=0"


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        ("{inputs,accrual_percent}", "6.00", "bonus_accrued"),
        ("{inputs,redeem}", "123.44", "bonus_redeemed"),
        ("{earn_base}", "210.00", "earn_base"),
        ("{lines,0,bonus_redeemed}", "0.00", "lines"),
    ],
)
def test_a_changed_purchase_is_named(stored, capsys, path, value, name):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE transactions SET explanation = jsonb_set(explanation, %s, %s)", [path, json.dumps(value)]
        )

    with pytest.raises(CommandError, match="1 purchases replay to other numbers"):
        call_command("replay_purchases")

    assert f"purchase {stored.pk}: {name} is" in capsys.readouterr().err


def test_of_explanations_without_inputs_only_the_count_is_told(stored, capsys):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE transactions SET explanation = explanation - 'inputs' || '{\"version\": 1}'")

    call_command("replay_purchases", business=Transaction.objects.get().business.code)

    assert capsys.readouterr().out.splitlines()[-1] == "replayed=0 differing=0 without_inputs=1"


def test_an_unknown_business_is_refused():
    with pytest.raises(CommandError, match="no business with the code NOBODY"):
        call_command("replay_purchases", business="NOBODY")


def test_explanations_of_version_2_replay_without_the_cap(stored, capsys):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE transactions SET explanation = (explanation #- '{inputs,accrual_cap_percent}')"
            " || '{\"version\": 2}'"
        )

    call_command("replay_purchases")

    assert capsys.readouterr().out.splitlines()[-1] == "replayed=1 differing=0 without_inputs=0"


def test_offers_are_decided_again_and_one_that_did_not_apply_is_named(member, business, capsys):
    publish_offer(business, per_member_limit=1)
    for receipt in ("first", "second"):
        record_purchase(purchase(member, business, receipt), at=NOON)
    call_command("replay_purchases")

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE transactions SET explanation = explanation #- '{inputs,offers,used}'"
            " WHERE external_id = 'second'"
        )
    with pytest.raises(CommandError, match="1 purchases replay to other numbers"):
        call_command("replay_purchases")

    assert "offers is" in capsys.readouterr().err
