"""Who may take which step of a chain's life, and what each leaves behind."""

from datetime import timedelta
from decimal import Decimal as D
from itertools import pairwise

import pytest
from django.db import DatabaseError
from django.db.transaction import atomic, set_rollback

from loyalty.models import Business
from promos.chain_links import Link, link_faults
from promos.chain_terms import differences, faults, frozen, terms_of, thawed, warnings
from promos.errors import ChainInvalid, ChainNotReady, ChainRefused
from promos.models import ChainVersion, CrossPromoChain
from promos.services import chains
from tests.factories import NOON, BusinessFactory, ChainFactory, StaffFactory

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)
DRAFT = {"status": "draft", "accepted_by": None, "accepted_at": None}


@pytest.fixture
def people():
    """A draft of nobody yet, and everybody who may come near it."""
    source, target = BusinessFactory(), BusinessFactory()
    programme = Business.objects.get(is_programme=True)
    return {
        "source": source, "target": target,
        "source owner": StaffFactory(business=source).member,
        "source manager": StaffFactory(business=source, role="manager").member,
        "source cashier": StaffFactory(business=source, role="cashier").member,
        "target owner": StaffFactory(business=target).member,
        "target manager": StaffFactory(business=target, role="manager").member,
        "target cashier": StaffFactory(business=target, role="cashier").member,
        "stranger": StaffFactory().member,
        "programme": StaffFactory(business=programme).member,
    }  # fmt: skip


@pytest.fixture
def chain(people):
    return ChainFactory(source_business=people["source"], target_business=people["target"], **DRAFT)


def change(chain, **terms):
    return terms_of(chain) | terms


STEPS = {
    "propose": lambda chain, by: chains.propose(chain.pk, by=by, at=LATER),
    "change": lambda chain, by: chains.propose_change(
        chain.pk, change(chain, coupon_value=D(25)), by=by, at=LATER
    ),
    "accept": lambda chain, by: chains.accept(chain.pk, by=by, at=LATER),
    "decline": lambda chain, by: chains.decline(chain.pk, reason="Дорого", by=by, at=LATER),
    "pause": lambda chain, by: chains.pause(chain.pk, by=by),
    "resume": lambda chain, by: chains.resume(chain.pk, by=by, at=LATER),
    "end": lambda chain, by: chains.end(chain.pk, by=by),
}
# Every state a chain can be in; `+` is one with a change that waits for the target's answer.
STATES = ("draft", "proposed", "active", "active+", "paused", "paused+", "ended")
SOURCE, TARGET = {"source owner", "source manager"}, {"target owner", "target manager"}
# Who may, and the state after. What is not here is refused to everybody.
ALLOWED = {
    ("draft", "propose"): (SOURCE, "proposed"),
    ("draft", "end"): (SOURCE, "ended"),
    ("proposed", "accept"): (TARGET, "active"),
    ("proposed", "decline"): (TARGET, "draft"),
    ("proposed", "end"): (SOURCE, "ended"),
    ("active", "change"): (SOURCE, "active+"),
    ("active", "pause"): (SOURCE | TARGET, "paused"),
    ("active", "end"): (SOURCE | TARGET, "ended"),
    ("active+", "accept"): (TARGET, "active"),
    ("active+", "decline"): (TARGET, "active"),
    ("active+", "pause"): (SOURCE | TARGET, "paused+"),
    ("active+", "end"): (SOURCE | TARGET, "ended"),
    ("paused", "change"): (SOURCE, "paused+"),
    ("paused", "resume"): (SOURCE, "active"),  # It was the source that paused it.
    ("paused", "end"): (SOURCE | TARGET, "ended"),
    ("paused+", "accept"): (TARGET, "paused"),
    ("paused+", "decline"): (TARGET, "paused"),
    ("paused+", "resume"): (SOURCE, "active+"),
    ("paused+", "end"): (SOURCE | TARGET, "ended"),
}
ACTORS = (*sorted(SOURCE), "source cashier", *sorted(TARGET), "target cashier", "stranger", "programme")


def bring_to(chain, state, people):
    if state == "draft":
        return
    chains.propose(chain.pk, by=people["source owner"], at=NOON)
    if state == "proposed":
        return
    chains.accept(chain.pk, by=people["target owner"], at=NOON)
    chain.refresh_from_db()
    if state.endswith("+"):
        chains.propose_change(chain.pk, change(chain, coupon_value=D(30)), by=people["source owner"], at=NOON)
    if state.startswith("paused"):
        chains.pause(chain.pk, by=people["source manager"])
    if state == "ended":
        chains.end(chain.pk, by=people["target owner"])
    chain.refresh_from_db()


def state_of(chain):
    chain.refresh_from_db()
    waits = chain.status != "proposed" and chains.waiting_version(chain) is not None
    return chain.status + "+" * waits


