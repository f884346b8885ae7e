"""How people enter the circle: by phone, by a neighbour's invitation, or as cards of an imported history."""

from collections.abc import Collection
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.crypto import salted_hmac

from loyalty.invitations import normalise_code
from loyalty.models import Member, Referral, ReferralCode, SeenContact, StatusTier
from loyalty.models.member import new_referral_code
from loyalty.selectors import members_by_card
from svoykrug.db.bulk import insert_rows
from svoykrug.db.models import uuid7


@atomic
def join(*, phone: str, referral_code: str | None = None, language: str = "ru") -> tuple[Member, bool]:
    """Return the member of that phone, and whether they have just joined.

    phone          E.164
    referral_code  an inviter's code, as typed; one that nobody has is ignored, and so is any code
                   of somebody who is a member already, oneself among them
    """
    member, created = Member.objects.get_or_create(
        phone=phone,
        defaults={
            "status_tier": StatusTier.objects.get(level=1),
            "language": language,
            # Nobody signs in by password before staff sets one.
            "password": "!",
        },
    )
    if created:
        is_new_phone = remember_phone(phone)
        if code := normalise_code(referral_code or ""):
            _accept_invitation(member, code, is_new_phone=is_new_phone)
    return member, created


def remember_phone(phone: str) -> bool:
    """Keep a keyed hash of a member's phone; say whether it is the first time we see it.

    So a phone that leaves the programme and comes back is no newcomer to an inviter.
    """
    # With another SECRET_KEY the phones seen before are forgotten.
    digest = salted_hmac("loyalty.seen_contacts", f"phone:{phone}", algorithm="sha256").hexdigest()
    return SeenContact.objects.get_or_create(digest=digest)[1]


def _accept_invitation(newcomer: Member, code: str, *, is_new_phone: bool) -> None:
    """Record who invited the newcomer, or why the invitation counts for nothing.

    The reward is paid later, within the newcomer's purchase; the limit of a month is kept there.
    """
    inviter = Member.objects.filter(referral_code=code).first()
    if inviter is None:
        return
    invitation, _ = ReferralCode.objects.get_or_create(
        code=code, defaults={"member": inviter, "monthly_limit": settings.REFERRAL_MONTHLY_LIMIT}
    )
    referral = Referral(inviter=inviter, newcomer=newcomer, code=code)
    if refusal := _refusal(invitation, is_new_phone=is_new_phone):
        referral.status, referral.reason = Referral.Status.REFUSED, refusal
    referral.save(force_insert=True)
    if not refusal:
        newcomer.referred_by = inviter
        newcomer.save(update_fields=["referred_by", "updated_at"])
        ReferralCode.objects.filter(pk=invitation.pk).update(
            invited_count=F("invited_count") + 1, updated_at=timezone.now()
        )


def _refusal(invitation: ReferralCode, *, is_new_phone: bool) -> str:
    inviter = invitation.member
    if not inviter.is_active or inviter.anonymised_at:
        return Referral.Reason.INVITER_LEFT
    if not invitation.is_active:
        return Referral.Reason.CODE_INACTIVE
    return "" if is_new_phone else Referral.Reason.PHONE_SEEN


@atomic
def enrol_cards(cards: Collection[str]) -> dict[str, UUID]:
    """Create members for card numbers that nobody has yet; return the members of all of them.

    Safe to run at once from several imports: the card number is unique.
    """
    missing = sorted(set(cards) - members_by_card(cards).keys())
    if missing:
        tier_id, now = StatusTier.objects.values_list("pk", flat=True).get(level=1), timezone.now()
        columns = (
            "id", "created_at", "updated_at", "password", "card_number",
            "first_name", "last_name", "email", "city", "language",
            "status_tier", "referral_code", "is_staff", "is_active", "is_sandbox",
        )  # fmt: skip
        with connection.cursor() as cursor:
            # A table of our own first: COPY knows no ON CONFLICT.
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS enrolling (LIKE users) ON COMMIT DROP")
            insert_rows(
                "enrolling",
                columns,
                [
                    (
                        uuid7(),
                        now,
                        now,
                        "!",
                        card,
                        "",
                        "",
                        "",
                        "",
                        "ru",
                        tier_id,
                        new_referral_code(),
                        False,
                        True,
                        False,
                    )
                    for card in missing
                ],
            )
            names = ", ".join(columns)
            cursor.execute(
                f"INSERT INTO users ({names}) SELECT {names} FROM enrolling "  # noqa: S608  our own names
                "ON CONFLICT (card_number) DO NOTHING"
            )
            cursor.execute("DROP TABLE enrolling")
    return members_by_card(cards)
