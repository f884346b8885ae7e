"""An offer for some categories acts on the lines of a receipt that are of these, and on no others."""

import random
import re
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models import Count, Sum
from django.db.transaction import atomic, set_rollback
from hypothesis import given
from hypothesis import strategies as st

from loyalty.models import StatusTier, Transaction
from promos.billing import Bill, CouponTerms, Line, settle
from promos.models import Coupon, OfferUse
from promos.offers.rules import Effect, parse
from promos.offers.simulation import simulate
from promos.services.checkout import record_many, record_purchase
from promos.services.offers import known_categories
from tests.factories import (
    NOON,
    BusinessFactory,
    ChainFactory,
    CouponFactory,
    MemberFactory,
    agreeing,
    publish_offer,
)
from tests.promos.requests import purchase

TEXT = (Path(settings.BASE_DIR) / "docs" / "offers.md").read_text()
TABLE = TEXT.split("## Receipts with lines")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if re.match(r"\| [\d.]+ ", line)
]
BEFORE = NOON - timedelta(days=2)
RECEIPT = [{"amount": "800.00", "category": "чай"}, {"amount": "200.00", "category": "выпечка"}]


def effect(text):
    kinds = {"×": "multiplier", "+": "fixed", "−": "discount_fixed"}
    value = text[1:].rstrip("%₽")
    kind = {"+%": "percent", "−%": "discount_percent"}.get(text[0] + text[-1], kinds[text[0]])
    return Effect(kind, D(value))


def bill(lines, offers, covers, **more):
    return Bill(
        sum(lines, D(0)), accrual_percent=D(5), cap_percent=D(100), accrual_cap_percent=D(50),
        lines=tuple(Line(amount, earns=True) for amount in lines), offers=offers, covers=covers, **more
    )  # fmt: skip


def test_the_page_has_its_table():
    assert len(ROWS) >= 7


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]}")
def test_the_row_comes_to_what_the_page_says(row):
    lines, spent, offers, discounts, bonuses, by_line = row
    named = [text.split(" on ") for text in offers.split(", ")]
    covers = tuple(frozenset(int(n) - 1 for n in on.split("+")) if on != "all" else None for _, on in named)

    settled = settle(
        bill(
            [D(amount) for amount in lines.split(" + ")],
            tuple(effect(text) for text, _ in named),
            covers,
            redeem=D(spent),
        )
    )

    assert [share.coupon_discount for share in settled.lines] == [D(off) for off in discounts.split(" + ")]
    assert settled.bonus_accrued == D(bonuses)
    assert [share.bonus_accrued for share in settled.lines] == [D(part) for part in by_line.split(" + ")]


SUMS = st.decimals("0.01", "5000", places=2)
EFFECTS = st.one_of(
    st.builds(Effect, st.sampled_from(["multiplier"]), st.decimals("1.01", "20", places=2)),
    st.builds(Effect, st.sampled_from(["percent", "discount_percent"]), st.decimals("0.01", "100", places=2)),
    st.builds(Effect, st.sampled_from(["fixed", "discount_fixed"]), st.decimals("0.01", "3000", places=2)),
)
COUPONS = st.none() | st.builds(
    CouponTerms, st.sampled_from(["percent", "fixed", "multiplier"]), st.decimals("1.01", "90", places=2)
)


@given(st.data())
def test_lines_add_up_to_the_bill_and_no_line_is_given_more_than_it_costs(data):
    lines = data.draw(st.lists(SUMS, min_size=1, max_size=5))
    offers = data.draw(st.lists(EFFECTS, max_size=4))
    some = st.none() | st.frozensets(st.integers(0, len(lines) - 1), min_size=1)
    covers = tuple(data.draw(some) for _ in offers)

    settled = settle(bill(lines, tuple(offers), covers, coupon=data.draw(COUPONS)))

    assert sum(share.coupon_discount for share in settled.lines) == settled.coupon_discount
    assert sum(share.bonus_accrued for share in settled.lines) == settled.bonus_accrued
    assert all(0 <= share.coupon_discount <= share.amount for share in settled.lines)
    assert settled.bonus_accrued <= (settled.earn_base / 2).quantize(D("0.01")) + D("0.01")
    for effect_, cover, part in zip(offers, covers, settled.by_offers, strict=True):
        if cover is not None:
            assert part.discount <= sum(lines[line] for line in cover)
        if not effect_.kind.startswith("discount"):
            assert part.discount == 0


