"""A worker killed while it issues delayed coupons: the next one gives each member exactly one."""

import os
import subprocess
import sys
from collections import Counter
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as django_settings
from django.db import connection

from loyalty.models import Notification
from promos.models import ChainAssignment, Coupon
from promos.services.checkout import record_purchase
from promos.services.delayed import issue_delayed_coupons
from tests.factories import NOON, BusinessFactory, ChainFactory, agreeing
from tests.promos.requests import days, purchase

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
MEMBERS = 5
KILLED = -9
WORKER = """
import datetime, sys, django
django.setup()
from promos.services import delayed
delayed.AT_ONCE = 2
delayed.issue_delayed_coupons(at=datetime.datetime.fromisoformat(sys.argv[1]))
"""


def killed_worker(failpoint):
    database = urlsplit(django_settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "svoykrug.settings",
        "DATABASE_URL": urlunsplit(database),
        "REDIS_URL": django_settings.REDIS_URL,
        "CLICKHOUSE_URL": django_settings.CLICKHOUSE_URL,
        "SECRET_KEY": django_settings.SECRET_KEY,
        "FAILPOINTS": failpoint,
    }
    command = [sys.executable, "-c", WORKER, (NOON + days(1)).isoformat()]
    return subprocess.run(command, cwd=django_settings.BASE_DIR, env=environment, check=False).returncode


@pytest.mark.parametrize(("point", "given"), [("delayed-before-commit", 0), ("delayed-after-commit", 2)])
def test_killed_in_the_middle_and_run_again_gives_each_member_one(point, given):
    business, members = BusinessFactory(), [agreeing() for _ in range(MEMBERS)]
    ChainFactory(source_business=business, delay_hours=2)
    for number, member in enumerate(members):
        record_purchase(purchase(member, business, str(number)), at=NOON)

    assert killed_worker(point) == KILLED
    assert Coupon.objects.count() == given
    assert issue_delayed_coupons(at=NOON + days(1)) == MEMBERS - given

    each = Counter(member.pk for member in members)
    assert Counter(Coupon.objects.values_list("member_id", flat=True)) == each
    assert Counter(Notification.objects.values_list("member_id", flat=True)) == each
    assert ChainAssignment.objects.filter(due_at=None, coupon__isnull=False).count() == MEMBERS
