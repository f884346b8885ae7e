"""The last bonuses of an offer's budget go to as many tills as fit; without the lock it is overspent."""

from collections import Counter
from decimal import Decimal as D

import pytest

from promos.models import Offer, OfferUse
from promos.services import live_offers
from promos.services.checkout import record_purchase
from tests.factories import NOON, BusinessFactory, MemberFactory, publish_offer
from tests.promos.requests import purchase
from tests.prove import at_length

from .test_spending_races import TWIN_ROUNDS, patient

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
TILLS = 50
FIVE = {"kind": "fixed", "value": "5"}


def buy_everywhere(at_once, **limits):
    """Fifty members buy at once where an offer gives five bonuses; return the offer and who got them."""
    business = BusinessFactory()
    offer = publish_offer(business, FIVE, **limits)
    requests = [purchase(MemberFactory(), business, str(till)) for till in range(TILLS)]
    results = at_once(*[patient(lambda r=r: record_purchase(r, at=NOON)) for r in requests])
    offer.refresh_from_db()
    return offer, Counter(transaction.bonus_accrued for transaction, _ in results)


@pytest.mark.parametrize(
    ("limits", "winners"), [({"total_bonus_limit": D("10.00")}, 2), ({"total_uses_limit": 3}, 3)]
)
def test_of_fifty_purchases_on_the_last_of_a_budget_exactly_what_fits_gets_it(
    at_once, proved, limits, winners
):
    rounds = at_length(briefly=2, full=50)
    for _ in range(rounds):
        offer, accrued = buy_everywhere(at_once, **limits)
        assert accrued == {D("35.00"): winners, D("30.00"): TILLS - winners}
        assert (offer.uses_count, offer.bonuses_given) == (winners, 5 * winners)
        assert OfferUse.objects.filter(offer=offer).count() == winners
    proved(f"{rounds} rounds")


def test_without_the_lock_the_budget_is_overspent(at_once, monkeypatch):
    monkeypatch.setattr(live_offers, "LOCK", live_offers.LOCK.replace("FOR NO KEY UPDATE", ""))
    for _ in range(TWIN_ROUNDS):
        offer, _accrued = buy_everywhere(at_once, total_bonus_limit=D("10.00"))
        if offer.bonuses_given > D("10.00"):
            return
    pytest.fail("the twin never overspent, so the race above proves nothing")


def test_offers_used_in_any_order_meet_no_deadlock_and_are_counted_to_the_last(at_once):
    business = BusinessFactory()
    kept = [publish_offer(business, FIVE), publish_offer(business, FIVE, total_uses_limit=1000)]
    requests = [purchase(MemberFactory(), business, str(till)) for till in range(20)]

    results = at_once(*[patient(lambda r=r: record_purchase(r, at=NOON)) for r in requests])

    assert [result for result in results if isinstance(result, Exception)] == []
    counted = Offer.objects.filter(pk__in=[offer.pk for offer in kept]).values_list("uses_count", flat=True)
    assert list(counted) == [20, 20]
