"""Joining by a neighbour's code: who counts as a newcomer, whose code works, what a member sees of it."""

from datetime import datetime, timedelta
from decimal import Decimal as D
from importlib import import_module

import pytest
from django.apps import apps

from loyalty.invitations import find_inviter, friends, invitations, normalise_code
from loyalty.models import Member, Referral, ReferralCode, SeenContact
from loyalty.services.enrolment import join
from tests.factories import NOON, MemberFactory
from tests.loyalty.book import Book
from tests.loyalty.tier_rows import paid

pytestmark = pytest.mark.django_db

PHONE = "+79161234217"


def brought(inviter):
    return list(Referral.objects.filter(inviter=inviter).values_list("newcomer", "status", "reason"))


def invited_count(inviter):
    return ReferralCode.objects.get(member=inviter).invited_count


def leave(member):
    """Make a member as one who has left: the phone is gone from the row."""
    Member.objects.filter(pk=member.pk).update(phone=None, is_active=False, anonymised_at=NOON)


def test_a_newcomer_joins_by_the_code_of_a_member(member):
    newcomer, is_new = join(phone=PHONE, referral_code=member.referral_code)

    assert is_new
    assert newcomer.referred_by == member
    assert Member.objects.get(pk=newcomer.pk).referred_by == member
    assert brought(member) == [(newcomer.pk, "joined", "")]
    row = ReferralCode.objects.get()
    assert (row.member, row.code, row.invited_count, row.rewarded_count) == (
        member, member.referral_code, 1, 0,
    )  # fmt: skip


def test_a_code_counts_all_who_joined_by_it(member):
    for number in range(3):
        join(phone=f"+7916123421{number}", referral_code=member.referral_code)

    assert invited_count(member) == 3
    assert ReferralCode.objects.count() == 1


@pytest.mark.parametrize("typed", ["abcd2345", "ABCD-2345", " aBcD 23 45 ", "abcd\u20112345", "ABCD–2345"])
def test_a_code_may_be_typed_in_any_case_and_parted(typed):
    inviter = MemberFactory(referral_code="ABCD2345")

    assert normalise_code(typed) == "ABCD2345"
    assert join(phone=PHONE, referral_code=typed)[0].referred_by == inviter


@pytest.mark.parametrize("code", [None, "", " ", "NOBODYS1", "x" * 40, "\x07"])
def test_an_unknown_code_is_ignored(member, code):
    newcomer, is_new = join(phone=PHONE, referral_code=code)

    assert (is_new, newcomer.referred_by) == (True, None)
    assert not Referral.objects.exists()
    assert not ReferralCode.objects.exists()


def test_a_switched_off_code_is_refused(member):
    ReferralCode.objects.create(member=member, code=member.referral_code, is_active=False)

    newcomer, _ = join(phone=PHONE, referral_code=member.referral_code)

    assert newcomer.referred_by is None
    assert brought(member) == [(newcomer.pk, "refused", "code_inactive")]
    assert invited_count(member) == 0


@pytest.mark.parametrize("gone", [{"is_active": False}, {"anonymised_at": NOON}])
def test_the_code_of_somebody_who_left_is_refused(member, gone):
    Member.objects.filter(pk=member.pk).update(**gone)

    newcomer, _ = join(phone=PHONE, referral_code=member.referral_code)

    assert newcomer.referred_by is None
    assert brought(member) == [(newcomer.pk, "refused", "inviter_left")]


def test_a_member_is_no_newcomer(member):
    old = MemberFactory(phone=PHONE)

    assert join(phone=PHONE, referral_code=member.referral_code) == (old, False)

    old.refresh_from_db()
    assert old.referred_by is None
    assert not Referral.objects.exists()


def test_nobody_invites_oneself(member):
    assert join(phone=member.phone, referral_code=member.referral_code) == (member, False)

    member.refresh_from_db()
    assert member.referred_by is None
    assert not Referral.objects.exists()


def test_joining_twice_counts_once(member):
    other = MemberFactory()
    newcomer, _ = join(phone=PHONE, referral_code=member.referral_code)

    assert join(phone=PHONE, referral_code=other.referral_code) == (newcomer, False)

    assert brought(member) == [(newcomer.pk, "joined", "")]
    assert brought(other) == []


def test_leaving_and_coming_back_earns_nothing(member):
    first, _ = join(phone=PHONE)
    leave(first)

    again, is_new = join(phone=PHONE, referral_code=member.referral_code)

    assert (is_new, again.referred_by) == (True, None)
    assert brought(member) == [(again.pk, "refused", "phone_seen")]
    assert invited_count(member) == 0


def test_own_code_from_before_leaving_earns_nothing():
    first, _ = join(phone=PHONE)
    leave(first)

    again, _ = join(phone=PHONE, referral_code=first.referral_code)

    assert again.referred_by is None
    assert brought(first) == [(again.pk, "refused", "inviter_left")]


