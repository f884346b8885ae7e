"""Access tokens are short, refresh tokens work once, a reused one ends its family."""

from datetime import timedelta

import pytest
from django.utils import timezone

from loyalty.errors import SessionRefused
from loyalty.models import Session
from loyalty.services.sessions import close_session, member_of_access_token, open_session, refresh_session
from tests.factories import NOON, MemberFactory

pytestmark = pytest.mark.django_db


def test_access_token_names_its_member(member):
    tokens = open_session(member, at=timezone.now())

    assert member_of_access_token(tokens.access) == member


@pytest.mark.parametrize(("minutes", "works"), [(14, True), (16, False)])
def test_access_token_lives_fifteen_minutes(member, minutes, works):
    tokens = open_session(member, at=timezone.now() - timedelta(minutes=minutes))

    assert (member_of_access_token(tokens.access) is not None) == works


def test_forged_tokens_name_nobody(member, settings):
    tokens = open_session(member, at=timezone.now())
    head, body, signature = tokens.access.split(".")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"

    forged = [f"{head}.{body}.{signature[::-1]}", f"{unsigned}.{body}.", "x", "", "a.b.c", tokens.refresh]
    assert [member_of_access_token(token) for token in forged] == [None] * len(forged)


def test_refresh_changes_both_tokens(member):
    first = open_session(member, at=timezone.now() - timedelta(minutes=1))

    second = refresh_session(first.refresh, at=timezone.now())

    assert second.refresh != first.refresh
    assert second.access != first.access
    assert member_of_access_token(second.access) == member


def test_reused_refresh_token_ends_the_family_and_no_other(member):
    now = timezone.now()
    stolen, elsewhere = open_session(member, at=now), open_session(member, at=now)
    current = refresh_session(stolen.refresh, at=now - timedelta(seconds=11))

    with pytest.raises(SessionRefused):
        refresh_session(stolen.refresh, at=now)

    with pytest.raises(SessionRefused):
        refresh_session(current.refresh, at=now)
    assert member_of_access_token(current.access) is None
    assert member_of_access_token(elsewhere.access) == member
    assert set(Session.objects.exclude(revoked_at=None).values_list("reason", flat=True)) == {
        "refresh token reused"
    }


def test_signing_out_ends_the_device_at_once_and_may_be_repeated(member):
    now = timezone.now()
    tokens = open_session(member, at=now)

    close_session(tokens.refresh, at=now)
    close_session(tokens.refresh, at=now + timedelta(minutes=1))
    close_session("unknown", at=now)

    assert member_of_access_token(tokens.access) is None
    assert Session.objects.get().revoked_at == now
    with pytest.raises(SessionRefused):
        refresh_session(tokens.refresh, at=now)


@pytest.mark.parametrize(("days", "works"), [(29, True), (30, False)])
def test_refresh_token_lives_thirty_days(member, days, works):
    tokens = open_session(member, at=NOON)

    if works:
        assert refresh_session(tokens.refresh, at=NOON + timedelta(days=days)).refresh
    else:
        with pytest.raises(SessionRefused):
            refresh_session(tokens.refresh, at=NOON + timedelta(days=days))


def test_member_who_is_not_active_keeps_no_session():
    member = MemberFactory()
    tokens = open_session(member, at=timezone.now())
    member.is_active = False
    member.save()

    assert member_of_access_token(tokens.access) is None
    with pytest.raises(SessionRefused):
        refresh_session(tokens.refresh, at=timezone.now())


def test_database_holds_no_usable_token(member):
    tokens = open_session(member, at=NOON, user_agent="Till" * 100, ip="192.0.2.1")

    session = Session.objects.get()
    stored = [str(value) for value in Session.objects.values_list().get()]
    assert tokens.refresh not in stored
    assert tokens.access not in stored
    assert (len(session.token_hash), session.user_agent, session.ip) == (
        64,
        ("Till" * 100)[:300],
        "192.0.2.1",
    )


def test_an_answer_that_was_lost_is_given_once_more(member):
    now = timezone.now() - timedelta(seconds=20)
    first = open_session(member, at=now)
    lost = refresh_session(first.refresh, at=now)

    again = refresh_session(first.refresh, at=now + timedelta(seconds=10))

    assert again.refresh == lost.refresh
    assert member_of_access_token(again.access) == member
    assert refresh_session(again.refresh, at=now + timedelta(seconds=11)).refresh != again.refresh
    assert Session.objects.filter(rotated_at=None, revoked_at=None).count() == 1


def test_a_token_whose_answer_arrived_is_reused_even_within_the_grace(member):
    now = timezone.now()
    first = open_session(member, at=now)
    second = refresh_session(first.refresh, at=now)
    third = refresh_session(second.refresh, at=now)

    with pytest.raises(SessionRefused):
        refresh_session(first.refresh, at=now)

    assert member_of_access_token(third.access) is None


def test_the_grace_opens_no_session_that_was_ended(member):
    now = timezone.now()
    first = open_session(member, at=now)
    second = refresh_session(first.refresh, at=now)
    close_session(second.refresh, at=now)

    with pytest.raises(SessionRefused):
        refresh_session(first.refresh, at=now)


def test_a_successor_cannot_be_worked_out_without_the_secret(member, settings):
    now = timezone.now()
    first = open_session(member, at=now)
    second = refresh_session(first.refresh, at=now)

    settings.SECRET_KEY = "another"
    with pytest.raises(SessionRefused):
        refresh_session(first.refresh, at=now)
    assert len(second.refresh) == len(first.refresh) == 43
