"""Bodies of the members' calls: signing in, the member's own data."""

from datetime import date
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from loyalty.models import BonusEntry, Business, Consent, Session, TierChange, Transaction
from loyalty.services.consents import CHANNELS, PROCESSING, Choice, Subject, advertising, handover
from svoykrug.pagination import MOST_ROWS
from svoykrug.serializers import MomentField, MoneyOut, StrictSerializer, TextField

MOST_PARTNERS = 200
OLDEST_YEARS = 120


class OtpIn(StrictSerializer):
    phone = TextField(max_length=40)


class OtpOut(serializers.Serializer[Any]):
    expires_in = serializers.IntegerField(help_text="Seconds the code lives.")


class ChannelsIn(StrictSerializer):
    """Advertising by channel: true gives, false withdraws, what is not named stays."""

    def get_fields(self) -> dict[str, Any]:
        return {channel: serializers.BooleanField(required=False) for channel in CHANNELS}


class PartnerConsentsIn(StrictSerializer):
    partner = serializers.SlugRelatedField(
        slug_field="code",
        queryset=Business.objects.filter(is_programme=False),
        help_text="The code of the business.",
    )
    advertising = ChannelsIn(required=False, help_text="Stands above what is said for the whole circle.")
    handover = serializers.BooleanField(
        required=False, help_text="Whether the partner sees last name and full phone."
    )


class ConsentsIn(StrictSerializer):
    """What the member decides, having read the current texts; what is not named stays as it is."""

    processing = serializers.BooleanField(
        required=False, help_text="Needed to join; ends with membership, so false is refused."
    )
    advertising = ChannelsIn(required=False)
    partners = PartnerConsentsIn(many=True, required=False, max_length=MOST_PARTNERS)


def as_choice(said: dict[str, Any]) -> Choice:
    decided: dict[Subject, bool] = {}
    if "processing" in said:
        decided[PROCESSING] = said["processing"]
    for channel, yes in said.get("advertising", {}).items():
        decided[advertising(channel)] = yes
    for one in said.get("partners", ()):
        partner_id = one["partner"].pk
        for channel, yes in one.get("advertising", {}).items():
            decided[advertising(channel, partner_id)] = yes
        if "handover" in one:
            decided[handover(partner_id)] = one["handover"]
    return Choice(
        granted=frozenset(subject for subject, yes in decided.items() if yes),
        withdrawn=frozenset(subject for subject, yes in decided.items() if not yes),
    )


class ChannelsOut(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, Any]:
        return {channel: serializers.BooleanField() for channel in CHANNELS}


class PartnerConsentsOut(serializers.Serializer[Any]):
    partner = serializers.CharField(help_text="The code of the business.")
    name = serializers.CharField()
    advertising = ChannelsOut(help_text="What holds for this partner.")
    handover = serializers.BooleanField()


class ConsentTextOut(serializers.Serializer[Any]):
    purpose = serializers.ChoiceField(choices=Consent.Purpose.choices)
    version = serializers.CharField()
    url = serializers.URLField(help_text="To show before the member decides.")


class ConsentsOut(serializers.Serializer[Any]):
    """What the member consents to now."""

    processing = serializers.BooleanField()
    advertising = ChannelsOut(help_text="For the whole circle.")
    partners = PartnerConsentsOut(many=True, help_text="Those the member decided about apart.")
    texts = ConsentTextOut(many=True)


class TokenIn(StrictSerializer):
    phone = TextField(max_length=40)
    code = serializers.RegexField(
        r"^\s*([0-9]{6}|[0-9a-zA-Z\- ]{10,20})\s*$",
        help_text="The six digits sent to the phone; with `password` those of the authenticator, or a "
        "recovery code.",
    )
    password = TextField(
        max_length=128,
        required=False,
        trim_whitespace=False,
        help_text="Of staff: their tokens open the reports of businesses where they are owner or manager.",
    )
    referral_code = TextField(
        max_length=40,
        required=False,
        help_text="An inviter's code, in any case; one that nobody has is ignored.",
    )
    consents = ConsentsIn(required=False, help_text="An unknown phone joins with `processing: true` only.")

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        if "password" in said and (needless := said.keys() & {"referral_code", "consents"}):
            raise serializers.ValidationError(
                {name: _("Not with a password: staff have joined already.") for name in sorted(needless)}
            )
        return said


