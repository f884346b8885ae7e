"""The staff's pages of chains: terms are proposed, answered and shown to both sides only."""

from decimal import Decimal as D

import pytest
from django.urls import reverse

from promos.models import ChainVersion, CrossPromoChain
from promos.services import chains
from promos.services.checkout import record_many
from tests.factories import NOON, ChainFactory, MemberFactory, StaffFactory, agreeing
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db
TERMS = {
    "title": "x", "trigger_min_amount": "0", "coupon_benefit": "percent", "coupon_value": "10",
    "coupon_min_amount": "0", "coupon_valid_days": "14", "delay_hours": "0", "holdout_percent": "10",
    "discount_share_percent": "0", "attribution_days": "30", "exclude_target_customers_days": "90",
}  # fmt: skip


@pytest.fixture
def sides():
    return StaffFactory(), StaffFactory()


@pytest.fixture
def chain(sides):
    """An active chain, both sides having gone through proposal and acceptance."""
    source, target = sides
    draft = ChainFactory(
        source_business=source.business, target_business=target.business, status="draft",
        accepted_by=None, accepted_at=None, coupon_value=D(10), holdout_percent=D(10),
    )  # fmt: skip
    chains.propose(draft.pk, by=source.member, at=NOON)
    return chains.accept(draft.pk, by=target.member, at=NOON)


def page(chain):
    return reverse("admin:promos_crosspromochain_change", args=[chain.pk])


def step(client, chain, name, **data):
    return client.post(reverse(f"admin:promos_crosspromochain_{name}", args=[chain.pk]), data, follow=True)


def test_editing_an_agreed_chain_proposes_a_change_and_its_terms_stay(client, sides, chain):
    client.force_login(sides[0].member)

    client.post(page(chain), {**TERMS, "coupon_value": "15", "budget_rub": "5000"})

    chain.refresh_from_db()
    assert (chain.coupon_value, chain.budget_rub, chain.version) == (D("10.00"), None, 1)
    version = chain.versions.get(decision="")
    assert (version.terms["coupon_value"], version.terms["budget_rub"]) == ("15.00", "5000.00")
    shown = client.get(page(chain))
    assert shown.context["chain_versions"][0].changes == [
        ("размер", "10", "15"), ("бюджет скидок, ₽", "—", "5000"),
    ]  # fmt: skip
    assert shown.context["proposed_words"] != shown.context["chain_words"]
    # One change at a time.
    assert client.post(page(chain), {**TERMS, "coupon_value": "16"}).status_code == 403
    assert chain.versions.count() == 2


def test_the_target_declines_with_a_reason_that_the_source_reads(client, sides, chain):
    client.force_login(sides[0].member)
    client.post(page(chain), {**TERMS, "coupon_value": "15"})
    client.force_login(sides[1].member)

    empty = step(client, chain, "decline", reason=" ")
    assert empty.context["reason_error"]
    assert chain.versions.filter(decision="").exists()
    step(client, chain, "decline", reason="Слишком щедро")

    client.force_login(sides[0].member)
    shown = client.get(page(chain))
    assert "Слишком щедро" in shown.content.decode()
    assert ChainVersion.objects.get(version=2).decision == "declined"


def test_the_target_does_not_edit(client, sides, chain):
    client.force_login(sides[1].member)

    assert client.post(page(chain), {**TERMS, "coupon_value": "15"}).status_code == 403
    assert chain.versions.count() == 1


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"coupon_value": "101"}, "coupon_value"),
        ({"coupon_benefit": "gift"}, "coupon_text"),
        ({"total_limit": "0"}, "total_limit"),
        ({"delay_hours": "9999"}, "delay_hours"),
        ({"budget_rub": "-1"}, "budget_rub"),
        ({}, "__all__"),
    ],
)
def test_bad_terms_are_refused_at_their_field(client, sides, chain, terms, field):
    client.force_login(sides[0].member)

    response = client.post(page(chain), TERMS | terms)

    assert list(response.context["adminform"].form.errors) == [field]
    assert chain.versions.count() == 1


def test_a_circle_and_a_chain_to_itself_are_refused_at_the_field(client, sides, chain):
    source, target = sides
    StaffFactory(member=target.member, business=source.business)
    client.force_login(target.member)
    add = reverse("admin:promos_crosspromochain_add")
    draft = TERMS | {"source_business": target.business.pk, "target_business": source.business.pk}

    circle = client.post(add, draft | {"continues": chain.pk})
    own = client.post(add, draft | {"target_business": target.business.pk})

    assert list(circle.context["adminform"].form.errors) == ["continues"]
    assert list(own.context["adminform"].form.errors) == ["target_business"]
    assert CrossPromoChain.objects.count() == 1


