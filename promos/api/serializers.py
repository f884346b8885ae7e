"""Bodies of the tills' calls."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from loyalty.api.serializers import PeriodQuery, TierOut
from loyalty.errors import InvalidPhone
from loyalty.models import Transaction
from loyalty.phones import normalise_phone
from promos.models import Benefit
from promos.services.purchases import LineRefund
from svoykrug.serializers import AmountField, MomentField, MoneyOut, StrictSerializer, TextField, represented

MOST_LINES = 500
MOST_TEXT = 200


class MemberContact(StrictSerializer):
    """A member who is not at the till: exactly one of the two."""

    exactly_one = True
    phone = TextField(required=False, max_length=40)
    card = TextField(required=False, max_length=64)

    def validate_phone(self, text: str) -> str:
        try:
            return normalise_phone(text, sandbox=True)
        except InvalidPhone as error:
            raise ValidationError(error.detail, code=error.code) from None

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        if len(attrs) != 1:
            names = ", ".join(self.fields)
            detail = _("Name the member by exactly one of: %(names)s.") % {"names": names}
            raise ValidationError(detail, code="one_of")
        return attrs


class MemberRef(MemberContact):
    """Who buys: exactly one of the three."""

    code = TextField(
        required=False, max_length=32, help_text="From the member's page: digits, or all that the QR carries."
    )


class LineIn(StrictSerializer):
    """A line of the receipt."""

    sku = TextField(required=False, max_length=64)
    name = TextField(required=False, max_length=MOST_TEXT)
    category = TextField(required=False, max_length=MOST_TEXT)
    quantity = AmountField(required=False, decimals=3)
    amount = AmountField(help_text="Roubles for the whole line.")

    def to_internal_value(self, data: Any) -> Any:
        line = super().to_internal_value(data)
        # Lines are kept as JSON and compared with a repeat's: one spelling, no floats.
        sums = {"amount": f"{line['amount']:.2f}"}
        if "quantity" in line:
            sums["quantity"] = f"{line['quantity'].normalize():f}"
        return line | sums


class BillIn(StrictSerializer):
    """What is bought, by whom, and what the member wants to use for it."""

    member = MemberRef(required=False)
    amount = AmountField(required=False, help_text="Roubles before any discount.")
    category = TextField(required=False, allow_blank=True, max_length=MOST_TEXT)
    lines = LineIn(many=True, required=False, max_length=MOST_LINES)
    coupon = TextField(
        required=False, max_length=32, help_text="As the member shows it: any case, hyphens or not."
    )
    redeem = AmountField(required=False, zero=True, help_text="Bonuses that pay a part of the bill.")

    def needed(self, attrs: dict[str, Any]) -> tuple[str, ...]:
        return "member", "amount"

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        missing = {name: [_("This field is required.")] for name in self.needed(attrs) if name not in attrs}
        if missing:
            raise ValidationError(missing, code="required")
        lines, amount = attrs.get("lines"), attrs.get("amount")
        if lines and amount is not None and sum(Decimal(line["amount"]) for line in lines) != amount:
            raise ValidationError(
                {"lines": [_("The lines do not add up to the amount.")]}, code="sum_differs"
            )
        return attrs


class QuoteIn(BillIn):
    hold = serializers.BooleanField(
        required=False, help_text="Set the bonuses and the coupon aside until the quote runs out."
    )


class PurchaseIn(BillIn):
    external_id = TextField(
        max_length=MOST_TEXT, help_text="The receipt's number: the same purchase is never recorded twice."
    )
    member = MemberRef(required=False, help_text="Required without a quote.")
    amount = AmountField(required=False, help_text="Roubles before any discount. Required without a quote.")
    presence_code = TextField(
        required=False,
        max_length=32,
        help_text="The member's code, which spending needs; `member` named by its code says it already.",
    )
    quote = serializers.UUIDField(
        required=False,
        help_text="The outcome must be the quoted one. What is left out is taken from the quote.",
    )
    purchased_at = MomentField(required=False, help_text="Now, if not given.")

    def needed(self, attrs: dict[str, Any]) -> tuple[str, ...]:
        return () if "quote" in attrs else super().needed(attrs)


class BatchPurchaseIn(PurchaseIn):
    kind = serializers.ChoiceField(choices=["purchase"], required=False)
    member = MemberContact()
    amount = AmountField(help_text="Roubles before any discount.")


class LineRefundIn(StrictSerializer):
    line = serializers.IntegerField(
        min_value=1, max_value=MOST_LINES, help_text="Which line, counted from 1."
    )
    amount = AmountField(required=False, help_text="Roubles of it; all that is left, if not given.")

    def to_internal_value(self, data: Any) -> Any:
        return LineRefund(**super().to_internal_value(data))


class RefundIn(StrictSerializer):
    """Either the amount or the lines."""

    external_id = TextField(max_length=MOST_TEXT)
    amount = AmountField(required=False, help_text="Roubles given back, before discount and bonuses.")
    lines = LineRefundIn(many=True, required=False, allow_empty=False, max_length=MOST_LINES)
    purchased_at = MomentField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("amount" in attrs) == ("lines" in attrs):
            raise ValidationError(
                {"amount": [_("Give either the amount or the lines to refund.")]}, code="one_of"
            )
        if "lines" in attrs:
            attrs["lines"] = tuple(attrs["lines"])
        return attrs


class ReceiptRefundIn(RefundIn):
    """Of a purchase named by its receipt number."""

    refund_of = TextField(
        max_length=MOST_TEXT,
        help_text="External id of the purchase. While it is unknown, `member` and `amount` are needed.",
    )
    member = MemberContact(required=False, help_text="The purchase's, if not given.")
    category = TextField(required=False, allow_blank=True, max_length=MOST_TEXT)


class BatchRefundIn(ReceiptRefundIn):
    kind = serializers.ChoiceField(choices=["refund"])
    refund_of = TextField(
        max_length=MOST_TEXT, required=False, allow_null=True, allow_blank=True,
        help_text="External id of the purchase. A refund that comes first is parked and needs `member`.",
    )  # fmt: skip


class ParkedOut(serializers.Serializer[Any]):
    """A refund that waits for its purchase. Once applied it is found under its external id."""

    status = serializers.ChoiceField(choices=["parked"])
    external_id = serializers.CharField()
    refund_of = serializers.CharField()


class CouponIssuedOut(serializers.Serializer[Any]):
    """A coupon the purchase brought. Print its code on the receipt."""

    code = serializers.CharField()
    business = serializers.CharField(source="business.name", help_text="Where it is redeemed.")
    benefit = serializers.ChoiceField(choices=Benefit.choices)
    benefit_value = MoneyOut()
    benefit_text = serializers.CharField()
    min_amount = MoneyOut()
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField()


class TierThenOut(serializers.Serializer[Any]):
    """The tier whose rate the purchase earned at."""

    level = serializers.IntegerField()
    name = serializers.CharField()
    name_en = serializers.CharField()
    percent = serializers.CharField()


class TransactionOut(serializers.Serializer[Any]):
    """A purchase or a refund as it was recorded: built from stored values alone, so it never changes."""

    id = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField(choices=Transaction.Kind.choices)
    refund_of = serializers.UUIDField(source="refund_of_id", required=False, help_text="Of a refund only.")
    member = serializers.UUIDField(source="member_id")
    amount = MoneyOut()
    coupon_discount = MoneyOut()
    bonus_redeemed = MoneyOut()
    amount_paid = MoneyOut()
    bonus_accrued = MoneyOut()
    balance = serializers.SerializerMethodField(help_text="The member's balance after it.")
    tier = serializers.SerializerMethodField()
    coupons_issued = serializers.SerializerMethodField()
    explanation = serializers.DictField()
    created_at = serializers.DateTimeField(help_text="When it happened.")

    @extend_schema_field({"type": "string", "format": "decimal", "nullable": True})
    def get_balance(self, row: Transaction) -> str | None:
        return row.explanation.get("balance")

    @extend_schema_field(TierThenOut(allow_null=True))
    def get_tier(self, row: Transaction) -> dict[str, Any] | None:
        return row.explanation.get("tier")

    @extend_schema_field(CouponIssuedOut(many=True))
    def get_coupons_issued(self, row: Transaction) -> list[dict[str, Any]]:
        coupons = sorted(row.coupons_issued.all(), key=lambda coupon: coupon.pk)
        return [represented(CouponIssuedOut, coupon) for coupon in coupons]

    def to_representation(self, instance: Transaction) -> dict[str, Any]:
        answer = super().to_representation(instance)
        if instance.kind == Transaction.Kind.PURCHASE:
            del answer["refund_of"]
        return answer


class RefundOut(TransactionOut):
    """A refund, and what became of the purchase's bonuses."""

    restored = serializers.SerializerMethodField(help_text="Spent bonuses that the member has again.")
    repaid = serializers.SerializerMethodField(help_text="Of the restored: went to the member's debt.")
    recovered = serializers.SerializerMethodField(
        help_text="Of the restored: made good what earlier refunds had written off."
    )
    taken_back = serializers.SerializerMethodField(help_text="Of the purchase's bonuses.")
    expired = serializers.SerializerMethodField(help_text="Had lapsed before, so nothing was there to take.")
    debt = serializers.SerializerMethodField(help_text="Spent already; the member's next bonuses repay it.")
    written_off = serializers.SerializerMethodField(
        help_text="Spent already and beyond what a member of the tier may owe; charged to the business."
    )

    def get_restored(self, row: Transaction) -> str:
        return row.explanation["refund"].get("restored", "0.00")

    def get_repaid(self, row: Transaction) -> str:
        return row.explanation["refund"].get("repaid", "0.00")

    def get_recovered(self, row: Transaction) -> str:
        return row.explanation["refund"].get("recovered", "0.00")

    def get_taken_back(self, row: Transaction) -> str:
        return row.explanation["refund"]["taken_back"]

    def get_expired(self, row: Transaction) -> str:
        return row.explanation["refund"].get("expired", "0.00")

    def get_debt(self, row: Transaction) -> str:
        return row.explanation["refund"]["debt"]

    def get_written_off(self, row: Transaction) -> str:
        return row.explanation["refund"]["written_off"]


