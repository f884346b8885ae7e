"""What staff do in the admin: keys, teams, chains; and what the money tables refuse."""

import pytest
from django.urls import reverse

from loyalty.models import ApiKey, Business, Member, StaffMembership, Transaction
from loyalty.services.api_keys import create_api_key, use_api_key
from promos.models import CrossPromoChain
from tests.factories import NOON, BusinessFactory, ChainFactory, MemberFactory, StaffFactory

Status = CrossPromoChain.Status


@pytest.fixture
def owner(client, business) -> Member:
    owner = StaffFactory(business=business).member
    client.force_login(owner)
    return owner


def add_key(client, business):
    return client.post(
        reverse("admin:loyalty_apikey_add"),
        {"business": business.pk, "label": "till", "scopes": ["purchases:write"]},
    )


def test_a_new_key_is_shown_once_and_works(client, owner, business):
    response = add_key(client, business)

    key = ApiKey.objects.get()
    secret = response.context["secret"]
    assert secret in response.content.decode()
    assert "no-store" in response.headers["Cache-Control"]
    assert use_api_key(secret, at=NOON) == key
    assert (key.business, key.label, key.scopes) == (business, "till", ["purchases:write"])
    for page in (reverse("admin:loyalty_apikey_changelist"),
                 reverse("admin:loyalty_apikey_change", args=[key.pk]),
                 reverse("admin:loyalty_apikey_history", args=[key.pk])):  # fmt: skip
        body = client.get(page).content.decode()
        assert secret not in body
        assert key.key_hash not in body


def test_a_key_for_another_business_is_refused(client, owner):
    response = add_key(client, BusinessFactory())

    assert response.status_code == 200
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_by_a_form_and_not_by_a_link(client, owner, business):
    key, secret = create_api_key(business=business)
    address = reverse("admin:loyalty_apikey_revoke", args=[key.pk])

    assert client.get(address).status_code == 200
    assert use_api_key(secret, at=NOON) == key
    client.post(address)
    assert use_api_key(secret, at=NOON) is None


def test_the_key_of_another_business_cannot_be_revoked(client, owner):
    key, secret = create_api_key(business=BusinessFactory())

    assert client.post(reverse("admin:loyalty_apikey_revoke", args=[key.pk])).status_code == 404
    assert use_api_key(secret, at=NOON) == key


def decide(client, chain, deed):
    return client.post(reverse(f"admin:promos_crosspromochain_{deed}", args=[chain.pk]), follow=True)


def draft(source, target) -> CrossPromoChain:
    return ChainFactory(
        source_business=source, target_business=target, status="draft", accepted_by=None, accepted_at=None
    )


def test_a_chain_is_proposed_by_its_source_and_accepted_by_its_target(client, owner, business):
    target_owner = StaffFactory().member
    chain = draft(business, target_owner.staff_memberships.get().business)

    decide(client, chain, "propose")
    chain.refresh_from_db()
    assert chain.status == Status.PROPOSED
    client.force_login(target_owner)
    decide(client, chain, "accept")
    chain.refresh_from_db()
    assert (chain.status, chain.accepted_by) == (Status.ACTIVE, target_owner)
    decide(client, chain, "pause")
    chain.refresh_from_db()
    assert chain.status == Status.PAUSED


def test_a_page_offers_only_what_may_be_decided_now(client, owner, business):
    chain = draft(business, BusinessFactory())
    page = reverse("admin:promos_crosspromochain_change", args=[chain.pk])

    def offered() -> list[str]:
        return [
            entry["path"].rstrip("/").rsplit("/", 1)[1]
            for entry in client.get(page).context["actions_detail"]
        ]

    assert offered() == ["propose", "end"]
    decide(client, chain, "propose")
    assert offered() == ["end"]
    client.force_login(StaffFactory(business=chain.target_business).member)
    assert offered() == ["accept", "decline"]
    decide(client, chain, "accept")
    assert offered() == ["pause", "end"]


def test_a_link_alone_decides_nothing(client, owner, business):
    chain = draft(business, BusinessFactory())

    assert client.get(reverse("admin:promos_crosspromochain_propose", args=[chain.pk])).status_code == 200
    chain.refresh_from_db()
    assert chain.status == Status.DRAFT


def test_the_source_cannot_accept_for_the_target(client, owner, business):
    chain = draft(business, BusinessFactory())
    decide(client, chain, "propose")

    assert decide(client, chain, "accept").status_code == 403
    chain.refresh_from_db()
    assert chain.status == Status.PROPOSED


def test_a_decision_out_of_turn_is_explained_and_changes_nothing(client, owner, business):
    chain = draft(business, BusinessFactory())

    response = decide(client, chain, "pause")

    assert [message.level_tag for message in response.context["messages"]] == ["error"]
    chain.refresh_from_db()
    assert chain.status == Status.DRAFT


def test_a_chain_of_others_is_not_found(client, owner):
    chain = draft(BusinessFactory(), BusinessFactory())

    for deed in ("propose", "accept", "pause"):
        assert decide(client, chain, deed).status_code == 404