@given(st.lists(SUMS, min_size=1, max_size=5), EFFECTS, COUPONS)
def test_an_offer_for_every_line_is_an_offer_for_the_whole_bill(lines, one, coupon):
    everything = frozenset(range(len(lines)))
    # Where coupon and offer take off more than the bill, an offer for lines goes first: another split.
    if one.kind.startswith("discount"):
        coupon = None

    by_lines = settle(bill(lines, (one,), (everything,), coupon=coupon))
    whole = settle(bill(lines, (one,), (), coupon=coupon))

    assert (by_lines.bonus_accrued, by_lines.coupon_discount, by_lines.by_offers) == (
        whole.bonus_accrued, whole.coupon_discount, whole.by_offers
    )  # fmt: skip
    assert [share.coupon_discount for share in by_lines.lines] == [
        share.coupon_discount for share in whole.lines
    ]


@given(st.data())
def test_the_order_of_offers_for_lines_changes_nothing(data):
    """Of one kind of effect: which of several discounts is cut short follows precedence, as it should."""
    lines = data.draw(st.lists(SUMS, min_size=2, max_size=4))
    some = st.none() | st.frozensets(st.integers(0, len(lines) - 1), min_size=1)
    offers = data.draw(st.lists(st.tuples(EFFECTS, some), min_size=2, max_size=4))
    offers = [(one, cover) for one, cover in offers if not one.kind.startswith("discount")]
    shuffled = data.draw(st.permutations(offers))

    first, second = (
        settle(bill(lines, tuple(one for one, _ in some), tuple(cover for _, cover in some)))
        for some in (offers, shuffled)
    )

    assert first.bonus_accrued == second.bonus_accrued


# --- At the till -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_only_the_lines_of_the_category_earn_more_and_the_explanation_names_them(member, business):
    record_purchase(purchase(member, business, "first", purchased_at=BEFORE, lines=RECEIPT), at=BEFORE)
    publish_offer(business, conditions={"categories": ["выпечка"]})

    bought, _new = record_purchase(purchase(member, business, lines=RECEIPT), at=NOON)

    [rule] = [one for one in bought.explanation["rules"] if one["rule"] == "offer"]
    assert (rule["applied"], rule["effect"], rule["params"]["lines"]) == (True, "6.00", [2])
    # 3 % of 1,000 and 3 % of 200 once more.
    assert bought.bonus_accrued == D("36.00")
    assert [line["bonus_accrued"] for line in bought.explanation["lines"]] == ["24.00", "12.00"]


@pytest.mark.django_db
def test_a_receipt_without_such_a_line_says_what_it_had(member, business):
    record_purchase(purchase(member, business, "first", purchased_at=BEFORE, lines=RECEIPT), at=BEFORE)
    publish_offer(business, conditions={"categories": ["выпечка"]})
    tea = [{"amount": "900.00", "category": "чай"}, {"amount": "100.00"}]

    # The purchase's own category is what a line without one is of; the lines decide, not the head.
    bought, _new = record_purchase(purchase(member, business, lines=tea, category="прочее"), at=NOON)

    [rule] = [one for one in bought.explanation["rules"] if one["rule"] == "offer"]
    assert (rule["applied"], rule["reason"]) == (False, "category: выпечка needed, чай, прочее given")


@pytest.mark.django_db
def test_a_line_without_a_category_is_of_the_purchases(member, business):
    record_purchase(purchase(member, business, "first", purchased_at=BEFORE, lines=RECEIPT), at=BEFORE)
    publish_offer(business, conditions={"categories": ["выпечка"]})
    lines = [{"amount": "900.00", "category": "чай"}, {"amount": "100.00"}]

    bought, _new = record_purchase(purchase(member, business, lines=lines, category="выпечка"), at=NOON)

    assert bought.bonus_accrued == D("33.00")


@pytest.mark.django_db
def test_categories_of_lines_are_known_to_the_constructor(member, business):
    record_purchase(purchase(member, business, lines=RECEIPT, category="зал"), at=NOON)

    assert known_categories(business.pk) == {"чай", "выпечка", "зал"}


@pytest.mark.django_db
def test_a_chain_is_triggered_by_a_line_of_its_category(business):
    ChainFactory(source_business=business, trigger_categories=["выпечка"], holdout_percent=D(0))

    record_purchase(purchase(agreeing(), business, lines=RECEIPT, category="зал"), at=NOON)
    bought = Transaction.objects.get()

    [rule] = [one for one in bought.explanation["rules"] if one["rule"] == "chain"]
    assert rule["applied"], rule
    assert Coupon.objects.get().issued_for_id == bought.pk