class TokensOut(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="JWT, 15 minutes.")
    refresh = serializers.CharField(help_text="Works once, 30 days.")


class SignedInOut(TokensOut):
    is_new = serializers.BooleanField(help_text="The member has just joined.")


class RefreshIn(StrictSerializer):
    refresh = TextField(max_length=200)


class DeviceOut(serializers.Serializer[Any]):
    """A device that the member is signed in on."""

    id = serializers.UUIDField(source="family")
    user_agent = serializers.CharField()
    ip = serializers.CharField(allow_null=True, help_text="At its last refresh.")
    current = serializers.SerializerMethodField(help_text="The one that asks.")
    signed_in_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(source="created_at", help_text="Its last refresh.")
    expires_at = serializers.DateTimeField(help_text="Unless it is used before.")

    def get_current(self, session: Session) -> bool:
        return bool(session.family == self.context["family"])


class TierOut(serializers.Serializer[Any]):
    level = serializers.IntegerField()
    name = serializers.CharField()
    name_en = serializers.CharField()
    percent = MoneyOut(source="accrual_percent", help_text="Of the earn base, as bonuses.")


class MeOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    phone = serializers.CharField(allow_null=True)
    card_number = serializers.CharField(allow_null=True)
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    email = serializers.CharField(help_text="Empty if not given.")
    birth_date = serializers.DateField(allow_null=True)
    city = serializers.CharField()
    language = serializers.CharField()
    tier = TierOut(source="status_tier")
    tier_valid_until = serializers.DateTimeField(allow_null=True)
    referral_code = serializers.CharField()
    created_at = serializers.DateTimeField()


@extend_schema_field({"type": "string", "maxLength": 254, "description": "Empty: forget it."})
class EmailOrNothingField(serializers.EmailField):
    """Is not described by its format, which an empty text does not have."""


class MeIn(StrictSerializer):
    """What the member may change; what is left out stays."""

    first_name = TextField(required=False, allow_blank=True, max_length=80)
    last_name = TextField(required=False, allow_blank=True, max_length=80)
    email = EmailOrNothingField(required=False, allow_blank=True, max_length=254)
    birth_date = serializers.DateField(required=False, allow_null=True)
    city = TextField(required=False, allow_blank=True, max_length=80)
    language = serializers.ChoiceField(required=False, choices=["ru", "en"])

    def validate_birth_date(self, born: date | None) -> date | None:
        today = timezone.localdate()
        if born and not today.replace(year=today.year - OLDEST_YEARS, day=1) <= born <= today:
            raise ValidationError(_("Nobody of the circle was born then."))
        return born


class MyTransactionOut(serializers.Serializer[Any]):
    """A purchase of the member, or a refund of one: its sums are below zero."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Transaction.Kind.choices)
    refund_of = serializers.UUIDField(source="refund_of_id", allow_null=True)
    business = serializers.CharField(source="business.name")
    amount = MoneyOut()
    coupon_discount = MoneyOut()
    bonus_redeemed = MoneyOut()
    amount_paid = MoneyOut()
    bonus_accrued = MoneyOut()
    category = serializers.CharField()
    created_at = serializers.DateTimeField()


class BalanceOut(serializers.Serializer[Any]):
    """The member's bonuses now."""

    available = MoneyOut(help_text="May be spent now.")
    held = MoneyOut(help_text="Set aside by quotes for purchases under way, beside `available`.")
    pending = MoneyOut(help_text="Given, to be spent later.")
    debt = MoneyOut(help_text="Taken back by refunds after they were spent; new bonuses repay it first.")
    expiring = MoneyOut(help_text="Lapses within 30 days unless it is spent.")
    expiring_on = serializers.DateTimeField(allow_null=True, help_text="When the first of these lapse.")
    next_available_on = serializers.DateTimeField(
        allow_null=True, help_text="When the first of `pending` may be spent."
    )


