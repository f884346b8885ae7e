"""The form by which an owner builds an offer: fields in, the JSON of a rule out."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminSingleTimeWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from loyalty.models import Business
from promos.models import Offer
from promos.offers.rules import BENEFITS, COUPON, KINDS, TIERS, Rule, RuleFaults, parse, to_json
from promos.segments import Segment
from promos.selectors import hosted_events
from promos.services.offers import COUNTS, Terms, check_terms, known_categories

KIND_NAMES = {
    "multiplier": _("times the bonuses of the tier"),
    "percent": _("per cent of the bill more in bonuses"),
    "fixed": _("a set number of bonuses"),
    "discount_percent": _("discount in per cent"),
    "discount_fixed": _("discount in roubles"),
    "coupon": _("a coupon for the next visit"),
}
BENEFIT_NAMES = {
    "percent": _("discount in per cent"),
    "fixed": _("discount in roubles"),
    "multiplier": _("times the bonuses of the tier"),
    "gift": _("a gift"),
}
CONDITION_FIELDS = (
    "starts_on", "ends_on", "weekdays", "hours_from", "hours_until", "min_amount", "categories", "tiers",
    "segments", "first_purchase", "birthday_days", "attended_event",
)  # fmt: skip
EFFECT_FIELDS = (
    "kind", "value", "coupon_benefit", "coupon_value", "coupon_text", "coupon_min_amount",
    "coupon_valid_days",
)  # fmt: skip
# Where the fault of a path of the JSON is shown; a part of a list belongs to the list.
FIELD_OF_PATH = {
    "conditions.from": "starts_on",
    "conditions.until": "ends_on",
    "conditions.hours.from": "hours_from",
    "conditions.hours.until": "hours_until",
    "effect.benefit": "coupon_benefit",
    "effect.text": "coupon_text",
    "effect.min_amount": "coupon_min_amount",
    "effect.valid_days": "coupon_valid_days",
}


class Categories(forms.MultipleChoiceField):
    """What the form offers is of one business; whether a choice is sold there the rule itself says."""

    def valid_value(self, value: Any) -> bool:
        return True


def several(label: Any, choices: Any, **more: Any) -> forms.TypedMultipleChoiceField:
    return forms.TypedMultipleChoiceField(
        label=label,
        choices=choices,
        coerce=more.pop("coerce", int),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        **more,
    )


def number(label: Any, **more: Any) -> forms.DecimalField:
    # Its bounds are the rule's to name: they differ by kind.
    return forms.DecimalField(
        label=label,
        max_digits=14,
        decimal_places=2,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        **more,
    )


class OfferForm(forms.ModelForm):
    """`terms` and `rule` are there after a clean without errors; faults stand at their fields."""

    rule: Rule | None = None
    events: Mapping[str, str] = {}

    starts_on = forms.DateField(
        label=_("First day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("Empty: at once."),
    )
    ends_on = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("The offer holds until its end. Empty: until you end it."),
    )
    weekdays = several(
        _("Weekdays"),
        [(number + 1, name) for number, name in WEEKDAYS.items()],
        help_text=_("None marked: any day."),
    )
    hours_from = forms.TimeField(label=_("From the hour"), required=False, widget=UnfoldAdminSingleTimeWidget)
    hours_until = forms.TimeField(
        label=_("Till the hour"),
        required=False,
        widget=UnfoldAdminSingleTimeWidget,
        help_text=_("Programme time; hours that cross midnight are fine, as 22:00 to 02:00."),
    )
    min_amount = number(_("Bill, roubles or more"))
    categories = Categories(
        label=_("Categories"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_(
            "What your tills have really named. None marked: any. "
            "Of a receipt with lines only the lines of these count."
        ),
    )
    tiers = several(
        _("Tiers"), [(level, str(level)) for level in TIERS], help_text=_("None marked: any tier.")
    )
    segments = several(
        _("Segments"),
        Segment.choices,
        coerce=str,
        help_text=_("By last night's picture of customers. None marked: everybody."),
    )
    first_purchase = forms.BooleanField(
        label=_("Only for the first purchase here"), required=False, widget=UnfoldBooleanSwitchWidget
    )
    birthday_days = forms.IntegerField(
        label=_("Days before and after the birthday"),
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("0 is the day itself. Empty: any day."),
    )
    attended_event = forms.ChoiceField(
        label=_("Came to the event"), required=False, widget=UnfoldAdminSelectWidget
    )
    kind = forms.ChoiceField(
        label=_("What it gives"),
        choices=[(kind, KIND_NAMES[kind]) for kind in KINDS],
        widget=UnfoldAdminSelectWidget,
    )
    value = number(_("How much"), help_text=_("2 times, 5 per cent, 50 bonuses, 100 roubles: as chosen."))
    coupon_benefit = forms.ChoiceField(
        label=_("The coupon gives"),
        required=False,
        choices=[(benefit, BENEFIT_NAMES[benefit]) for benefit in BENEFITS],
        widget=UnfoldAdminSelectWidget,
    )
    coupon_value = number(_("How much, by the coupon"))
    coupon_text = forms.CharField(
        label=_("The gift"), required=False, max_length=120, widget=UnfoldAdminTextInputWidget
    )
    coupon_min_amount = number(_("Coupon: bill, roubles or more"))
    coupon_valid_days = forms.IntegerField(
        label=_("Coupon: good for, days"), required=False, initial=14, widget=UnfoldAdminIntegerFieldWidget
    )

    class Meta:
        model = Offer
        fields = (
            "business", "title", "stacking", "priority", "per_member_limit", "per_member_day_limit",
            "total_uses_limit", "total_bonus_limit",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.terms: Terms | None = None
        if self.instance.effect:
            self.initial = rule_initial(parse(self.instance.conditions, self.instance.effect)) | self.initial
        self.business = self._business()
        if self.business:
            self._offer_what_is_there(self.business)

    def _business(self) -> Business | None:
        """Return the business that the offer is of, as far as it is known; None before it is chosen."""
        if (field := self.fields.get("business")) is None:
            return self.instance.business
        given = self.data.get("business") if self.is_bound else self.get_initial_for_field(field, "business")
        try:
            chosen: Business | None = field.clean(given)
        except forms.ValidationError:
            return None
        return chosen

    def _offer_what_is_there(self, business: Business) -> None:
        sold = sorted(known_categories(business.pk), key=str.casefold)
        # What the till no longer names stays in sight, to be unmarked.
        named = [name for name in self.initial.get("categories", []) if name not in sold]
        self.fields["categories"].choices = [(name, name) for name in [*sold, *named]]
        self.events = hosted_events(business.pk)
        self.fields["attended_event"].choices = [("", gettext("does not matter")), *self.events.items()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        conditions, effect = rule_json(cleaned)
        limits = {name: cleaned.get(name) for name in (*COUNTS, "total_bonus_limit", "stacking")}
        priority = cleaned.get("priority") or 0
        terms = Terms(cleaned.get("title") or "", conditions, effect, priority=priority, **limits)
        if self.business is None:
            return cleaned
        try:
            self.rule = check_terms(terms, business=self.business)
        except RuleFaults as faults:
            for name, message in faults_at_fields(faults, coupon=cleaned.get("kind") == COUPON):
                # A field that could not be read has said so; the rule only misses it.
                if name not in self.errors:
                    self.add_error(name, message)
        self.terms = terms
        return cleaned


def faults_at_fields(faults: RuleFaults, *, coupon: bool) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for each fault of a rule."""
    for path, message in faults.faults:
        if path == "effect.value":
            yield "coupon_value" if coupon else "value", message
            continue
        name = (
            FIELD_OF_PATH.get(path) or path.removeprefix("conditions.").removeprefix("effect.").split(".")[0]
        )
        yield (name if name in OfferForm.base_fields else "kind"), message


