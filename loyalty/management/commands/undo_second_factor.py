"""Take the second step off a person of staff who lost the phone and the recovery codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from loyalty.errors import InvalidPhone
from loyalty.models import Member
from loyalty.phones import normalise_phone
from loyalty.services.second_factor import undo


class Command(BaseCommand):
    help = (
        "Take the second step of the admin's sign-in off a person and end their sessions. Make sure who "
        "asks: afterwards the password alone opens the admin until they enrol anew. May be run twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("phone", help="the person's phone, as they sign in with it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            phone = normalise_phone(options["phone"])
        except InvalidPhone as refusal:
            raise CommandError(refusal.detail) from None
        member = Member.objects.filter(phone=phone, is_staff=True).first()
        if member is None:
            raise CommandError(f"Nobody of staff has the phone {phone}.")
        self.stdout.write("The second step is off." if undo(member) else "There was no second step.")
