"""A worker killed while it issues a campaign's coupons: the next one gives each member exactly one."""

import os
import subprocess
import sys
from collections import Counter
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as django_settings
from django.db import connection

from loyalty.models import Member, Notification
from promos.models import Coupon, CouponCampaign
from promos.services.campaigns import issue, start
from tests.factories import NOON, CampaignFactory, MemberFactory, consent

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
MEMBERS = 25
KILLED = -9

WORKER = """
import sys, uuid, django
django.setup()
from django.utils import timezone
from promos.services import campaigns
campaigns.MEMBERS_AT_ONCE = 10
campaigns.issue(uuid.UUID(sys.argv[1]), at=timezone.now())
"""


def killed_worker(campaign, failpoint):
    database = urlsplit(django_settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "svoykrug.settings",
        "DATABASE_URL": urlunsplit(database),
        "REDIS_URL": django_settings.REDIS_URL,
        "CLICKHOUSE_URL": django_settings.CLICKHOUSE_URL,
        "SECRET_KEY": django_settings.SECRET_KEY,
        "FAILPOINTS": failpoint,
    }
    command = [sys.executable, "-c", WORKER, str(campaign.pk)]
    return subprocess.run(command, cwd=django_settings.BASE_DIR, env=environment, check=False).returncode


@pytest.mark.parametrize(("point", "given"), [("campaign-before-commit", 0), ("campaign-after-commit", 10)])
def test_a_killed_issue_goes_on_and_gives_each_member_one_coupon(point, given):
    members = [member.pk for member in MemberFactory.create_batch(MEMBERS)]
    [consent(member) for member in Member.objects.filter(pk__in=members)]
    campaign = CampaignFactory(reaches_everybody=True)
    start(campaign.pk, at=NOON)

    assert killed_worker(campaign, point) == KILLED
    assert Coupon.objects.count() == given

    issue(campaign.pk, at=NOON)

    assert Counter(Coupon.objects.values_list("member_id", flat=True)) == Counter(members)
    assert Counter(Notification.objects.values_list("member_id", flat=True)) == Counter(members)
    campaign.refresh_from_db()
    assert (campaign.status, campaign.matched, campaign.issued) == (
        CouponCampaign.Status.ISSUED, MEMBERS, MEMBERS,
    )  # fmt: skip
