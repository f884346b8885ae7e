"""Coupons of a call: redeemed once, and freed again when their purchase is refunded whole."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.rules import end_of_day
from promos.errors import CouponNotRedeemable
from promos.models import Coupon, Quote
from promos.rules import coupon_faults, normalise_code
from svoykrug.db.sql import Write

from .purchases import PurchaseRequest

CHANGED = {"id": "uuid", "status": "text", "valid_until": "timestamptz", "at": "timestamptz"}
CHANGE = """
    UPDATE coupons SET status = r.status, valid_until = r.valid_until, updated_at = r.at
    FROM {rows} WHERE coupons.id = r.id
"""
CONVERT = """
    UPDATE chain_assignments SET converted_id = r.transaction_id
    FROM {rows} WHERE chain_assignments.coupon_id = r.id
"""


class Coupons:
    """The coupons that bills of a call name, and those of the purchases it refunds."""

    def __init__(self) -> None:
        self.by_code: dict[str, Coupon] = {}
        self._by_id: dict[UUID, Coupon] = {}
        self._kept: dict[UUID, list[tuple[UUID, datetime]]] = {}
        self._changed: dict[UUID, Coupon] = {}
        self._converted: dict[UUID, UUID | None] = {}

    def load(self, *, codes: Collection[str | None], of_purchases: Collection[UUID], at: datetime) -> None:
        """Lock coupons by code as typed, and by id; the members are locked already."""
        found = {normalise_code(code) for code in codes if code} - {None}
        if not found and not of_purchases:
            return
        for coupon in self._locked(found, of_purchases):
            self.by_code[coupon.code] = self._by_id[coupon.pk] = coupon
        kept = Quote.objects.live(at).filter(coupon__in=list(self._by_id), holds=True)
        for coupon_id, quote_id, until in kept.values_list("coupon_id", "pk", "expires_at"):
            self._kept.setdefault(coupon_id, []).append((quote_id, until))

    def _locked(self, codes: Collection[str | None], ids: Collection[UUID]) -> list[Coupon]:
        coupons = Coupon.objects.select_for_update().select_related(None)
        return list(coupons.filter(Q(code__in=codes) | Q(pk__in=ids)).order_by("pk"))

    def of_bill(self, request: PurchaseRequest, *, at: datetime) -> Coupon | None:
        """Return the coupon that the bill names. Raises CouponNotRedeemable, saying why not."""
        if not request.coupon_code:
            return None
        coupon = self.by_code.get(normalise_code(request.coupon_code) or "")
        if coupon is None:
            raise CouponNotRedeemable(_("There is no such coupon. Check the code."), field="coupon")
        for _code, reason in coupon_faults(
            coupon, member_id=request.member_id, business_id=request.business.pk, amount=request.amount, at=at
        ):
            raise CouponNotRedeemable(reason, field="coupon")
        for quote_id, until in self._kept.get(coupon.pk, []):
            if quote_id != request.quote_id:
                raise CouponNotRedeemable(
                    _("The coupon is set aside for another bill until %(time)s.")
                    % {"time": f"{timezone.localtime(until):%H:%M}"},
                    field="coupon",
                )
        return coupon

    def redeem(self, coupon: Coupon, *, transaction_id: UUID) -> None:
        coupon.status = Coupon.Status.REDEEMED
        self._kept.pop(coupon.pk, None)
        self._by_id[coupon.pk] = self._changed[coupon.pk] = coupon
        self._converted[coupon.pk] = transaction_id

    def free(self, coupon_id: UUID, *, at: datetime) -> None:
        """Make a redeemed coupon valid again, some days more if it ran out (rules.md, Refund, point 3)."""
        coupon = self._by_id[coupon_id]
        coupon.status = Coupon.Status.ISSUED
        if coupon.valid_until <= at:
            last_day = timezone.localdate(at) + timedelta(days=settings.FREED_COUPON_DAYS)
            coupon.valid_until = end_of_day(last_day, timezone.get_default_timezone())
        self._changed[coupon_id] = coupon
        self._converted[coupon_id] = None

    def void(self, coupon_id: UUID) -> bool:
        """Take back a coupon whose purchase was refunded whole; says no if it was redeemed."""
        coupon = self._by_id[coupon_id]
        if coupon.status == Coupon.Status.REDEEMED:
            return False
        coupon.status = Coupon.Status.VOIDED
        self._changed[coupon_id] = coupon
        return True

    def write(self, write: Write, *, at: datetime) -> None:
        rows = [
            {"id": coupon.pk, "status": coupon.status, "valid_until": coupon.valid_until, "at": at}
            for coupon in self._changed.values()
        ]
        write.add(CHANGE, CHANGED, rows)
        converted = [{"id": pk, "transaction_id": key} for pk, key in self._converted.items()]
        write.add(CONVERT, {"id": "uuid", "transaction_id": "uuid"}, converted)
