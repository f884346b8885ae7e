"""What the calls of analytics answer: sums and counts, nobody by name."""

from typing import Any

from rest_framework import serializers

from analytics.comparison import Lacking
from promos.segments import Segment
from svoykrug.serializers import MoneyOut

Out = serializers.Serializer[Any]


class FreshOut(Out):
    as_of = serializers.DateTimeField(
        allow_null=True, help_text="Everything recorded before is counted; null before the first sync."
    )


class PeriodOut(FreshOut):
    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's own.
        return {
            **super().get_fields(),
            "from": serializers.DateField(source="period.start", help_text="The first day, Moscow time."),
            "to": serializers.DateField(source="period.end", help_text="The first day not counted."),
        }


class SummaryOut(PeriodOut):
    """Purchases and refunds of a span of days."""

    turnover = MoneyOut(source="totals.turnover_rub", help_text="Net of refunds.")
    purchases = serializers.IntegerField(source="totals.purchases")
    refunds = serializers.IntegerField(source="totals.refunds")
    buyers = serializers.IntegerField(source="totals.buyers")
    repeat_buyers = serializers.IntegerField(
        source="totals.repeat_buyers", help_text="With two purchases or more in the span."
    )
    bonus_accrued = MoneyOut(source="totals.bonus_accrued")
    bonus_redeemed = MoneyOut(source="totals.bonus_redeemed")


class RfmCellOut(Out):
    r_score = serializers.IntegerField(help_text="1 to 5; 5 bought last.")
    f_score = serializers.IntegerField(help_text="1 to 5; 5 buys most often.")
    segment = serializers.ChoiceField(choices=Segment.choices)
    members = serializers.IntegerField()
    turnover = MoneyOut(source="turnover_rub")


class RfmSegmentOut(Out):
    segment = serializers.ChoiceField(choices=Segment.choices)
    members = serializers.IntegerField()
    turnover = MoneyOut(source="turnover_rub")


class RfmCutsOut(Out):
    """A score is one more than the cuts below the value; of recency, fewer days score more."""

    recency_days = serializers.ListField(child=serializers.IntegerField())
    frequency = serializers.ListField(child=serializers.IntegerField())
    monetary = serializers.ListField(child=MoneyOut(), source="monetary_rub")


class RfmOut(FreshOut):
    """The business's own buyers of the 365 days before `snapshot_date`, by recency and frequency."""

    snapshot_date = serializers.DateField(allow_null=True, help_text="null before the first night.")
    enough_buyers = serializers.BooleanField(help_text="With fewer than 50 buyers there are no scores.")
    members = serializers.IntegerField()
    turnover = MoneyOut(source="turnover_rub")
    segments = RfmSegmentOut(many=True, help_text="Those with anybody in them.")
    cells = RfmCellOut(many=True, help_text="Those with anybody in them.")
    cuts = RfmCutsOut(allow_null=True)


class CohortMonthOut(Out):
    months_later = serializers.IntegerField(help_text="0 is the month of the first purchase.")
    members = serializers.IntegerField(help_text="Of the cohort, those who bought in that month.")
    share = serializers.FloatField(help_text="Of the cohort, 0 to 1.")
    turnover = MoneyOut(source="turnover_rub", help_text="Gross: refunds are not taken off.")


class CohortOut(Out):
    month = serializers.DateField(help_text="The first day of the month of first purchase.")
    members = serializers.IntegerField()
    later = CohortMonthOut(many=True, help_text="Months in which nobody came are left out.")


class CohortsOut(FreshOut):
    """Members by the month of their first purchase here, and who came again."""

    cohorts = CohortOut(many=True, help_text="The oldest first.")


class PartnerOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()


class ArmOut(Out):
    members = serializers.IntegerField()
    visits = serializers.IntegerField(help_text="Members who came to the target in time, each once.")
    revenue = MoneyOut(source="revenue_rub")


class ShareIntervalOut(Out):
    estimate = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class MoneyIntervalOut(Out):
    estimate = MoneyOut()
    low = MoneyOut()
    high = MoneyOut()


class UpliftOut(Out):
    """The difference of the arms with its 95 % interval."""

    visits = ShareIntervalOut(help_text="Of members: 0.05 is five more of a hundred.")
    revenue = MoneyIntervalOut(help_text="Per treated member.")


class ChainOut(Out):
    id = serializers.UUIDField(source="chain_id")
    triggers = serializers.IntegerField(help_text="Coupons issued.")
    conversions = serializers.IntegerField(help_text="Of them, redeemed at the target.")
    treated = ArmOut(source="outcome.treated")
    control = ArmOut(source="outcome.control", help_text="The hold-out: no coupon, nobody told.")
    still_open = serializers.IntegerField(
        source="outcome.still_open", help_text="Members whose time is not over: in neither arm yet."
    )
    discount = MoneyOut(source="outcome.discount_rub", help_text="Given by the coupons.")
    covered = MoneyOut(source="outcome.covered_rub", help_text="Of it, what the source pays back.")
    lacking = serializers.ChoiceField(
        source="outcome.lacking",
        choices=[each.value for each in Lacking],
        allow_null=True,
        help_text="Why nothing is compared: fewer than 100 members in an arm, or than 5 in a cell.",
    )
    uplift = UpliftOut(source="outcome.uplift", allow_null=True)
    extra_revenue = MoneyIntervalOut(
        source="outcome.extra_revenue", allow_null=True, help_text="The target's, of all treated members."
    )
    net = MoneyIntervalOut(
        source="outcome.net", allow_null=True, help_text="`extra_revenue` less the discount the target bore."
    )


class PairOut(Out):
    source = PartnerOut()
    target = PartnerOut()
    triggers = serializers.IntegerField()
    conversions = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True, help_text="Conversions per trigger, 0 to 1.")
    chains = ChainOut(many=True)


class WinWinOut(PeriodOut):
    """Whom partners' coupons bring to which, of the pairs that the business is in."""

    pairs = PairOut(many=True)