class LineShareOut(serializers.Serializer[Any]):
    """A line's part of the bill in kopecks, as a fiscal receipt needs it; the parts add up."""

    amount = MoneyOut()
    coupon_discount = MoneyOut()
    bonus_redeemed = MoneyOut()
    amount_paid = MoneyOut()
    bonus_accrued = MoneyOut()


class QuoteOut(serializers.Serializer[Any]):
    """What a bill will come to while the quote is valid."""

    id = serializers.UUIDField(source="quote.pk")
    expires_at = serializers.DateTimeField(source="quote.expires_at")
    amount = MoneyOut(source="row.amount")
    coupon_discount = MoneyOut(source="row.coupon_discount")
    max_redeemable = MoneyOut(help_text="Bonuses that the member could spend on this bill now.")
    bonus_redeemed = MoneyOut(source="row.bonus_redeemed")
    amount_paid = MoneyOut(source="row.amount_paid")
    bonus_accrued = MoneyOut(source="row.bonus_accrued")
    available_from = serializers.DateTimeField(help_text="When the bonuses of this bill may be spent.")
    lines = serializers.SerializerMethodField(help_text="Empty where the bill came without lines.")
    explanation = serializers.DictField(source="row.explanation")

    @extend_schema_field(LineShareOut(many=True))
    def get_lines(self, quoted: Any) -> list[dict[str, str]]:
        return quoted.row.explanation.get("lines", [])