def test_what_is_kept_of_a_phone_does_not_tell_it(settings):
    join(phone=PHONE)

    [seen] = SeenContact.objects.all()
    assert len(seen.digest) == 64
    # The same phone under another key looks different, so nobody tries all phones without the key.
    settings.SECRET_KEY = "another-key"
    leave(Member.objects.get(phone=PHONE))
    join(phone=PHONE)
    assert SeenContact.objects.count() == 2


def test_phones_of_members_from_before_count_as_seen(member):
    old = MemberFactory(phone=PHONE)
    MemberFactory(phone=None)
    SeenContact.objects.all().delete()

    import_module("loyalty.migrations.0012_seen_contacts").remember_present_phones(apps, None)
    leave(old)
    again, _ = join(phone=PHONE, referral_code=member.referral_code)

    assert SeenContact.objects.count() == 2
    assert brought(member) == [(again.pk, "refused", "phone_seen")]


@pytest.mark.parametrize("earlier", [1, 3])
def test_an_invitation_costs_a_fixed_number_of_queries(member, earlier, django_assert_num_queries):
    for number in range(earlier):
        join(phone=f"+7916123421{number}", referral_code=member.referral_code)

    with django_assert_num_queries(17):
        join(phone="+79161234219", referral_code=member.referral_code)


# --- What a member sees ----------------------------------------------------------------------------------


def came(inviter, business, *, status, settled_at=None, name=""):
    """Store an invitation in a state the newcomer's purchase has led to."""
    newcomer = MemberFactory(first_name=name)
    purchase = paid(newcomer, business, "500.00", at=settled_at) if settled_at else None
    return Referral.objects.create(
        inviter=inviter, newcomer=newcomer, code=inviter.referral_code, status=status,
        transaction=purchase, settled_at=settled_at, reason="phone_seen" if not settled_at else "",
    )  # fmt: skip


def test_a_member_sees_what_the_code_has_brought(member, business):
    came(member, business, status="joined")
    came(member, business, status="rewarded", settled_at=NOON - timedelta(days=3))
    came(member, business, status="rewarded", settled_at=NOON - timedelta(days=40))
    came(member, business, status="voided", settled_at=NOON - timedelta(days=2))
    came(member, business, status="refused")
    came(MemberFactory(), business, status="rewarded", settled_at=NOON)
    book = Book(member, business)
    book.accrue("300.00", kind="referral", available_from=NOON + timedelta(days=11))
    book.write()

    seen = invitations(member, at=NOON)

    assert (seen.code, seen.invited, seen.rewarded) == (member.referral_code, 4, 2)
    assert (seen.pending_bonuses, seen.left_this_month) == (D("300.00"), 8)
    assert invitations(member, at=NOON + timedelta(days=11)).pending_bonuses == D("0.00")


@pytest.mark.parametrize(
    ("settled_at", "left"),
    [
        ("2026-05-31T23:59:59+03:00", 10),
        ("2026-06-01T00:00+03:00", 9),
        # June in Moscow already.
        ("2026-05-31T21:30+00:00", 9),
    ],
)
def test_the_month_of_the_limit_is_the_programmes(member, business, settled_at, left):
    came(member, business, status="rewarded", settled_at=datetime.fromisoformat(settled_at))

    assert invitations(member, at=NOON).left_this_month == left


def test_the_limit_never_goes_below_nothing(member, business, settings):
    settings.REFERRAL_MONTHLY_LIMIT = 1
    for _ in range(2):
        came(member, business, status="rewarded", settled_at=NOON)

    assert invitations(member, at=NOON).left_this_month == 0


def test_friends_are_shown_with_their_state_and_never_why_a_guard_refused(member, business):
    for name, status, days_ago in [
        ("Нина", "joined", None),
        ("Олег", "rewarded", 3),
        ("Пётр", "rewarded", 14),
        ("Рая", "voided", 1),
        ("Света", "refused", 1),
        ("Тоня", "refused", None),
    ]:
        settled_at = None if days_ago is None else NOON - timedelta(days=days_ago)
        came(member, business, status=status, settled_at=settled_at, name=name)

    shown = friends(member.pk, at=NOON)

    assert [(friend.name, friend.state) for friend in reversed(shown)] == [
        ("Нина", "joined"), ("Олег", "pending"), ("Пётр", "rewarded"), ("Рая", "voided"),
        ("Света", "over_limit"),
    ]  # fmt: skip
    assert shown[3].available_from == NOON + timedelta(days=11)


def test_an_inviter_is_found_while_the_code_works(member):
    assert find_inviter(member.referral_code.lower()) == member
    assert find_inviter("NOBODYS1") is None

    code = ReferralCode.objects.create(member=member, code=member.referral_code)
    assert find_inviter(member.referral_code) == member
    ReferralCode.objects.filter(pk=code.pk).update(is_active=False)
    assert find_inviter(member.referral_code) is None

    Member.objects.filter(pk=member.pk).update(is_active=False)
    assert find_inviter(member.referral_code) is None
