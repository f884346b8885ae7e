"""What a bill comes to and what goes back with a refund, with no database (rules.md, Purchase and Refund)."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promos.billing import (
    Bill,
    CouponTerms,
    Left,
    Line,
    refund_of_lines,
    refund_over_lines,
    refund_parts,
    settle,
)

OFF_100 = CouponTerms("fixed", D("100.00"))
DOUBLE = CouponTerms("multiplier", D("2.00"))


def bill(amount="1000.00", **terms):
    terms = {"accrual_percent": D("5"), "cap_percent": D("30")} | terms
    return Bill(amount=D(amount), **terms)


def line(amount, earns=True):
    return Line(D(amount), earns)


def test_the_worked_example_of_the_rules():
    settled = settle(bill(coupon=OFF_100, redeem=D("200.00")))

    assert settled.coupon_discount == D("100.00")
    assert settled.max_redeemable == D("270.00")
    assert settled.earn_base == settled.amount_paid == D("700.00")
    assert settled.by_tier == settled.bonus_accrued == D("35.00")


def test_a_multiplier_is_applied_to_the_same_base():
    settled = settle(bill("700.00", coupon=DOUBLE))

    assert (settled.coupon_discount, settled.by_tier, settled.bonus_accrued) == (0, D("35.00"), D("70.00"))


@pytest.mark.parametrize(
    ("terms", "discount", "cap", "paid", "accrued"),
    [
        ({}, "0.00", "300.00", "1000.00", "50.00"),
        ({"coupon": CouponTerms("percent", D("15"))}, "150.00", "255.00", "850.00", "42.50"),
        ({"coupon": CouponTerms("percent", D("100"))}, "1000.00", "0.00", "0.00", "0.00"),
        ({"coupon": CouponTerms("fixed", D("1500"))}, "1000.00", "0.00", "0.00", "0.00"),
        ({"coupon": CouponTerms("gift", D("0"))}, "0.00", "300.00", "1000.00", "50.00"),
        ({"accrual_percent": D("0")}, "0.00", "300.00", "1000.00", "0.00"),
        ({"cap_percent": D("0")}, "0.00", "0.00", "1000.00", "50.00"),
        ({"earns": False}, "0.00", "300.00", "1000.00", "0.00"),
        ({"earns": False, "redeem": D("300.00")}, "0.00", "300.00", "700.00", "0.00"),
        # One rounding, half up: 0.30 × 5 % = 0.015; the cap is rounded down: 30 % of 0.33 = 0.099.
        ({"amount": "0.30"}, "0.00", "0.09", "0.30", "0.02"),
        ({"amount": "0.33"}, "0.00", "0.09", "0.33", "0.02"),
        # 0.10 × 5 % × 2.5 = 0.0125; had the percent been rounded first, it would be 0.03.
        ({"amount": "0.10", "coupon": CouponTerms("multiplier", D("2.5"))}, "0.00", "0.03", "0.10", "0.01"),
    ],
)
def test_bills(terms, discount, cap, paid, accrued):
    settled = settle(bill(terms.pop("amount", "1000.00"), **terms))

    found = (settled.coupon_discount, settled.max_redeemable, settled.amount_paid, settled.bonus_accrued)
    assert found == (D(discount), D(cap), D(paid), D(accrued))


def test_lines_share_the_bill_by_largest_remainder():
    lines = (line("333.33"), line("333.33"), line("333.34"))

    settled = settle(bill(coupon=OFF_100, redeem=D("200.00"), lines=lines))

    shares = [(s.coupon_discount, s.bonus_redeemed, s.bonus_accrued, s.amount_paid) for s in settled.lines]
    assert shares == [
        (D("33.33"), D("66.67"), D("11.67"), D("233.33")),
        (D("33.33"), D("66.67"), D("11.66"), D("233.33")),
        (D("33.34"), D("66.66"), D("11.67"), D("233.34")),
    ]


def test_lines_that_earn_nothing_leave_the_base():
    settled = settle(bill(lines=(line("600.00"), line("400.00", earns=False))))

    assert (settled.not_earning, settled.earn_base) == (D("400.00"), D("600.00"))
    assert [share.bonus_accrued for share in settled.lines] == [D("30.00"), D("0.00")]


def test_the_base_is_never_below_zero():
    lines = (line("100.00"), line("900.00", earns=False))

    settled = settle(bill(coupon=OFF_100, redeem=D("200.00"), lines=lines))

    assert (settled.earn_base, settled.bonus_accrued) == (0, 0)


KOPECKS = st.integers(1, 10_000_000).map(lambda kopecks: D(kopecks).scaleb(-2))
COUPONS = st.none() | st.builds(
    CouponTerms, st.sampled_from(["percent", "fixed", "multiplier"]), st.integers(1, 100).map(D)
)


@st.composite
def bills(draw):
    """A bill with lines, of which as much is paid by bonuses as the rules let or less."""
    lines = tuple(draw(st.lists(st.builds(Line, KOPECKS, st.booleans()), min_size=1, max_size=8)))
    amount = sum(line.amount for line in lines)
    percent, cap = draw(st.sampled_from([(3, 20), (5, 30), (7, 40), (10, 50)]))
    terms = {"accrual_percent": D(percent), "cap_percent": D(cap), "coupon": draw(COUPONS), "lines": lines}
    most = settle(Bill(amount, **terms)).max_redeemable
    return Bill(amount, redeem=most * draw(st.integers(0, 100)) // 100, **terms)


@given(bills())
def test_lines_add_up_to_the_bill_and_none_is_below_zero(some):
    settled = settle(some)

    for name in ("amount_paid", "coupon_discount", "bonus_accrued"):
        assert sum(getattr(share, name) for share in settled.lines) == getattr(settled, name)
    assert sum(share.bonus_redeemed for share in settled.lines) == some.redeem
    assert (
        min(min(share.amount_paid, share.bonus_redeemed, share.bonus_accrued) for share in settled.lines) >= 0
    )
    assert (
        all(
            share.bonus_accrued == 0
            for share, of in zip(settled.lines, some.lines, strict=True)
            if not of.earns
        )
        or settled.earn_base == 0
    )


# --- Refunds -----------------------------------------------------------------------------------------


def whole_of(some, settled):
    return Left(some.amount, settled.coupon_discount, some.redeem, settled.bonus_accrued)


def minus(left, part):
    return Left(*(getattr(left, name) - getattr(part, name) for name in Left.__slots__))


def is_sound(part, left):
    """The part is of what is left, and its money is not below zero."""
    rest = minus(left, part)
    within = all(0 <= getattr(part, name) <= getattr(left, name) for name in Left.__slots__)
    money = [of.amount - of.coupon_discount - of.bonus_redeemed for of in (part, rest)]
    return within and min(money) >= 0


def test_a_refund_is_in_proportion_to_the_kopeck():
    left = Left(D("1000.00"), D("100.00"), D("200.00"), D("35.00"))

    assert refund_parts(left, D("250.00")) == Left(D("250.00"), D("25.00"), D("50.00"), D("8.75"))
    assert refund_parts(left, D("0.01")) == Left(D("0.01"), D("0.00"), D("0.00"), D("0.00"))
    assert refund_parts(left, D("1000.00")) == left


@given(bills(), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_refunds_in_any_split_end_where_the_purchase_began(some, shares):
    left = whole_of(some, settle(some))

    for share in shares:
        if refunding := left.amount * share // 100:
            part = refund_parts(left, refunding)
            assert part.amount == refunding
            assert is_sound(part, left)
            left = minus(left, part)
    if left.amount:
        assert refund_parts(left, left.amount) == left


@given(bills(), st.data())
def test_refunds_by_line_and_by_amount_mix(some, data):
    settled = settle(some)
    whole = whole_of(some, settled)
    lines = [
        Left(share.amount, share.coupon_discount, share.bonus_redeemed, share.bonus_accrued)
        for share in settled.lines
    ]

    for _refund in range(data.draw(st.integers(1, 6))):
        open_lines = [number for number, left in enumerate(lines) if left.amount]
        if not open_lines:
            break
        if data.draw(st.booleans()):
            refunding = min(data.draw(KOPECKS), whole.amount)
            chosen, (part, parts) = range(len(lines)), refund_over_lines(lines, refunding)
        else:
            chosen = sorted(data.draw(st.sets(st.sampled_from(open_lines), min_size=1)))
            asked = [(lines[number], min(data.draw(KOPECKS), lines[number].amount)) for number in chosen]
            refunding, (part, parts) = sum(sum_ for _, sum_ in asked), refund_of_lines(asked)
        assert part.amount == refunding
        assert is_sound(part, whole)
        for number, of_line in zip(chosen, parts, strict=True):
            assert is_sound(of_line, lines[number])
            lines[number] = minus(lines[number], of_line)
        whole = minus(whole, part)
        for name in Left.__slots__:
            assert sum(getattr(line, name) for line in lines) == getattr(whole, name)

    if lines:
        assert refund_over_lines(lines, whole.amount) == (whole, lines)


def test_a_refund_by_amount_takes_from_each_line_what_it_is_worth():
    lines = [Left(D("600.00"), D("60.00"), D("120.00"), D("21.00")),
             Left(D("0.00"), D("0.00"), D("0.00"), D("0.00")),
             Left(D("400.00"), D("40.00"), D("80.00"), D("14.00"))]  # fmt: skip

    whole, parts = refund_over_lines(lines, D("100.00"))

    assert whole == Left(D("100.00"), D("10.00"), D("20.00"), D("3.50"))
    assert parts == [
        Left(D("60.00"), D("6.00"), D("12.00"), D("2.10")),
        lines[1],
        Left(D("40.00"), D("4.00"), D("8.00"), D("1.40")),
    ]


def test_a_line_alone_takes_its_own_share():
    settled = settle(bill(coupon=OFF_100, redeem=D("200.00"), lines=(line("600.00"), line("400.00"))))
    lines = [Left(s.amount, s.coupon_discount, s.bonus_redeemed, s.bonus_accrued) for s in settled.lines]

    whole, parts = refund_of_lines([(lines[1], D("400.00"))])

    assert whole == parts[0] == Left(D("400.00"), D("40.00"), D("80.00"), D("14.00"))
