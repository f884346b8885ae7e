"""The packaged sample of real purchases, whole or narrowed to some members."""

import csv
import gzip
import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from django.utils import timezone

from loyalty.models import ImportJob

DATA = Path(__file__).parent / "data"
SAMPLE = DATA / "purchases-uci-sample.csv.gz"
BUSINESSES = DATA / "businesses.csv"
# The sample's pounds become roubles that feel like bills of a Russian shop.
ROUBLES_PER_POUND = 100
# Of the card's hash, modulo 100: a thousand members and some 47,000 rows.
SMALL_SHARE_PERCENT = 19
ATTRIBUTION = (
    "Purchases: «Online Retail» and «Online Retail II» by Daqing Chen, UCI Machine Learning Repository, "
    "CC BY 4.0; changed by us, see promos/demo/data/ATTRIBUTION.md."
)


SMALL_NAME = "purchases-uci-small.csv"


def is_demo() -> bool:
    """Whether this database holds the demo: its pages say then that members' reactions are simulated."""
    return ImportJob.objects.filter(file_name__in=[SAMPLE.name, SMALL_NAME]).exists()


def is_in_small(card: str) -> bool:
    """Whether all purchases of that card belong to the small demo; the same cards every time."""
    return int(hashlib.sha256(card.encode()).hexdigest(), 16) // 100 % 100 < SMALL_SHARE_PERCENT


def write_small(path: Path) -> None:
    """Write the small demo's rows to `path`."""
    with (
        gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as source,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        target.write(next(source))
        target.writelines(line for line in source if is_in_small(line.split(",", 2)[1]))


@dataclass(frozen=True, slots=True)
class Overview:
    """What a file of the sample holds: the programme's day of its latest purchase, and its cards."""

    last_day: date
    cards: set[str]


def overview(path: Path) -> Overview:
    """Look through a file; its rows are sorted by time."""
    cards, last = set(), None
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as stream
    ):
        for last in csv.DictReader(stream):
            cards.add(last["member_ref"])
    assert last, "the packaged sample has rows"
    return Overview(timezone.localdate(datetime.fromisoformat(last["purchased_at"])), cards)


def packaged_businesses() -> list[dict[str, str]]:
    """Return code, name, category, address of the twenty partners."""
    with BUSINESSES.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
