"""The admin's first step: phone and password, not for ever."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.forms import AuthenticationForm

from loyalty.services.staff_sign_in import count_password_try
from svoykrug.errors import DomainError
from svoykrug.middleware import client_address


class PasswordForm(AuthenticationForm):
    """Counts a try before the password is looked at, so that parallel guesses cannot outrun the count."""

    def clean(self) -> dict[str, Any]:
        try:
            count_password_try(
                self.cleaned_data.get("username", ""), ip=client_address(self.request), at=timezone.now()
            )
        except DomainError as refusal:
            raise ValidationError(refusal.detail) from refusal
        return super().clean()
