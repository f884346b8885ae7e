"""The four tiers and the programme itself, which every installation needs (specification, Tiers)."""

from decimal import Decimal

from django.db import migrations
from uuid_utils.compat import uuid7

TIERS = [
    # level, name, name in English, from ₽, accrual %, payable %, overdraft
    (1, "Знакомый", "Acquaintance", "0", "3", "20", "0"),
    (2, "Приятель", "Pal", "30000", "5", "30", "300"),
    (3, "Друг", "Friend", "100000", "7", "40", "1000"),
    (4, "Свой", "Insider", "300000", "10", "50", "3000"),
]


def create(apps, schema_editor):
    tier = apps.get_model("loyalty", "StatusTier")
    for level, name, name_en, threshold, accrual, cap, overdraft in TIERS:
        tier.objects.create(
            id=uuid7(),
            level=level,
            name=name,
            name_en=name_en,
            threshold_rub=Decimal(threshold),
            accrual_percent=Decimal(accrual),
            redemption_cap_percent=Decimal(cap),
            overdraft_limit=Decimal(overdraft),
        )
    apps.get_model("loyalty", "Business").objects.create(
        id=uuid7(), code="KRUG", name="Свой Круг", is_programme=True
    )


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0002_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
