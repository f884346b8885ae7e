"""How people enter the circle: by phone, or as cards of an imported history."""

from collections.abc import Collection
from uuid import UUID

from django.db import connection
from django.db.transaction import atomic
from django.utils import timezone

from loyalty.models import Member, StatusTier
from loyalty.models.member import new_referral_code
from loyalty.selectors import members_by_card
from svoykrug.db.bulk import insert_rows
from svoykrug.db.models import uuid7


@atomic
def join(*, phone: str, referral_code: str | None = None, language: str = "ru") -> tuple[Member, bool]:
    """Return the member of that phone, and whether they have just joined.

    phone          E.164
    referral_code  an inviter's code; an unknown one is ignored
    """
    inviter = Member.objects.filter(referral_code=referral_code).first() if referral_code else None
    member, created = Member.objects.get_or_create(
        phone=phone,
        defaults={
            "status_tier": StatusTier.objects.get(level=1),
            "referred_by": inviter,
            "language": language,
            # Nobody signs in by password before staff sets one.
            "password": "!",
        },
    )
    return member, created


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
            "status_tier", "referral_code", "is_staff", "is_active",
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