def row_and_versions(chain):
    return (
        CrossPromoChain.objects.filter(pk=chain.pk).values().get(),
        list(ChainVersion.objects.filter(chain=chain).order_by("version").values()),
    )


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", STATES)
def test_every_step_in_every_state_by_everybody(chain, people, state, step):
    bring_to(chain, state, people)
    may, after = ALLOWED.get((state, step), (set(), ""))
    before = row_and_versions(chain)

    for actor in ACTORS:
        allowed = actor in may or bool(may and actor == "programme")
        with atomic():
            refused = attempt(step, chain, people[actor])
            assert (refused is None) == allowed, f"{actor}, {step} of a chain that is {state}: {refused}"
            if allowed:
                assert state_of(chain) == after
            elif "cashier" in actor or actor == "stranger":
                assert isinstance(refused, ChainRefused)
            set_rollback(True)
        chain.refresh_from_db()
        assert row_and_versions(chain) == before


def attempt(step, chain, by):
    try:
        STEPS[step](chain, by)
    except (ChainRefused, ChainNotReady) as refused:
        return refused
    return None


class TestVersions:
    def test_the_agreed_terms_stay_in_force_until_a_change_is_accepted(self, chain, people):
        bring_to(chain, "active", people)
        chains.propose_change(
            chain.pk, change(chain, coupon_value=D(5), budget_rub=D(100)), by=people["source owner"], at=LATER
        )
        chain.refresh_from_db()
        assert (chain.coupon_value, chain.budget_rub, chain.version) == (D("20.00"), None, 1)

        chains.accept(chain.pk, by=people["target manager"], at=LATER)

        chain.refresh_from_db()
        assert (chain.coupon_value, chain.budget_rub, chain.version) == (D("5.00"), D("100.00"), 2)
        assert (chain.accepted_by, chain.accepted_at) == (people["target manager"], LATER)
        first, second = chain.versions.order_by("version")
        assert differences(first.terms, second.terms) == ["coupon_value", "budget_rub"]
        assert (first.terms["coupon_value"], second.terms["coupon_value"]) == ("20.00", "5.00")
        assert (second.decision, second.decided_by, second.decided_at) == (
            "accepted", people["target manager"], LATER,
        )  # fmt: skip

    def test_a_declined_change_is_kept_with_its_reason_and_changes_nothing(self, chain, people):
        bring_to(chain, "active+", people)

        chains.decline(chain.pk, reason="  Слишком щедро ", by=people["target owner"], at=LATER)

        chain.refresh_from_db()
        assert (chain.status, chain.version, chain.coupon_value) == ("active", 1, D("20.00"))
        declined = chain.versions.get(version=2)
        assert (declined.decision, declined.reason) == ("declined", "Слишком щедро")
        chains.propose_change(
            chain.pk, change(chain, coupon_value=D(22)), by=people["source owner"], at=LATER
        )
        assert chain.versions.get(decision="").version == 3

    @pytest.mark.parametrize("reason", ["", "  ", "я" * 501])
    def test_a_decline_says_why(self, chain, people, reason):
        bring_to(chain, "proposed", people)

        with pytest.raises(ChainInvalid) as refused:
            chains.decline(chain.pk, reason=reason, by=people["target owner"], at=LATER)

        assert refused.value.field == "reason"
        assert chain.versions.get().decision == ""

    def test_nothing_new_is_no_proposal(self, chain, people):
        bring_to(chain, "active", people)

        with pytest.raises(ChainInvalid):
            chains.propose_change(chain.pk, terms_of(chain), by=people["source owner"], at=LATER)

        assert chain.versions.count() == 1

    def test_the_database_keeps_what_was_proposed_and_answered(self, chain, people):
        bring_to(chain, "active+", people)
        decided, waiting = chain.versions.order_by("version")

        def refused(deed):
            with pytest.raises(DatabaseError), atomic():
                deed()

        refused(lambda: ChainVersion.objects.filter(pk=waiting.pk).update(terms={}))
        refused(lambda: ChainVersion.objects.filter(pk=decided.pk).update(decision="declined"))
        refused(lambda: ChainVersion.objects.filter(pk=decided.pk).update(reason="x"))
        refused(lambda: waiting.delete())
        ChainVersion.objects.filter(pk=waiting.pk).update(
            decision="declined", decided_by=people["target owner"], decided_at=LATER
        )

    def test_terms_survive_freezing(self, chain):
        chain.trigger_tiers, chain.trigger_weekdays, chain.trigger_categories = [1, 4], [7], ["чай"]
        chain.total_limit, chain.budget_rub = 5, D("1000.00")

        assert thawed(frozen(terms_of(chain))) == terms_of(chain)

    def test_only_the_side_that_paused_resumes(self, chain, people):
        bring_to(chain, "active", people)
        chains.pause(chain.pk, by=people["target owner"])

        with pytest.raises(ChainRefused):
            chains.resume(chain.pk, by=people["source owner"], at=LATER)
        chains.resume(chain.pk, by=people["target manager"], at=LATER)

        chain.refresh_from_db()
        assert (chain.status, chain.paused_side, chain.resumed_at) == ("active", "", LATER)
        assert chain.versions.count() == 1


