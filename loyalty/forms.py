"""Forms of members' pages."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from loyalty.errors import InvalidPhone
from loyalty.models import Business, Notification
from loyalty.phones import normalise_phone
from loyalty.services.consents import CHANNELS, PROCESSING, Choice, advertising, handover
from loyalty.services.otp import CODE_DIGITS


class PhoneForm(forms.Form):
    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        error_messages={"required": _("Type your phone number.")},
        widget=forms.TextInput(
            attrs={
                "type": "tel",
                "autocomplete": "tel",
                "inputmode": "tel",
                "placeholder": "+7 900 000-00-00",
            }
        ),
    )

    def clean_phone(self) -> str:
        try:
            return normalise_phone(self.cleaned_data["phone"])
        except InvalidPhone as refusal:
            raise ValidationError(_("This does not look like a phone number. Check the digits.")) from refusal


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Code from the message"),
        # Room for spaces and hyphens that a messenger pastes along.
        max_length=20,
        error_messages={"required": _("Type the six digits from the message.")},
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "pattern": "[0-9 \\-]*",
                "autofocus": True,
            }
        ),
    )

    def clean_code(self) -> str:
        code = "".join(character for character in self.cleaned_data["code"] if character.isdecimal())
        if len(code) != CODE_DIGITS:
            raise ValidationError(_("The code is six digits."))
        return code


def partners() -> QuerySet[Business]:
    """Return the businesses a member may choose; the programme itself is none."""
    return Business.objects.filter(is_programme=False, is_active=True).order_by("name")


class JoinForm(forms.Form):
    """What a newcomer agrees to: three boxes, none of them ticked beforehand."""

    code = forms.CharField(max_length=20, widget=forms.HiddenInput)
    processing = forms.BooleanField(
        label=_("I agree to the processing of my data"),
        error_messages={"required": _("Without this there is nobody to give bonuses to.")},
    )
    advertising = forms.BooleanField(label=_("I agree to offers and coupons"), required=False)
    handover = forms.BooleanField(label=_("A partner may see my last name and phone"), required=False)
    partner = forms.ModelChoiceField(
        partners(),
        to_field_name="code",
        label=_("Which partner"),
        required=False,
        empty_label=_("Choose a partner"),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("handover") and not values.get("partner") and "partner" not in self.errors:
            self.add_error("partner", _("Choose the partner, or take the tick away."))
        return values

    def choice(self) -> Choice:
        """Return what was agreed to; advertising on every channel, to be narrowed later."""
        granted = {PROCESSING}
        if self.cleaned_data["advertising"]:
            granted.update(advertising(channel) for channel in CHANNELS)
        if self.cleaned_data["handover"]:
            granted.add(handover(self.cleaned_data["partner"].pk))
        return Choice(granted=frozenset(granted))


CHANNEL_WORDS = {
    Notification.Channel.INAPP: _("In the app"),
    Notification.Channel.SMS: _("SMS"),
    Notification.Channel.EMAIL: _("E-mail"),
    Notification.Channel.PUSH: _("Notifications on the phone"),
}


class AdvertisingForm(forms.Form):
    """On which channels advertising may come."""

    channels = forms.MultipleChoiceField(
        label=_("How it may come"),
        choices=[(channel.value, words) for channel, words in CHANNEL_WORDS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def choice(self, partner_id: UUID | None = None) -> Choice:
        ticked = self.cleaned_data["channels"]
        return Choice(
            granted=frozenset(advertising(c, partner_id) for c in CHANNELS if c in ticked),
            withdrawn=frozenset(advertising(c, partner_id) for c in CHANNELS if c not in ticked),
        )


class PartnerForm(AdvertisingForm):
    """What one partner may do: advertise, and see who the member is."""

    # One that left the circle too: what it was allowed can be withdrawn.
    partner = forms.ModelChoiceField(
        Business.objects.filter(is_programme=False), to_field_name="code", widget=forms.HiddenInput
    )
    handover = forms.BooleanField(label=_("May see my last name and phone"), required=False)

    def choice(self, partner_id: UUID | None = None) -> Choice:
        partner_id = self.cleaned_data["partner"].pk
        said, person = super().choice(partner_id), frozenset([handover(partner_id)])
        if self.cleaned_data["handover"]:
            return Choice(said.granted | person, said.withdrawn)
        return Choice(said.granted, said.withdrawn | person)
