"""What the source owes of a chain's discounts, and that refunds take back exactly that."""

from decimal import Decimal as D

import pytest
from django.db import DatabaseError
from django.db.models import Sum
from django.db.transaction import atomic

from promos.models import ChainCostShare, CrossPromoChain
from promos.rules import refunded_share
from promos.services.chain_checks import verify_chains
from promos.services.checkout import record_many, record_purchase, record_refund
from tests.factories import NOON, BusinessFactory, ChainFactory, CouponFactory, MemberFactory
from tests.promos.requests import days, purchase, refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(db):
    return ChainFactory(discount_share_percent=D(30), coupon_value=D(10))


@pytest.fixture
def coupon(chain, member):
    return CouponFactory(
        member=member, business=chain.target_business, chain=chain, chain_version=1, benefit_value=D(10)
    )


def redeem(coupon, amount="999.99", **fields):
    bill = purchase(coupon.member, coupon.business, "P", amount, coupon_code=coupon.code, **fields)
    return record_purchase(bill, at=NOON)[0]


def rows():
    return list(ChainCostShare.objects.order_by("pk").values_list("discount", "amount"))


def test_the_share_enters_with_the_purchase(chain, coupon):
    transaction = redeem(coupon)

    row = ChainCostShare.objects.get()
    assert (row.transaction, row.chain, row.version, row.created_at) == (transaction, chain, 1, NOON)
    assert (row.debtor, row.creditor) == (chain.source_business, chain.target_business)
    assert (row.discount, row.amount) == (D("100.00"), D("30.00"))
    chain.refresh_from_db()
    assert chain.spent_rub == D("100.00")


def test_refunds_take_back_pro_rata_and_the_last_what_is_left(chain, coupon):
    redeem(coupon)

    for number in range(3):
        record_refund(refund(chain.target_business, f"R{number}", "P", "333.33"), at=NOON + days(1))

    assert rows() == [
        (D("100.00"), D("30.00")),
        (D("-33.33"), D("-10.00")),
        (D("-33.33"), D("-10.00")),
        (D("-33.34"), D("-10.00")),
    ]
    assert CrossPromoChain.objects.get().spent_rub == 0
    assert verify_chains() == []


@pytest.mark.parametrize("cut", ["0.01", "0.03", "1.00", "499.99", "999.98"])
def test_any_split_adds_up_to_zero(chain, coupon, cut):
    redeem(coupon)
    whole = D("999.99")

    parts = [D(cut), (whole - D(cut)) / 2]
    parts[1] = parts[1].quantize(D("0.01"))
    parts.append(whole - sum(parts))
    requests = [refund(chain.target_business, f"R{n}", "P", part) for n, part in enumerate(parts) if part]
    record_many(requests, at=NOON + days(1))

    sums = ChainCostShare.objects.aggregate(discount=Sum("discount"), amount=Sum("amount"))
    assert sums == {"discount": 0, "amount": 0}


def test_purchase_and_refund_of_one_call_and_of_two_come_to_the_same(chain, coupon):
    requests = [
        purchase(coupon.member, coupon.business, "P", "999.99", coupon_code=coupon.code),
        refund(coupon.business, "R", "P", "333.33"),
    ]

    record_many(requests, at=NOON + days(1))

    assert rows() == [(D("100.00"), D("30.00")), (D("-33.33"), D("-10.00"))]


def test_the_share_of_the_coupons_own_version_counts(chain, coupon):
    chain.versions.create(version=1, proposed_by=MemberFactory(), terms={"discount_share_percent": "50.00"})

    redeem(coupon)

    assert rows() == [(D("100.00"), D("50.00"))]


def test_gifts_and_multipliers_and_coupons_of_no_chain_owe_nothing(chain, member):
    mine = {"member": member, "business": chain.target_business}
    for number, fields in enumerate(
        [
            {"benefit": "gift", "chain": chain},
            {"benefit": "multiplier", "benefit_value": 2, "chain": chain},
            {},
        ]
    ):
        code = CouponFactory(**mine, **fields).code
        bill = purchase(member, chain.target_business, str(number), coupon_code=code)
        record_purchase(bill, at=NOON)

    assert rows() == []


def test_a_share_of_nothing_is_kept_for_the_budget(coupon):
    CrossPromoChain.objects.update(discount_share_percent=0)

    redeem(coupon)

    assert rows() == [(D("100.00"), D("0.00"))]


def test_the_database_keeps_them(coupon):
    redeem(coupon)

    for deed in (lambda rows: rows.update(amount=0), lambda rows: rows.delete()):
        with pytest.raises(DatabaseError), atomic():
            deed(ChainCostShare.objects.all())


def test_a_purchase_without_a_coupon_reads_no_shares(member, django_assert_num_queries):
    business = BusinessFactory()
    record_purchase(purchase(member, business, "1"), at=NOON)

    with django_assert_num_queries(4):  # the frame of its transaction, what is read, what is written
        record_purchase(purchase(member, business, "2"), at=NOON)


def test_the_check_finds_what_is_wrong(chain, coupon):
    redeem(coupon)
    CrossPromoChain.objects.update(spent_rub=D("99.00"), issued_count=7)

    found = verify_chains()

    assert [fault.rule for fault in found] == ["spent", "issued"]
    assert "100.00" in found[0].what


def test_a_share_of_what_is_left():
    assert refunded_share(D("30.00"), returned=D("33.33"), of=D("100.00")) == D("10.00")
    assert refunded_share(D("10.01"), returned=D("0.00"), of=D("66.67")) == 0
    assert refunded_share(D("10.01"), returned=D("66.67"), of=D("66.67")) == D("10.01")
