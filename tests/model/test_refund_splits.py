"""A purchase refunded whole leaves nothing behind, however it was split."""

from datetime import timedelta
from decimal import ROUND_DOWN
from decimal import Decimal as D

import hypothesis.strategies as st
import pytest
from django.db.models import Sum
from django.db.transaction import atomic, set_rollback
from hypothesis import HealthCheck, given, seed, settings

from loyalty.models import StatusTier, Transaction
from loyalty.selectors import wallet
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
from promos.models import Coupon
from promos.services.checkout import record_purchase, record_refund
from promos.services.purchases import LineRefund, PurchaseRequest, RefundRequest
from tests.factories import NOON, BusinessFactory, CouponFactory, MemberFactory
from tests.promos.requests import purchase
from tests.prove import at_length

from . import stored

SEED = 3
ZERO = D("0.00")
money = st.one_of(st.integers(1, 300), st.integers(100, 9_999_999)).map(lambda kopecks: D(kopecks) / 100)
coupons = st.one_of(
    st.none(),
    st.integers(1, 10_000).map(lambda n: ("percent", D(n) / 100)),
    money.map(lambda value: ("fixed", value)),
    st.sampled_from([("multiplier", D("1.5")), ("multiplier", D("7.77"))]),
)
shares = st.integers(1, 100).map(lambda n: D(n) / 100)


def parts_of(left: Left) -> list[D]:
    return [left.amount, left.coupon_discount, left.bonus_redeemed, left.bonus_accrued]


def less(left: Left, part: Left) -> Left:
    return Left(*(a - b for a, b in zip(parts_of(left), parts_of(part), strict=True)))


def check(part: Left, left: Left) -> None:
    """Every part, the money paid included, is within what is left."""
    assert all(ZERO <= a <= b for a, b in zip(parts_of(part), parts_of(left), strict=True)), (part, left)
    paid, paid_left = (sums.amount - sums.coupon_discount - sums.bonus_redeemed for sums in (part, left))
    assert ZERO <= paid <= paid_left


@seed(SEED)
@given(data=st.data())
@settings(max_examples=at_length(briefly=200, full=20_000), deadline=None, database=None, print_blob=True)
def test_the_parts_of_refunds_add_up_to_the_purchase(data):
    lines = data.draw(st.lists(st.tuples(money, st.booleans()), max_size=5))
    amount = sum((sum_ for sum_, _ in lines), ZERO) or data.draw(money)
    coupon = data.draw(coupons)
    bill = Bill(
        amount=amount,
        accrual_percent=data.draw(st.sampled_from([D(0), D(3), D(10)])),
        cap_percent=D(50),
        coupon=CouponTerms(*coupon) if coupon else None,
        lines=tuple(Line(*line) for line in lines),
    )
    most = settle(bill).max_redeemable
    spent = (most * data.draw(st.integers(0, 100)) / 100).quantize(D("0.01"), ROUND_DOWN)
    settled = settle(Bill(**{name: getattr(bill, name) for name in bill.__slots__} | {"redeem": spent}))
    left = Left(amount, settled.coupon_discount, spent, settled.bonus_accrued)
    by_line = [
        Left(line.amount, line.coupon_discount, line.bonus_redeemed, line.bonus_accrued)
        for line in settled.lines
    ]
    assert not by_line or [sum(sums) for sums in zip(*map(parts_of, by_line), strict=True)] == parts_of(left)

    while left.amount:
        share = data.draw(shares)
        chosen = [i for i, line in enumerate(by_line) if line.amount and data.draw(st.booleans())]
        if chosen:
            part, parts = refund_of_lines([(by_line[i], portion(by_line[i].amount, share)) for i in chosen])
        elif by_line:
            chosen = range(len(by_line))
            part, parts = refund_over_lines(by_line, portion(left.amount, share))
        else:
            part, parts = refund_parts(left, portion(left.amount, share)), []
        for i, part_of_line in zip(chosen, parts, strict=True):
            check(part_of_line, by_line[i])
            by_line[i] = less(by_line[i], part_of_line)
        check(part, left)
        left = less(left, part)
        if by_line:
            assert [sum(sums) for sums in zip(*map(parts_of, by_line), strict=True)] == parts_of(left)
    assert parts_of(left) == [ZERO] * 4


def portion(whole: D, share: D) -> D:
    return max((whole * share).quantize(D("0.01")), D("0.01"))