class CodeOut(serializers.Serializer[Any]):
    """What the member shows at a till."""

    code = serializers.CharField(help_text="Six digits.")
    expires_at = serializers.DateTimeField()
    seconds_left = serializers.IntegerField(help_text="Ask again when they are over.")
    qr = serializers.CharField(help_text="What the QR carries.")


class NextTierOut(TierOut):
    threshold_rub = MoneyOut(help_text="Qualifying turnover of 12 months from which it is given.")


class TierStepOut(serializers.Serializer[Any]):
    """A change of tier, with the turnover that was measured."""

    created_at = serializers.DateTimeField(source="at")
    from_level = serializers.IntegerField(source="before.level")
    to_level = serializers.IntegerField(source="after.level")
    reason = serializers.ChoiceField(choices=TierChange.Reason.choices)
    turnover_rub = MoneyOut()


class MyTierOut(serializers.Serializer[Any]):
    """Where the member stands. Sums are roubles paid in the last 12 months, net of refunds."""

    tier = NextTierOut()
    turnover_rub = MoneyOut()
    next_tier = NextTierOut(allow_null=True, help_text="Null at the top.")
    to_rise_rub = MoneyOut(source="missing_rub", help_text="Still to be paid to reach the next tier.")
    review_at = serializers.DateTimeField(
        allow_null=True, help_text="When the tier may fall by one; null: it never does."
    )
    to_keep_rub = MoneyOut(help_text="Still to be paid by `review_at`, so that the tier stays.")
    history = TierStepOut(many=True)


class ReferralOut(serializers.Serializer[Any]):
    """The member's invitation, what it gives and what it brought."""

    code = serializers.CharField()
    link = serializers.URLField()
    invited = serializers.IntegerField(help_text="Neighbours who joined by the code.")
    rewarded = serializers.IntegerField(help_text="Of these, whose purchase gave bonuses that stand.")
    pending_bonuses = MoneyOut(help_text="For invitations, not yet to be spent.")
    newcomer_bonus = MoneyOut()
    inviter_bonus = MoneyOut()
    min_purchase_rub = MoneyOut(help_text="The newcomer's first purchase from this sum gives the bonuses.")
    pending_days = serializers.IntegerField(help_text="Days until they may be spent.")
    monthly_limit = serializers.IntegerField(help_text="Invitations rewarded in a calendar month.")
    left_this_month = serializers.IntegerField()


class EntryOut(serializers.Serializer[Any]):
    """One change of the member's bonuses; above zero came in, below zero went out."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=BonusEntry.Kind.choices)
    amount = MoneyOut()
    issuer = serializers.CharField(source="lot.issuer.name", help_text="Who gave these bonuses.")
    honoured_by = serializers.CharField(
        source="honoured_by.name", allow_null=True, help_text="Where they were spent."
    )
    transaction = serializers.UUIDField(source="transaction_id", allow_null=True)
    available_from = serializers.DateTimeField(source="lot.available_from")
    expires_at = serializers.DateTimeField(source="lot.expires_at")
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: BonusEntry) -> dict[str, Any]:
        answer = super().to_representation(instance)
        # DRF leaves a dotted source out when its middle is empty.
        answer.setdefault("honoured_by", None)
        return answer


class ListQuery(StrictSerializer):
    """What a list's address may carry; the pager reads both."""

    cursor = TextField(required=False, help_text="From `next` or `previous`.")
    page_size = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_ROWS, help_text="50 if not given."
    )


class PeriodQuery(ListQuery):
    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's own.
        return {
            **super().get_fields(),
            "from": MomentField(required=False),
            "to": MomentField(required=False),
        }


class MyTransactionsQuery(PeriodQuery):
    kind = serializers.ChoiceField(choices=Transaction.Kind.choices, required=False)
