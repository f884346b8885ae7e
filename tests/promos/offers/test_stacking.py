"""Several offers on one bill: their order never matters, and nobody is worse off by them."""

from datetime import datetime, timedelta
from decimal import Decimal as D
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from promos.billing import Bill, CouponTerms, Line, settle
from promos.offers.decision import Limits, Offer, Usage, decide
from promos.offers.facts import Facts
from promos.offers.rules import parse

CAP = D(50)
NOON = datetime(2026, 6, 15, 12, tzinfo=ZoneInfo("Europe/Moscow"))
COUPON = {"kind": "coupon", "benefit": "percent", "value": "10", "valid_days": 14}

kopecks = st.integers(1, 500_000).map(lambda number: D(number) / 100)
hundredths = st.integers(1, 10_000).map(lambda number: D(number) / 100)
values = {
    "multiplier": st.integers(101, 2000).map(lambda number: D(number) / 100),
    "percent": hundredths,
    "fixed": hundredths,
    "discount_percent": hundredths,
    "discount_fixed": kopecks,
}
effects = st.one_of(
    *[
        st.fixed_dictionaries({"kind": st.just(kind), "value": value.map(str)})
        for kind, value in values.items()
    ],
    st.just(COUPON),
)


@st.composite
def offers(draw):
    number = draw(st.integers(1, 10**6))
    budget = draw(st.none() | kopecks)
    conditions = draw(st.sampled_from([{}, {}, {}, {"min_amount": "700"}, {"tiers": [2]}]))
    return Offer(
        UUID(int=number), 1, "", parse(conditions, draw(effects)),
        exclusive=draw(st.booleans()), priority=draw(st.integers(-1, 1)),
        created_at=NOON - timedelta(days=draw(st.integers(0, 2))), limits=Limits(total_bonuses=budget),
    )  # fmt: skip


several = st.lists(offers(), max_size=6, unique_by=lambda one: one.id)


@st.composite
def bills(draw):
    lines = draw(st.lists(st.builds(Line, kopecks, st.booleans()), max_size=3))
    amount = sum((line.amount for line in lines), D(0)) or draw(kopecks)
    coupon = draw(st.sampled_from([None, ("percent", "12.5"), ("fixed", "99.99"), ("multiplier", "3")]))
    return Bill(
        amount=amount, accrual_percent=draw(st.sampled_from([D(0), D(3), D(10)])), cap_percent=D(20),
        coupon=coupon and CouponTerms(coupon[0], D(coupon[1])), lines=tuple(lines), accrual_cap_percent=CAP,
    )  # fmt: skip


def facts(bill, tier=1):
    return Facts(NOON, bill.amount, "", tier)


def outcome(decision):
    return decision.settled, [(one.offer.id, one.reason, one.part) for one in decision.looked]


@given(bills(), several, st.randoms())
def test_the_order_of_the_offers_never_changes_the_result(bill, some, random):
    shuffled = random.sample(some, len(some))
    assert outcome(decide(bill, facts(bill), some)) == outcome(decide(bill, facts(bill), shuffled))


@given(bills(), several, offers())
def test_an_offer_that_does_not_hold_changes_nothing(bill, some, extra):
    rule = parse({"tiers": [4]}, {"kind": "fixed", "value": "9"})
    silent = Offer(UUID(int=0), 1, "", rule, extra.exclusive, extra.priority, extra.created_at)
    without, with_it = decide(bill, facts(bill), some), decide(bill, facts(bill), [*some, silent])
    assert with_it.settled == without.settled
    assert [one for one in outcome(with_it)[1] if one[0] != silent.id] == outcome(without)[1]


@given(bills(), several)
def test_the_cap_and_the_budgets_hold_and_the_parts_add_up(bill, some):
    decision = decide(bill, facts(bill), some)
    settled, parts = decision.settled, [one.part for one in decision.looked]
    assert settled.bonus_accrued <= (settled.earn_base * CAP / 100).quantize(D("0.01"), "ROUND_HALF_UP")
    assert settled.coupon_discount <= bill.amount
    assert settled.coupon_discount == settled.by_coupon.discount + sum(part.discount for part in parts)
    assert settled.bonus_accrued == settled.by_tier + settled.by_coupon.bonuses + sum(
        part.bonuses for part in parts
    )
    for one in decision.looked:
        if one.offer.limits.total_bonuses is not None:
            assert one.part.bonuses <= one.offer.limits.total_bonuses
        assert one.applied or one.part == type(one.part)()
    if bill.lines:
        assert sum(line.coupon_discount for line in settled.lines) == settled.coupon_discount
        assert sum(line.bonus_accrued for line in settled.lines) == settled.bonus_accrued


