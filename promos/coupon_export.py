"""Coupons as a file for spreadsheets: their members by first name and masked phone only."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext

from promos.coupon_wording import benefit_words, last_moment, source_words, state_words
from promos.models import Coupon
from promos.selectors import with_story
from svoykrug.spreadsheets import csv_answer

ROWS_AT_ONCE = 2000


def export_coupons(coupons: QuerySet[Coupon], *, file_name: str, at: datetime) -> StreamingHttpResponse:
    """Answer with the coupons as CSV, row by row, however many."""
    return csv_answer(_rows(coupons, at), file_name=file_name)


def _rows(coupons: QuerySet[Coupon], at: datetime) -> Iterator[list[str]]:
    yield [capfirst(name) for name in _names()]
    rows = with_story(coupons).select_related("member").order_by("-pk")
    benefits: dict[Any, str] = {}  # Of a hundred thousand coupons most give the same.
    for coupon in rows.iterator(chunk_size=ROWS_AT_ONCE):
        given = (coupon.benefit, coupon.benefit_value, coupon.benefit_text)
        benefit = benefits.get(given) or benefits.setdefault(given, benefit_words(coupon)[2])
        yield _row(coupon, benefit, at)


def _names() -> list[str]:
    return [
        gettext("code"), gettext("status"), gettext("member"), gettext("phone"), gettext("redeemed at"),
        gettext("benefit"), gettext("least bill, ₽"), gettext("where from"), gettext("issued on"),
        gettext("valid from"), gettext("valid until"), gettext("used on"), gettext("why voided"),
    ]  # fmt: skip


def _row(coupon: Coupon, benefit: str, at: datetime) -> list[str]:
    used_at = getattr(coupon, "used_at", None)
    return [
        str(coupon),
        state_words(coupon, at=at),
        coupon.member.first_name,
        coupon.member.masked_phone,
        coupon.business.name,
        benefit,
        f"{coupon.min_amount:.2f}",
        source_words(coupon),
        _moment(coupon.created_at),
        _moment(coupon.valid_from),
        _moment(last_moment(coupon.valid_until)),
        _moment(used_at) if used_at else "",
        coupon.void_reason,
    ]


def _moment(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"