class TestBadTerms:
    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({"coupon_value": D(0)}, "coupon_value"),
            ({"coupon_value": D("100.01")}, "coupon_value"),
            ({"coupon_benefit": "fixed", "coupon_value": D(-1)}, "coupon_value"),
            ({"coupon_benefit": "multiplier", "coupon_value": D(1)}, "coupon_value"),
            ({"coupon_benefit": "gift", "coupon_text": " "}, "coupon_text"),
            ({"trigger_tiers": [0]}, "trigger_tiers"),
            ({"trigger_weekdays": [8]}, "trigger_weekdays"),
            ({"trigger_categories": ["чай", " "]}, "trigger_categories"),
            ({"trigger_min_amount": D(-1)}, "trigger_min_amount"),
            ({"coupon_min_amount": D(-1)}, "coupon_min_amount"),
            ({"budget_rub": D(0)}, "budget_rub"),
            ({"total_limit": 0}, "total_limit"),
            ({"total_limit": 2}, "total_limit"),
            ({"daily_limit": 0}, "daily_limit"),
            ({"coupon_valid_days": 0}, "coupon_valid_days"),
            ({"coupon_valid_days": 367}, "coupon_valid_days"),
            ({"attribution_days": 0}, "attribution_days"),
            ({"delay_hours": 2161}, "delay_hours"),
            ({"exclude_target_customers_days": 3661}, "exclude_target_customers_days"),
            ({"discount_share_percent": D(101)}, "discount_share_percent"),
            ({"holdout_percent": D(-1)}, "holdout_percent"),
        ],
    )
    def test_a_change_that_cannot_be_is_refused_at_its_field(self, chain, people, terms, field):
        bring_to(chain, "active", people)
        CrossPromoChain.objects.filter(pk=chain.pk).update(issued_count=3)

        with pytest.raises(ChainInvalid) as refused:
            chains.propose_change(chain.pk, change(chain, **terms), by=people["source owner"], at=LATER)

        assert list(refused.value.details["fields"]) == [field]
        assert chain.versions.count() == 1

    def test_good_terms_have_no_faults_and_what_never_matters_is_a_warning(self, chain):
        assert faults(terms_of(chain)) == {}
        assert warnings(terms_of(chain)) == {}
        odd = change(
            chain, coupon_benefit="gift", coupon_text="чай", budget_rub=D(5), discount_share_percent=D(5),
            holdout_percent=D(100), total_limit=1, daily_limit=2,
        )  # fmt: skip
        assert set(warnings(odd)) == {
            "budget_rub",
            "discount_share_percent",
            "holdout_percent",
            "daily_limit",
        }
        assert "coupon_min_amount" in warnings(change(chain, coupon_benefit="fixed", coupon_value=D(100)))


class TestContinuations:
    def shops(self, count):
        return [BusinessFactory() for _ in range(count)]

    def draft(self, source, target, continues=None):
        return CrossPromoChain(source_business=source, target_business=target, continues=continues)

    def run(self, source, target, continues=None):
        return ChainFactory(source_business=source, target_business=target, continues=continues)

    @pytest.mark.parametrize("length", [2, 3, 5])
    def test_a_circle_of_any_length_is_refused(self, people, length):
        shops = self.shops(length)
        last = None
        for source, target in pairwise(shops):
            last = self.run(source, target, last)

        with pytest.raises(ChainInvalid) as refused:
            chains.save_draft(self.draft(shops[-1], shops[0], last), by=people["programme"])

        assert list(refused.value.details["fields"]) == ["continues"]
        chains.save_draft(self.draft(shops[-1], BusinessFactory(), last), by=people["programme"])
        assert CrossPromoChain.objects.count() == length

    def test_a_chain_to_itself_is_refused(self, people):
        with pytest.raises(ChainInvalid) as refused:
            chains.save_draft(self.draft(people["source"], people["source"]), by=people["source owner"])

        assert list(refused.value.details["fields"]) == ["target_business"]

    def test_a_chain_goes_on_from_where_an_agreed_one_leads(self, people):
        a, b, c = self.shops(3)
        agreed = self.run(a, b)
        faulty = [
            self.draft(a, c, agreed),
            self.draft(b, c, ChainFactory(source_business=a, target_business=b, **DRAFT)),
        ]

        for draft in faulty:
            with pytest.raises(ChainInvalid):
                chains.save_draft(draft, by=people["programme"])

        assert chains.save_draft(self.draft(b, c, agreed), by=people["programme"]).continues == agreed

    def test_a_stranger_drafts_nothing_for_others(self, people):
        with pytest.raises(ChainRefused):
            chains.save_draft(self.draft(people["source"], people["target"]), by=people["stranger"])
        assert not CrossPromoChain.objects.exists()

    def test_links_need_no_database(self):
        a, b, c = "abc"
        assert link_faults(Link(a, b), []) == {}
        assert list(link_faults(Link(b, a), [Link(a, b)])) == ["continues"]
        assert link_faults(Link(b, c), [Link(a, b)]) == {}