def test_a_draft_is_made_for_the_own_business_only(client, owner, business):
    terms = {
        "title": "x", "trigger_min_amount": "0", "coupon_benefit": "percent", "coupon_value": "10",
        "coupon_min_amount": "0", "coupon_valid_days": "14", "delay_hours": "0", "holdout_percent": "10",
        "discount_share_percent": "0", "attribution_days": "30", "exclude_target_customers_days": "90",
        "trigger_weekdays": ["1", "2"],
    }  # fmt: skip
    neighbour = BusinessFactory()
    add = reverse("admin:promos_crosspromochain_add")

    client.post(add, {**terms, "source_business": neighbour.pk, "target_business": business.pk})
    assert not CrossPromoChain.objects.exists()
    client.post(add, {**terms, "source_business": business.pk, "target_business": neighbour.pk})
    chain = CrossPromoChain.objects.get()
    assert (chain.source_business, chain.status, chain.trigger_weekdays) == (business, Status.DRAFT, [1, 2])


def test_terms_once_proposed_no_longer_change(client, owner, business):
    chain = draft(business, BusinessFactory())
    decide(client, chain, "propose")

    response = client.post(
        reverse("admin:promos_crosspromochain_change", args=[chain.pk]), {"title": "other"}
    )

    assert response.status_code == 403


def test_an_owner_adds_a_member_to_the_own_team(client, owner, business):
    colleague = MemberFactory()
    form = {"phone": colleague.phone, "business": business.pk, "role": "cashier"}

    client.post(reverse("admin:loyalty_staffmembership_add"), form)

    colleague.refresh_from_db()
    assert colleague.staff_memberships.get().role == "cashier"
    assert colleague.is_staff


@pytest.mark.parametrize("code", ["KRUG", "neighbour"])
def test_an_owner_grants_nothing_beyond_the_own_business(client, owner, code):
    beyond = Business.objects.filter(code=code).first() or BusinessFactory(code=code)
    form = {"phone": owner.phone, "business": beyond.pk, "role": "owner"}

    assert client.post(reverse("admin:loyalty_staffmembership_add"), form).status_code == 200
    assert not StaffMembership.objects.filter(business=beyond).exists()


def test_a_colleague_who_leaves_the_last_team_leaves_the_admin(client, owner, business):
    colleague = StaffFactory(business=business, role="cashier")

    client.post(reverse("admin:loyalty_staffmembership_delete", args=[colleague.pk]), {"post": "yes"})

    colleague.member.refresh_from_db()
    assert not colleague.member.is_staff


def test_nobody_changes_the_own_place_in_the_team(client, owner):
    own = owner.staff_memberships.get()

    assert client.post(reverse("admin:loyalty_staffmembership_change", args=[own.pk]), {}).status_code == 403
    assert client.post(reverse("admin:loyalty_staffmembership_delete", args=[own.pk])).status_code == 403
    assert owner.staff_memberships.get() == own


def test_an_owner_edits_words_but_not_terms(client, owner, business):
    response = client.post(
        reverse("admin:loyalty_business_change", args=[business.pk]),
        {
            "name": "Новая лавка",
            "category": "",
            "address": "",
            "phone": "",
            "logo": "",
            "point_price_rub": "0",
        },
    )

    assert response.status_code == 302
    business.refresh_from_db()
    assert (business.name, business.point_price_rub) == ("Новая лавка", 1)


def test_an_explanation_is_read_in_words(client, owner, business):
    purchase = Transaction.objects.create(
        member=MemberFactory(), business=business, amount=700, external_id="r1", source="api",
        created_at=NOON, bonus_accrued=21,
        explanation={
            "version": 1,
            "tier": {"level": 1, "name": "Знакомый", "name_en": "Acquaintance", "percent": "3.00"},
            "earn_base": "700.00",
            "rules": [{"rule": "tier", "applied": True, "effect": "21.00", "reason": "", "params": {}}],
            "accrued": "21.00", "balance": "21.00", "flags": [],
        },
    )  # fmt: skip

    body = client.get(
        reverse("admin:loyalty_transaction_change", args=[purchase.pk]), headers={"accept-language": "en"}
    ).content.decode()

    assert "Tier “Acquaintance”: 3% of 700" in body
    assert "earn_base" not in body


def test_the_list_of_purchases_is_never_counted(client, owner, django_assert_max_num_queries):
    with django_assert_max_num_queries(20) as asked:
        client.get(reverse("admin:loyalty_transaction_changelist"))

    assert not [query["sql"] for query in asked if "COUNT(" in query["sql"]]


def test_staff_sign_in_by_phone_and_password_and_land_in_the_admin(client, owner):
    client.logout()
    owner.set_password("long-enough-word")
    owner.save(update_fields=["password"])

    response = client.post(
        reverse("admin:login"), {"username": owner.phone, "password": "long-enough-word"}, follow=True
    )

    assert response.redirect_chain == [(reverse("admin:index"), 302)]
    assert response.status_code == 200
