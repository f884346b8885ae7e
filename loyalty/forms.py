"""Forms of members' pages."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from loyalty.errors import InvalidPhone
from loyalty.phones import normalise_phone
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
