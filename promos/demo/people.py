"""Invented first names and phones for the sample's anonymous cards, and the member to sign in as."""

import random
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Q

from loyalty.consent_texts import consent_text
from loyalty.models import Consent, Member
from loyalty.services.consents import CHANNELS
from loyalty.services.enrolment import enrol_cards
from promos.models import Coupon, CrossPromoChain
from promos.rules import in_holdout

from .coalition import SHOWN_BUSINESS

MEMBER_PHONE = "+79000000010"
SHARE_WITH_PHONE = 0.9
# Of those with a phone: some 80 % of all.
SHARE_WITH_ADVERTISING = 0.9
CONSENT_SEED = 20091201
FIRST_NAMES = """
Александр Алексей Алина Алиса Алла Анастасия Андрей Анна Антон Арина Артём Борис Вадим Валентина
Валерия Варвара Василий Вера Вероника Виктор Виктория Виталий Владимир Галина Георгий Глеб Григорий
Дарья Денис Дмитрий Ева Евгений Евгения Егор Екатерина Елена Елизавета Жанна Зоя Иван Игорь Илья
Инна Ирина Карина Кирилл Кристина Ксения Лариса Лев Леонид Лидия Любовь Людмила Макар Максим
Маргарита Марина Мария Марк Матвей Михаил Надежда Наталья Никита Николай Нина Оксана Олег Олеся
Ольга Павел Пётр Полина Роман Руслан Светлана Семён Сергей София Степан Таисия Тамара Татьяна
Тимофей Ульяна Фёдор Элина Юлия Юрий Яна Ярослав
""".split()  # noqa: SIM905  a hundred names read better as words


def enrol(cards: set[str], generator: random.Random, *, at: datetime) -> int:
    """Create the members of the sample before their purchases. Returns how many consent to advertising."""
    enrol_cards(cards)
    name_members(generator)
    _give_consents(at=at)
    consenting = Consent.objects.filter(purpose=Consent.Purpose.ADVERTISING, granted=True)
    return consenting.values("member").distinct().count()


def name_members(generator: random.Random) -> int:
    """Give the imported cards a first name, and most of them a fictional phone. Returns how many."""
    members = list(
        Member.objects.filter(card_number__startswith="uci-", first_name="").order_by("card_number")
    )
    for number, member in enumerate(members):
        member.first_name = generator.choice(FIRST_NAMES)
        # +7 900 000-xx-xx and on; the first hundred are kept for logins.
        if member.phone is None and generator.random() < SHARE_WITH_PHONE:
            member.phone = f"+7900{100 + number:07}"
    Member.objects.bulk_update(members, ["first_name", "phone"], batch_size=1000)
    return len(members)


def choose_member(*, at: datetime) -> Member:
    """Give the demo phone to a member with coupons to use and a long, but not a wholesaler's, history.

    Best one to whom a purchase at the shown business brings a coupon, so that the first try shows it.
    """
    candidates = Member.objects.filter(card_number__startswith="uci-").annotate(
        purchases=Count("transactions", distinct=True),
        live=Count(
            "coupons",
            filter=Q(coupons__status=Coupon.Status.ISSUED, coupons__valid_until__gt=at),
            distinct=True,
        ),
    )
    ranked = candidates.order_by("-live", "-purchases", "card_number")
    favourites = list(ranked.filter(purchases__range=(60, 400), live__gt=0)[:100]) or list(ranked[:100])
    chain = CrossPromoChain.objects.filter(source_business__code=SHOWN_BUSINESS).first()
    member = next((one for one in favourites if chain and _awaits_coupon(one, chain, at=at)), favourites[0])
    member.phone, member.first_name = MEMBER_PHONE, "Анна"
    member.save(update_fields=["phone", "first_name", "updated_at"])
    _give_consents(at=at)
    return member


def _give_consents(*, at: datetime) -> None:
    """Let everybody with a phone have joined with consent to processing, and most to advertising too.

    Who agrees hangs on the card, so that it is the same in every demo; the member to sign in as does.
    Cards without a phone are imported ones that nobody has claimed: nobody asked them.
    """
    processing = consent_text(Consent.Purpose.PROCESSING, "ru")
    advertising = consent_text(Consent.Purpose.ADVERTISING, "ru")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO consents (
                created_at, user_id, purpose, channel, granted, text_version, text_hash, language
            )
            SELECT %(at)s, u.id, c.purpose, c.channel, true, c.version, c.digest, 'ru'
            FROM users u
            CROSS JOIN LATERAL (
                VALUES ('processing', '', %(processing)s, %(processing_hash)s)
                UNION ALL
                SELECT 'advertising', channel, %(advertising)s, %(advertising_hash)s
                FROM unnest(%(channels)s::text[]) AS channel
                WHERE u.phone = %(shown)s
                    OR (hashtextextended(u.card_number, %(seed)s) & 1023) < 1024 * %(share)s
            ) AS c(purpose, channel, version, digest)
            WHERE u.phone IS NOT NULL AND u.card_number LIKE 'uci-%%'
                AND NOT EXISTS (
                    SELECT FROM consents known WHERE known.user_id = u.id AND known.purpose = c.purpose
                )
            """,
            {
                "at": at,
                "processing": processing.version,
                "processing_hash": processing.digest,
                "advertising": advertising.version,
                "advertising_hash": advertising.digest,
                "channels": list(CHANNELS),
                "shown": MEMBER_PHONE,
                "seed": CONSENT_SEED,
                "share": SHARE_WITH_ADVERTISING,
            },
        )


def _awaits_coupon(member: Member, chain: CrossPromoChain, *, at: datetime) -> bool:
    """Whether a purchase now would bring the member the chain's coupon."""
    lives = timedelta(days=chain.coupon_valid_days)
    excluded = timedelta(days=chain.exclude_target_customers_days)
    return not (
        in_holdout(chain.pk, member.pk, chain.holdout_percent)
        or member.chain_assignments.filter(chain=chain, created_at__gt=at - lives).exists()
        or member.transactions.filter(
            business_id=chain.target_business_id, kind="purchase", created_at__gt=at - excluded
        ).exists()
    )
