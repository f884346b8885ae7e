"""The segments PostgreSQL keeps, so that ClickHouse can tell which of them a snapshot changes."""

from django.db import migrations

CREATE = "CREATE VIEW export.member_segments AS SELECT user_id, segment FROM member_segments"


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0011_leave_sandboxes_out"),
        ("promos", "0007_offer_engine"),
    ]
    operations = [migrations.RunSQL(CREATE, "DROP VIEW export.member_segments")]