class BatchRowIn(StrictSerializer):
    """A row of a batch, for the description: a purchase, or a refund with `refund_of`."""

    kind = serializers.ChoiceField(choices=Transaction.Kind.choices, default=Transaction.Kind.PURCHASE)
    external_id = TextField(max_length=MOST_TEXT)
    refund_of = TextField(required=False, allow_null=True, help_text="Refunds only.")
    member = MemberContact(required=False, help_text="A refund takes its purchase's member if not given.")
    amount = AmountField(required=False)
    category = TextField(required=False)
    lines = LineIn(many=True, required=False, help_text="Of a purchase; of a refund `line` and `amount`.")
    coupon = TextField(required=False, help_text="Purchases only.")
    redeem = AmountField(required=False, zero=True, help_text="Purchases only.")
    presence_code = TextField(required=False, help_text="Purchases only.")
    quote = serializers.UUIDField(required=False, help_text="Purchases only.")
    purchased_at = MomentField(required=False)


class BatchIn(StrictSerializer):
    """Up to 1,000 rows; the list alone, without the object around it, is read as well."""

    transactions = BatchRowIn(many=True)


class BatchRowOut(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["created", "duplicate", "parked", "rejected"])
    id = serializers.UUIDField(required=False)
    code = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)


class BatchOut(serializers.Serializer[Any]):
    results = BatchRowOut(many=True)
    created = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    parked = serializers.IntegerField()
    rejected = serializers.IntegerField()


class TransactionsQuery(PeriodQuery):
    member = serializers.UUIDField(required=False)
    external_id = serializers.CharField(required=False, max_length=MOST_TEXT)
    kind = serializers.ChoiceField(choices=Transaction.Kind.choices, required=False)


class PresenceCodeIn(StrictSerializer):
    member = MemberContact()


class PresenceCodeSentOut(serializers.Serializer[Any]):
    expires_in = serializers.IntegerField(help_text="Seconds the code lives.")
    code = serializers.CharField(required=False, help_text="Of a sandbox's member, to a test key only.")


class MemberOut(serializers.Serializer[Any]):
    """A member as a till may see them: first name and masked phone."""

    id = serializers.UUIDField()
    first_name = serializers.CharField()
    phone_masked = serializers.CharField(source="masked_phone")
    tier = TierOut(source="status_tier")
    available = MoneyOut(help_text="Bonuses that may be spent now.")
    max_share_percent = MoneyOut(help_text="Share of a bill payable by bonuses here.")
    coupons = CouponIssuedOut(source="coupons_here", many=True, help_text="That may be redeemed here now.")