def rule_json(cleaned: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return conditions and effect as the fields say them; what is empty is left out."""
    since, until = cleaned.get("hours_from"), cleaned.get("hours_until")
    last = cleaned.get("ends_on")
    conditions = {
        "from": _midnight(cleaned.get("starts_on")),
        "until": _midnight(last and last + timedelta(days=1)),
        "weekdays": cleaned.get("weekdays"),
        "hours": {"from": _clock(since), "until": _clock(until)} if since or until else None,
        "min_amount": _text(cleaned.get("min_amount")),
        "categories": cleaned.get("categories"),
        "tiers": cleaned.get("tiers"),
        "segments": cleaned.get("segments"),
        "first_purchase": cleaned.get("first_purchase") or None,
        "birthday_days": cleaned.get("birthday_days"),
        "attended_event": cleaned.get("attended_event"),
    }
    kept = {name: value for name, value in conditions.items() if value not in (None, [], "")}
    if cleaned.get("kind") != COUPON:
        return kept, {"kind": cleaned.get("kind"), "value": _text(cleaned.get("value"))}
    gift = cleaned.get("coupon_benefit") == "gift"
    return kept, {
        "kind": COUPON,
        "benefit": cleaned.get("coupon_benefit"),
        "value": None if gift else _text(cleaned.get("coupon_value")),
        "text": cleaned.get("coupon_text") if gift else "",
        "min_amount": _text(cleaned.get("coupon_min_amount")),
        "valid_days": cleaned.get("coupon_valid_days"),
    }


def rule_initial(rule: Rule) -> dict[str, Any]:
    """Return the values of the fields that say this rule."""
    asked, coupon = rule.conditions, rule.effect.coupon
    conditions, _effect = to_json(rule)
    initial: dict[str, Any] = {
        "starts_on": asked.starts and timezone.localdate(asked.starts),
        "ends_on": asked.ends and timezone.localdate(asked.ends - timedelta(microseconds=1)),
        "hours_from": asked.hours and asked.hours.since,
        "hours_until": asked.hours and asked.hours.until,
        "attended_event": conditions.get("attended_event", ""),
        "kind": rule.effect.kind,
        "value": None if coupon else rule.effect.value,
    }
    for name in (
        "weekdays",
        "min_amount",
        "categories",
        "tiers",
        "segments",
        "first_purchase",
        "birthday_days",
    ):
        initial[name] = conditions.get(name)
    if coupon:
        initial |= {
            "coupon_benefit": coupon.benefit,
            "coupon_value": coupon.value or None,
            "coupon_text": coupon.text,
            "coupon_min_amount": coupon.min_amount or None,
            "coupon_valid_days": coupon.valid_days,
        }
    return {name: value for name, value in initial.items() if value is not None}


def _midnight(day: date | None) -> str | None:
    return day and datetime.combine(day, time(), timezone.get_default_timezone()).isoformat()


def _clock(moment: time | None) -> str | None:
    return None if moment is None else f"{moment:%H:%M}"


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