def test_what_can_never_matter_is_warned_of(client, sides):
    source, target = sides
    client.force_login(source.member)
    draft = TERMS | {"source_business": source.business.pk, "target_business": target.business.pk}

    response = client.post(
        reverse("admin:promos_crosspromochain_add"),
        draft | {"total_limit": "1", "daily_limit": "2", "holdout_percent": "100"},
        follow=True,
    )

    assert [message.level_tag for message in response.context["messages"]].count("warning") == 2
    assert CrossPromoChain.objects.get().status == "draft"


def test_a_draft_is_its_sources_alone_and_a_chain_of_others_nobodys(client, sides, chain):
    CrossPromoChain.objects.update(status="draft")
    client.force_login(sides[1].member)
    assert client.get(page(chain)).status_code == 404
    CrossPromoChain.objects.update(status="active")
    assert client.get(page(chain)).status_code == 200

    client.force_login(StaffFactory().member)
    for name in ("propose", "accept", "decline", "pause", "resume", "end"):
        assert step(client, chain, name).status_code == 404
    assert client.get(page(chain)).status_code == 404
    client.force_login(StaffFactory(business=sides[0].business, role="cashier").member)
    assert client.get(page(chain)).status_code in (403, 404)
    chain.refresh_from_db()
    assert chain.status == "active"


def test_pause_resume_and_end_from_the_page(client, sides, chain):
    client.force_login(sides[1].member)
    for name, status in (("pause", "paused"), ("resume", "active"), ("end", "ended")):
        assert client.get(reverse(f"admin:promos_crosspromochain_{name}", args=[chain.pk])).status_code == 200
        step(client, chain, name)
        chain.refresh_from_db()
        assert chain.status == status


def test_the_page_counts_triggers_coupons_and_why_members_were_left_out(client, sides, chain):
    CrossPromoChain.objects.update(holdout_percent=0, total_limit=1, accepted_at=NOON)
    shop = sides[0].business
    record_many([purchase(agreeing(), shop, str(n)) for n in range(3)], at=NOON)
    record_many([purchase(MemberFactory(), shop, "n")], at=NOON)
    CrossPromoChain.objects.update(total_limit=4, budget_rub=D(200), spent_rub=D(50))
    client.force_login(sides[1].member)

    shown = client.get(page(chain)).context

    counts = shown["chain_counts"]
    assert (counts["triggers"], counts["coupons"], counts["skipped"]) == (4, 1, 3)
    assert [count for _, count in shown["chain_skipped"]] == [3]
    assert [meter.percent for meter in shown["chain_meters"]] == [25, 25]


def test_the_page_leads_to_the_chains_own_report(client, sides, chain):
    client.force_login(sides[1].member)

    shown = client.get(page(chain)).content.decode()

    pair = reverse("admin:reports_win_win_pair", args=[chain.source_business_id, chain.target_business_id])
    assert f'href="{pair}#chain-{chain.pk}"' in shown


def test_a_reason_as_long_as_the_service_allows_fits_the_page(client, sides, chain):
    client.force_login(sides[0].member)
    client.post(page(chain), {**TERMS, "coupon_value": "15"})
    client.force_login(sides[1].member)
    asked = client.get(reverse("admin:promos_crosspromochain_decline", args=[chain.pk])).content.decode()
    assert f'maxlength="{chains.LONGEST_REASON}"' in asked

    too_long = step(client, chain, "decline", reason="x" * (chains.LONGEST_REASON + 1))
    assert "500" in too_long.context["reason_error"]
    assert chain.versions.filter(decision="").exists()

    step(client, chain, "decline", reason="x" * chains.LONGEST_REASON)
    assert chain.versions.get(version=2).reason == "x" * chains.LONGEST_REASON


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_costs_a_fixed_number_of_queries(client, sides, chain, count, django_assert_num_queries):
    for number in range(count):
        changed = chains.terms_of(chain) | {"coupon_value": D(20 + number)}
        chains.propose_change(chain.pk, changed, by=sides[0].member, at=NOON)
        chains.decline(chain.pk, reason="нет", by=sides[1].member, at=NOON)
    client.force_login(sides[1].member)
    client.get(page(chain))

    with django_assert_num_queries(24):
        client.get(page(chain))
