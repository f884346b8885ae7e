from itertools import islice

import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models
from django.utils.crypto import salted_hmac


def remember_present_phones(apps, schema_editor):
    contact = apps.get_model("loyalty", "SeenContact")
    member = apps.get_model("loyalty", "Member")
    phones = member.objects.exclude(phone=None).values_list("phone", flat=True).iterator()
    while some := list(islice(phones, 5000)):
        digests = [
            salted_hmac("loyalty.seen_contacts", f"phone:{phone}", algorithm="sha256").hexdigest()
            for phone in some
        ]
        contact.objects.bulk_create([contact(digest=digest) for digest in digests])


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0011_prove_the_ledger")]
    operations = [
        migrations.CreateModel(
            name="SeenContact",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("digest", models.CharField(max_length=64)),
            ],
            options={
                "db_table": "seen_contacts",
                "constraints": [models.UniqueConstraint(fields=("digest",), name="idx_seen_contacts_digest")],
            },
        ),
        migrations.RunPython(remember_present_phones, migrations.RunPython.noop, elidable=True),
    ]
