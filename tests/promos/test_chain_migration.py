"""Migration 0009 against chains of the release before: agreed ones get their version, nothing else moves."""

from importlib import import_module

import pytest
from django.db import connection

from promos.chain_terms import terms_of, thawed
from promos.models import ChainAssignment, ChainVersion, Coupon, CrossPromoChain
from promos.services import chains
from promos.services.checkout import record_purchase
from tests.factories import NOON, ChainFactory, CouponFactory, StaffFactory, agreeing
from tests.promos.requests import days, purchase

pytestmark = pytest.mark.django_db
MIGRATION = import_module("promos.migrations.0009_agree_on_running_chains")


def migrate():
    with connection.cursor() as cursor:
        for sql in (
            MIGRATION.FREEZE,
            MIGRATION.WITHDRAW,
            MIGRATION.PAUSED,
            MIGRATION.REASONS,
            MIGRATION.VERSIONS,
        ):
            cursor.execute(sql)


@pytest.fixture
def old():
    """Chains as they stood before versions: terms in the row, an acceptance, and no version."""
    never = {"accepted_by": None, "accepted_at": None}
    return {
        "active": ChainFactory(
            trigger_categories=["чай", "с «кавычками»"], trigger_tiers=[2, 3], trigger_weekdays=[6, 7],
            trigger_first_purchase=True, trigger_min_amount="1500.50", coupon_benefit="gift",
            coupon_value=0, coupon_text="кружка", budget_rub="10000.00", daily_limit=5, total_limit=50,
            discount_share_percent="12.50", holdout_percent="10.00", delay_hours=48,
        ),
        "paused": ChainFactory(status="paused"),
        "ended": ChainFactory(status="ended"),
        "proposed": ChainFactory(status="proposed", **never),
        "draft": ChainFactory(status="draft", **never),
    }  # fmt: skip


def test_the_frozen_version_says_exactly_what_the_chain_says(old):
    old["next"] = ChainFactory(continues=old["active"], source_business=old["active"].target_business)

    migrate()

    versions = {version.chain_id: version for version in ChainVersion.objects.all()}
    assert set(versions) == {old[name].pk for name in ("active", "paused", "ended", "next")}
    for name in ("active", "paused", "ended", "next"):
        chain = CrossPromoChain.objects.get(pk=old[name].pk)
        version = versions[chain.pk]
        assert thawed(version.terms) == terms_of(chain), name
        assert (version.version, version.decision, version.decided_by, version.decided_at) == (
            chain.version, "accepted", chain.accepted_by, chain.accepted_at,
        )  # fmt: skip


def test_a_proposal_nobody_could_answer_is_a_draft_again_and_the_target_resumes(old):
    migrate()

    states = {
        name: (chain.status, chain.paused_side)
        for name, pk in ((name, chain.pk) for name, chain in old.items())
        if (chain := CrossPromoChain.objects.get(pk=pk))
    }
    assert states == {
        "active": ("active", ""), "paused": ("paused", "target"), "ended": ("ended", ""),
        "proposed": ("draft", ""), "draft": ("draft", ""),
    }  # fmt: skip


def test_coupons_name_their_version_and_those_left_out_their_reason(old, member, business):
    chain = old["active"]
    coupon, other = CouponFactory(chain=chain, business=chain.target_business), CouponFactory()
    bought, _new = record_purchase(purchase(member, business), at=NOON)
    ChainAssignment.objects.create(chain=chain, member=member, trigger=bought, arm="skipped")

    migrate()

    coupon.refresh_from_db()
    other.refresh_from_db()
    assert (coupon.chain_version, other.chain_version) == (chain.version, None)
    assert ChainAssignment.objects.get().reason == "already_customer"


def test_a_migrated_chain_runs_on_and_its_change_is_proposed_against_the_frozen_terms(business):
    chain = ChainFactory(source_business=business)
    owner = StaffFactory(business=business).member
    migrate()

    record_purchase(purchase(agreeing(), business), at=NOON)
    chains.propose_change(chain.pk, terms_of(chain) | {"coupon_valid_days": 30}, by=owner, at=NOON + days(1))

    assert Coupon.objects.get().chain_version == 1
    assert list(chain.versions.order_by("version").values_list("version", "decision")) == [
        (1, "accepted"),
        (2, ""),
    ]
