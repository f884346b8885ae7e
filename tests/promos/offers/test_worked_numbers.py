"""The worked numbers of docs/offers.md, computed row by row."""

import re
from datetime import datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from promos.billing import Bill, CouponTerms
from promos.offers.decision import Offer, decide
from promos.offers.facts import Facts
from promos.offers.rules import parse

NOON = datetime(2026, 6, 15, 12, tzinfo=ZoneInfo("Europe/Moscow"))
TEXT = (Path(settings.BASE_DIR) / "docs" / "offers.md").read_text()
TABLE = TEXT.split("## Worked numbers")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if re.match(r"\| [\d.]+ \|", line)
]
KINDS = {
    r"×([\d.]+)": "multiplier", r"\+([\d.]+)%": "percent", r"\+([\d.]+)": "fixed",
    r"−([\d.]+)%": "discount_percent", r"−([\d.]+)₽": "discount_fixed",
}  # fmt: skip


def effect(text):
    """Return kind and value of `×2`, `+5%`, `+50`, `−10%` or `−100₽`."""
    found = {kind: match[1] for pattern, kind in KINDS.items() if (match := re.fullmatch(pattern, text))}
    [(kind, value)] = found.items()
    return kind, value


def offer(number, text):
    kind, value = effect(text.removeprefix("!"))
    return Offer(
        UUID(int=number + 1), 1, text, parse({}, {"kind": kind, "value": value}),
        exclusive=text.startswith("!"), priority=0, created_at=NOON + timedelta(days=number),
    )  # fmt: skip


def test_the_page_has_its_table():
    assert len(ROWS) >= 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]} {row[4]}")
def test_the_row_comes_to_what_the_page_says(row):
    amount, percent, coupon, spent, offers, discount, earn_base, bonuses = row
    terms = None
    if coupon:
        kind, value = effect(coupon)
        terms = CouponTerms(kind.removeprefix("discount_"), D(value))
    bill = Bill(
        D(amount), accrual_percent=D(percent), cap_percent=D(100), redeem=D(spent), coupon=terms,
        accrual_cap_percent=D(50),
    )  # fmt: skip

    some = [offer(number, text) for number, text in enumerate(offers.split())]
    settled = decide(bill, Facts(NOON, bill.amount, "", tier=1), some).settled

    assert (settled.coupon_discount, settled.earn_base, settled.bonus_accrued) == (
        D(discount), D(earn_base), D(bonuses),
    )  # fmt: skip
