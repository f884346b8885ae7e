"""What tests of members' pages do to have something on them, and how they read them."""

import re
from datetime import datetime, timedelta
from decimal import Decimal as D
from html import unescape

from django.test import Client
from django.urls import reverse

from loyalty.models import Business, Member, Transaction
from loyalty.services.expiry import expire_bonuses
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from tests.factories import give_bonuses

PHONE = "+79161234217"


def buy(member: Member, business: Business, amount: str, *, at: datetime, receipt: str | None = None):
    request = PurchaseRequest(
        business=business, external_id=receipt, member_id=member.pk, amount=D(amount), purchased_at=at
    )
    return record_purchase(request, at=at)[0]


def words(response) -> str:
    """Return what a reader of the page reads, spaces made plain."""
    html = response.content.decode()
    main = re.search(r"<main.*?</main>", html, re.DOTALL)
    text = re.sub(
        r"<svg.*?</svg>|<[^>]+>", " ", main[0] if main else response.content.decode(), flags=re.DOTALL
    )
    return re.sub(r"\s+", " ", unescape(text)).strip()


def read(client: Client, path: str, language: str) -> str:
    return words(client.get(path, headers={"accept-language": language}))


def page_of(purchase: Transaction) -> str:
    return reverse("member-purchase", args=[purchase.pk])


def lapse(member: Member, business: Business, amount: str, *, at: datetime) -> None:
    give_bonuses(member, business, amount, at=at - timedelta(days=365), expires_at=at)
    expire_bonuses(at=at)