@pytest.mark.django_db
def test_buying_and_refunding_leaves_nothing_behind(proved):
    business = BusinessFactory(requires_presence_code=False, no_earn_categories=["tobacco"])

    @seed(SEED)
    @given(data=st.data())
    @settings(
        max_examples=at_length(briefly=15, full=500),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    def one(data):
        with atomic():
            buy_and_refund(data, business)
            set_rollback(True)

    one()
    proved(f"seed {SEED}")


def buy_and_refund(data, business):
    member, at = MemberFactory(), NOON
    record_purchase(purchase(member, BusinessFactory(), "before", "20000.00"), at=at)  # 600.00 to spend
    before = sums_of(member)

    lines = data.draw(st.lists(st.tuples(money, st.sampled_from(["tea", "tobacco"])), max_size=4))
    amount = sum((sum_ for sum_, _ in lines), ZERO) or data.draw(money)
    coupon = data.draw(coupons)
    if coupon:
        coupon = CouponFactory(member=member, business=business, benefit=coupon[0], benefit_value=coupon[1])
    off = {"percent": lambda v: (amount * v / 100).quantize(D("0.01")) + D("0.01"), "fixed": lambda v: v}
    discount = off.get(coupon.benefit, lambda _v: ZERO)(coupon.benefit_value) if coupon else ZERO
    most = max(((amount - discount) / 5).quantize(D("0.01"), ROUND_DOWN), ZERO)
    request = PurchaseRequest(
        business=business,
        external_id="P",
        member_id=member.pk,
        amount=amount,
        lines=[{"amount": f"{sum_:.2f}", "category": category} for sum_, category in lines] or None,
        coupon_code=coupon.code if coupon else None,
        redeem=min(most, D("600.00")) if data.draw(st.booleans()) else ZERO,
    )
    record_purchase(request, at=at)

    left, lines_left, number = amount, [sum_ for sum_, _ in lines], 0
    while left:
        number, at = number + 1, at + timedelta(days=1)
        share = data.draw(st.sampled_from([D("0.1"), D("0.333"), D("0.5"), D(1)]))
        chosen = [i for i, sum_ in enumerate(lines_left) if sum_ and data.draw(st.booleans())]
        asked = {i: portion(lines_left[i], share) for i in chosen}
        if asked:
            lines_asked = tuple(LineRefund(i + 1, sum_) for i, sum_ in asked.items())
            wanted = RefundRequest(business, f"R{number}", "P", lines=lines_asked)
        else:
            wanted = RefundRequest(business, f"R{number}", "P", portion(left, share))
        refund, _ = record_refund(wanted, at=at)
        left += refund.amount
        for line in refund.explanation.get("lines", []):
            lines_left[line["line"] - 1] -= D(line["amount"])
        assert not lines or sum(lines_left) == left
        of_lines = [D(line["bonus_accrued"]) for line in refund.explanation.get("lines", [])]
        assert not lines or sum(of_lines) == -refund.bonus_accrued

    sums, lots = sums_of(member)
    lot = lots.pop((member.pk, "P", "purchase"), None)
    assert lot is None or lot[1] == ZERO
    assert (sums, lots) == before
    assert stored.purchases([member.pk])["P"][1] == [ZERO] * 4
    assert Transaction.objects.filter(member=member).aggregate(paid=Sum("amount_paid"))["paid"] == D(20000)
    assert coupon is None or Coupon.objects.get().status == Coupon.Status.ISSUED


@pytest.mark.django_db
def test_refunding_everything_in_any_order_leaves_nothing(proved):
    businesses = [BusinessFactory(requires_presence_code=False, can_accrue=gives) for gives in (True, False)]

    @seed(SEED)
    @given(data=st.data())
    @settings(
        max_examples=at_length(briefly=60, full=2_000),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    def one(data):
        with atomic():
            live_and_refund_everything(data, businesses)
            set_rollback(True)

    one()
    proved(f"seed {SEED}")


def live_and_refund_everything(data, businesses):
    """Buy, spend and refund in any order, until all is refunded whole."""
    level = data.draw(st.sampled_from([1, 1, 2]))
    member, at = MemberFactory(status_tier=StatusTier.objects.get(level=level)), NOON
    left: dict[str, tuple[int, D]] = {}
    number, more = 0, data.draw(st.integers(3, 14))
    while left or more:
        number, at = number + 1, at + timedelta(hours=1)
        if more and (not left or data.draw(st.integers(0, 2))):
            more -= 1
            at_shop = data.draw(st.sampled_from([0, 0, 1]))
            amount = D(data.draw(st.sampled_from([1_000, 3_000, 8_000])))
            redeem = min(wallet(member.pk, at=at).available, amount / 5)
            request = purchase(
                member, businesses[at_shop], f"P{number}", amount, purchased_at=at,
                redeem=data.draw(st.sampled_from([ZERO, redeem, redeem])),
            )  # fmt: skip
            record_purchase(request, at=at)
            left[request.external_id] = at_shop, amount
        else:
            key = data.draw(st.sampled_from(sorted(left)))
            at_shop, amount = left.pop(key)
            part = portion(amount, data.draw(st.sampled_from([D(1), D(1), D("0.333")])))
            record_refund(RefundRequest(businesses[at_shop], f"R{number}", key, part), at=at)
            if part < amount:
                left[key] = at_shop, amount - part
    figures = stored.balances([member.pk])[member.pk]
    assert (figures["debt"], figures["written_off"]) == (ZERO, ZERO)
    assert {lot[1] for lot in stored.lots([member.pk]).values()} <= {ZERO}


def sums_of(member):
    """Return debt, write-offs and lots. The tier may have risen: it does not fall before its review."""
    figures = stored.balances([member.pk])[member.pk]
    return (figures["debt"], figures["written_off"]), stored.lots([member.pk])
