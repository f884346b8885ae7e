"""Give a business a key for its till or CRM."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from loyalty.models import ApiKey, Business
from loyalty.selectors import members_of
from loyalty.services.api_keys import DEFAULT_SCOPES, create_api_key
from promos.services.sandbox import create_test_key


class Command(BaseCommand):
    help = "Create an API key of a business and print it alone on the last line. It is shown only once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--business", required=True, metavar="CODE", help="code of the business")
        parser.add_argument(
            "--scope",
            action="append",
            choices=ApiKey.Scope.values,
            help=f"what the key may do; may be repeated (default: {', '.join(DEFAULT_SCOPES)})",
        )
        parser.add_argument("--label", default="", help="what the key is for, e.g. 'till 2'")

        parser.add_argument(
            "--test",
            action="store_true",
            help="a key for tests: it acts on a sandbox with members of its own, which are printed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        business = Business.objects.filter(code=options["business"]).first()
        if business is None:
            raise CommandError(f"There is no business with code {options['business']!r}.")
        scopes, label = options["scope"] or DEFAULT_SCOPES, options["label"][:80]
        if options["test"]:
            key, secret = create_test_key(business=business, scopes=scopes, label=label, at=timezone.now())
        else:
            key, secret = create_api_key(business=business, scopes=scopes, label=label)
        self.stdout.write(f"Key {key.prefix}… of {business.name} ({business.code})")
        self.stdout.write(f"Scopes: {', '.join(key.scopes)}")
        if key.sandbox:
            self.stdout.write("It acts on a sandbox and reaches nothing real. Members to try it with:")
            for member in members_of(key.sandbox).select_related("status_tier").order_by("phone"):
                tier = member.status_tier.name_en
                self.stdout.write(f"  {member.phone}  card {member.card_number}  {member.first_name}, {tier}")
        self.stdout.write("Keep it now: it is not stored and cannot be shown again.")
        self.stdout.write(secret)
