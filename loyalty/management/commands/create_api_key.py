"""Give a business a key for its till or CRM."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from loyalty.models import ApiKey, Business
from loyalty.services.api_keys import DEFAULT_SCOPES, create_api_key


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

    def handle(self, *args: Any, **options: Any) -> None:
        business = Business.objects.filter(code=options["business"]).first()
        if business is None:
            raise CommandError(f"There is no business with code {options['business']!r}.")
        key, secret = create_api_key(
            business=business, scopes=options["scope"] or DEFAULT_SCOPES, label=options["label"][:80]
        )
        self.stdout.write(f"Key {key.prefix}… of {business.name} ({business.code})")
        self.stdout.write(f"Scopes: {', '.join(key.scopes)}")
        self.stdout.write("Keep it now: it is not stored and cannot be shown again.")
        self.stdout.write(secret)