@given(bills(), several)
def test_nobody_is_worse_off_by_offers(bill, some):
    plain, settled = settle(bill), decide(bill, facts(bill), some).settled
    assert settled.bonus_accrued + settled.coupon_discount >= plain.bonus_accrued + plain.coupon_discount


@given(bills(), several)
def test_of_exclusive_offers_one_applies_and_none_would_be_better(bill, some):
    free = [Offer(o.id, 1, "", o.rule, o.exclusive, o.priority, o.created_at) for o in some]
    decision = decide(bill, facts(bill), free)
    exclusive = [one for one in decision.looked if one.offer.exclusive]
    assert len([one for one in exclusive if one.applied]) <= 1
    stackable = [one for one in free if not one.exclusive]
    for other in exclusive:
        with_other = decide(bill, facts(bill), [*stackable, other.offer]).settled
        assert (
            decision.settled.bonus_accrued + decision.settled.coupon_discount
            >= with_other.bonus_accrued + with_other.coupon_discount
        )


def offer(number, effect, *, conditions=None, exclusive=False, priority=0, days=0, **limits):
    return Offer(
        UUID(int=number), 1, f"offer {number}", parse(conditions or {}, effect), exclusive, priority,
        NOON - timedelta(days=days), Limits(**limits),
    )  # fmt: skip


BILL = Bill(D("1000.00"), accrual_percent=D(5), cap_percent=D(30), accrual_cap_percent=CAP)
DOUBLE = {"kind": "multiplier", "value": "2"}


def reasons(some, usage=None):
    return {one.offer.id.int: one.reason for one in decide(BILL, facts(BILL), some, usage).looked}


def test_equally_good_exclusive_offers_go_by_priority_then_by_age():
    beaten = "exclusive: another offer gives more"
    young, old = offer(1, DOUBLE, exclusive=True), offer(2, DOUBLE, exclusive=True, days=1)
    assert reasons([young, old]) == {1: beaten, 2: None}
    assert reasons([offer(3, DOUBLE, exclusive=True, priority=1), old]) == {3: None, 2: beaten}


def test_the_next_best_exclusive_offer_takes_the_place_of_one_whose_budget_is_short():
    best = offer(1, DOUBLE, exclusive=True, total_bonuses=D("49.99"))
    assert reasons([best, offer(2, {"kind": "fixed", "value": "10"}, exclusive=True)]) == {
        1: "budget: 50.00 needed, 49.99 left", 2: None,
    }  # fmt: skip


def test_every_limit_is_named_when_it_is_used_up():
    limits = {"per_member": 3, "per_member_day": 1, "total_uses": 100, "total_bonuses": D("500.00")}
    used = {
        "per_member": Usage(by_member=3), "per_member_day": Usage(by_member_today=1),
        "total_uses": Usage(uses=100), "total_bonuses": Usage(bonuses=D("500.00")),
    }  # fmt: skip
    told = {name: reasons([offer(1, DOUBLE, **{name: limit})], {UUID(int=1): used[name]})[1]
            for name, limit in limits.items()}  # fmt: skip
    assert told == {
        "per_member": "per_member: all 3 used",
        "per_member_day": "per_member_day: all 1 of the day used",
        "total_uses": "total_uses: all 100 used",
        "total_bonuses": "budget: all 500.00 given",
    }


def test_an_offer_that_would_give_nothing_is_not_used():
    gives_none = Bill(D("100.00"), accrual_percent=D(0), cap_percent=D(30), accrual_cap_percent=D(0))
    looked = decide(
        gives_none, facts(gives_none), [offer(1, {"kind": "fixed", "value": "5"}), offer(2, COUPON)]
    )
    assert [one.reason for one in looked.looked] == ["effect: nothing to give on this bill", None]
