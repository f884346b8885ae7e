"""Whoever steals a dump of the database holds nothing that opens anything."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from loyalty.models import KeptAnswer
from loyalty.services.api_keys import create_api_key
from loyalty.services.presence import issue_code
from loyalty.services.second_factor import enrol, secret_to_enrol
from loyalty.services.webhooks import endpoints
from loyalty.totp import code_at, in_base32, step_of
from promos.crm import integrations
from svoykrug.hashed_sessions import kept_as
from tests.api import JOINING, Caller
from tests.factories import MemberFactory, StaffFactory
from tests.promos.crm.messages import connect

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE = "+79161234217"
PASSWORD = "a long enough word"


def dump() -> list[str]:
    """Return every row of every table as text, as pg_dump would show it, and decoded where it is bytes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return rows


def values(row: str) -> Iterator[str]:
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from walk(inner)
        else:
            yield str(value)

    return walk(json.loads(row))


def test_a_dump_holds_no_usable_token_key_or_code(business, sent_code, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    anyone = Caller()
    anyone.post("auth/otp", {"phone": PHONE})
    asked = {"phone": PHONE, "code": sent_code(PHONE)} | JOINING
    signed_in = anyone.post("auth/token", asked, **{"Idempotency-Key": "sign-in"}).json()
    fresh = anyone.post(
        "auth/token/refresh", {"refresh": signed_in["refresh"]}, **{"Idempotency-Key": "refresh"}
    ).json()
    key = create_api_key(business=business)[1]
    shown = issue_code(MemberFactory().pk, at=timezone.now()).code
    staff = StaffFactory().member
    staff.set_password(PASSWORD)
    staff.save()
    secret = secret_to_enrol(staff)
    recovery = enrol(staff, code_at(secret, step_of(timezone.now())), at=timezone.now())
    web = Client()
    web.post("/admin/login/", {"username": staff.phone, "password": PASSWORD})
    cookie = web.cookies["sessionid"].value
    # The old ones are kept for a day beside the new ones, and the answer that told one is kept as well.
    hook = Caller(f"Api-Key {key}").post(
        "webhook-endpoints", {"url": "http://127.0.0.1:9/hook", "events": ["purchase.created"]},
        **{"Idempotency-Key": "hook"},
    ).json()  # fmt: skip
    crm, crm_secret = connect(business)
    signing = [word.removeprefix("whsec_") for word in (
        hook["secret"], endpoints.change_secret(hook["id"], at=timezone.now()),
        crm_secret, integrations.change_secret(crm.pk, at=timezone.now()),
    )]  # fmt: skip
    assert KeptAnswer.objects.count() == 3

    rows = dump()
    text = "\n".join(rows)
    # What is in the dump can be found in it: else the search below proves nothing.
    assert kept_as(cookie) in text
    assert PHONE in text
    assert hook["url"] in text

    long = [signed_in["access"], signed_in["refresh"], fresh["access"], fresh["refresh"], key, cookie,
            PASSWORD, in_base32(secret), *recovery, *signing]  # fmt: skip
    raw = [secret, *map(b64decode, signing)]
    as_bytes = [word.hex() for word in (*raw, *(word.encode() for word in long))]
    assert [word for word in [*long, *as_bytes] if word in text] == []
    # Six digits stand in many a number by chance: no value is one of them, or has one as a word.
    short = {asked["code"], shown}
    found = [value for row in rows for value in values(row) if short & {value, *re.findall(r"\w+", value)}]
    assert [value for value in found if not re.search(r"\d:\d\d", value)] == []


def test_a_session_is_found_by_its_cookie_and_not_by_what_the_table_says():
    staff = StaffFactory().member
    web, thief = Client(), Client()
    web.force_login(staff)
    thief.cookies["sessionid"] = kept_as(web.cookies["sessionid"].value)

    assert web.get("/admin/").status_code == 200
    assert thief.get("/admin/").status_code == 302

    web.post("/admin/logout/")
    again = Client()
    again.cookies["sessionid"] = web.cookies["sessionid"].value
    assert again.get("/admin/").status_code == 302