# --- Simulation and replay --------------------------------------------------------------------------

NAMES = ["чай", "выпечка", "табак", ""]
DRAFTS = {
    "×": {"kind": "multiplier", "value": "2.5"},
    "%": {"kind": "percent", "value": "7.77"},
    "+": {"kind": "fixed", "value": "13.13"},
    "−%": {"kind": "discount_percent", "value": "33.33"},
    "−": {"kind": "discount_fixed", "value": "77.77"},
    "k": {"kind": "coupon", "benefit": "percent", "value": "10", "valid_days": 7},
}


def receipts(business, seed):
    """Forty receipts, of one line to four or of none, every fourth with a coupon, some with tobacco."""
    chance = random.Random(seed)
    requests = []
    for number in range(40):
        member = MemberFactory(status_tier=StatusTier.objects.get(level=1 + number % 4))
        benefit, value = chance.choice([("multiplier", "2"), ("fixed", "150"), ("percent", "20")])
        coupon = CouponFactory(member=member, business=business, benefit=benefit, benefit_value=D(value))
        lines = [
            {"amount": f"{chance.randint(1, 90000) / 100:.2f}", "category": chance.choice(NAMES)}
            for _ in range(chance.randint(1, 4))
        ]
        amount = sum(D(line["amount"]) for line in lines)
        requests.append(
            purchase(
                member, business, f"r{number}", amount=amount, lines=lines if number % 5 else None,
                category=chance.choice(NAMES), coupon_code=coupon.code if number % 4 == 0 else None,
            )
        )  # fmt: skip
    return requests


@pytest.mark.django_db
@pytest.mark.parametrize("name", DRAFTS)
def test_receipts_with_lines_come_to_what_was_simulated_and_replay_to_the_same(name, capsys):
    business = BusinessFactory(no_earn_categories=["табак"])
    requests = receipts(business, seed=name)
    conditions, later = {"categories": ["выпечка", "табак"]}, NOON + timedelta(days=1)
    with atomic():
        assert {str(outcome.status) for outcome in record_many(requests, at=NOON)} == {"created"}
        before = dict(Transaction.objects.values_list("external_id", "bonus_accrued"))
        result = simulate(
            parse(conditions, DRAFTS[name]), business_id=business.pk, price=D(1), at=later, days=30
        )
        set_rollback(True)
    seen = [
        purchase(MemberFactory(), business, f"s{n}", category=kind, purchased_at=BEFORE)
        for n, kind in enumerate(NAMES)
    ]
    record_many([one for one in seen if one.category], at=BEFORE)
    publish_offer(business, DRAFTS[name], conditions=conditions)

    record_many(requests, at=NOON)

    used = OfferUse.objects.aggregate(uses=Count("pk"), given=Sum("bonuses"), off=Sum("discount"))
    after = dict(
        Transaction.objects.filter(external_id__startswith="r").values_list("external_id", "bonus_accrued")
    )
    assert result.total.purchases == used["uses"] > 10
    assert result.total.discount == used["off"]
    # What a discount costs in bonuses is the tier's; what is given is the offer's own part.
    assert result.total.bonuses == (used["given"] or sum(after[key] - before[key] for key in after))
    call_command("replay_purchases")
    assert "differing=0" in capsys.readouterr().out


@pytest.mark.django_db
def test_a_purchase_recorded_before_lines_were_looked_at_replays_by_its_own_category(
    member, business, capsys
):
    record_purchase(purchase(member, business, "first", purchased_at=BEFORE, category="выпечка"), at=BEFORE)
    publish_offer(business, conditions={"categories": ["выпечка"]})
    lines = [{"amount": "800.00", "category": "выпечка"}, {"amount": "200.00", "category": "выпечка"}]
    bought, _new = record_purchase(purchase(member, business, lines=lines, category="выпечка"), at=NOON)
    explanation = bought.explanation
    # As the release before wrote it.
    del explanation["inputs"]["offers"]["facts"]["lines"]
    for one in explanation["rules"]:
        one["params"].pop("lines", None)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        Transaction.objects.filter(pk=bought.pk).update(explanation=explanation)

    call_command("replay_purchases")

    assert "differing=0" in capsys.readouterr().out
