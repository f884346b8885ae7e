"""Active chains and what is known of members' coupons and visits, for many purchases at once."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from loyalty.services.consents import ADVERTISABLE
from promos.models import ChainAssignment, Coupon
from promos.rules import trigger_refusal
from svoykrug.db.sql import Rows, read

from .purchases import PurchaseRequest

ACTIVE = """
    SELECT c.id, c.version, c.source_business_id, c.target_business_id,
        coalesce(nullif(c.title, ''), source.name || ' → ' || target.name), target.name,
        greatest(c.accepted_at, c.resumed_at), c.continues,
        c.trigger_min_amount, c.trigger_categories, c.trigger_tiers, c.trigger_weekdays,
        c.trigger_first_purchase, c.coupon_benefit, c.coupon_value, c.coupon_text, c.coupon_min_amount,
        c.coupon_valid_days, c.delay_hours, c.budget_rub, c.spent_rub, c.total_limit, c.daily_limit,
        c.issued_count, c.holdout_percent, c.exclude_target_customers_days
    FROM cross_promo_chains c
    JOIN businesses source ON source.id = c.source_business_id
    JOIN businesses target ON target.id = c.target_business_id
    WHERE c.status = 'active' AND c.source_business_id = ANY(%s::uuid[])
        AND greatest(c.accepted_at, c.resumed_at) <= %s
    ORDER BY c.accepted_at, c.id
"""
LATEST = """
    SELECT DISTINCT ON (a.user_id, a.chain_id)
        a.user_id, a.chain_id, a.coupon_id, coalesce(a.due_at, a.created_at), a.reason, c.status,
        c.valid_until
    FROM chain_assignments a LEFT JOIN coupons c ON c.id = a.coupon_id
    WHERE a.user_id = ANY(%s::uuid[]) AND a.chain_id = ANY(%s::uuid[])
    ORDER BY a.user_id, a.chain_id, a.created_at DESC
"""
VISITS = """
    SELECT user_id, business_id, created_at FROM transactions
    WHERE user_id = ANY(%s::uuid[]) AND kind = 'purchase'
        AND (business_id = ANY(%s::uuid[]) AND created_at >= %s OR business_id = ANY(%s::uuid[]))
"""
AGREED = f"""
    SELECT m.user_id, m.business_id FROM unnest(%s::uuid[], %s::uuid[]) AS m(user_id, business_id)
    WHERE {ADVERTISABLE.format(member="m.user_id", channel="'inapp'", partner="m.business_id")}
"""  # noqa: S608  our own text
LOCK = """
    SELECT id, issued_count, spent_rub FROM cross_promo_chains
    WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""
ISSUED_BY_DAY = """
    SELECT chain_id, (created_at AT TIME ZONE %s)::date, count(*) FROM chain_assignments
    WHERE chain_id = ANY(%s::uuid[]) AND arm = 'treatment' AND created_at >= %s GROUP BY 1, 2
"""
Reason = ChainAssignment.Reason
# Of these the member is asked again at the next purchase, and only a new coupon is news.
PASSING = frozenset({Reason.NO_CONSENT, Reason.TOTAL_LIMIT, Reason.DAILY_LIMIT, Reason.BUDGET})


@dataclass(slots=True)
class Chain:
    """A chain's terms, named as the columns of `cross_promo_chains`.

    runs_since  when the target agreed to these terms, or the chain was resumed since
    """

    id: UUID
    version: int
    source_business_id: UUID
    target_business_id: UUID
    title: str
    target_name: str
    runs_since: datetime
    continues: UUID | None
    trigger_min_amount: Decimal
    trigger_categories: list[str]
    trigger_tiers: list[int]
    trigger_weekdays: list[int]
    trigger_first_purchase: bool
    coupon_benefit: str
    coupon_value: Decimal
    coupon_text: str
    coupon_min_amount: Decimal
    coupon_valid_days: int
    delay_hours: int
    budget_rub: Decimal | None
    spent_rub: Decimal
    total_limit: int | None
    daily_limit: int | None
    issued_count: int
    holdout_percent: Decimal
    exclude_target_customers_days: int

    @property
    def limited(self) -> bool:
        """Whether a limit may be met by this call, so that the chain must be held while it decides."""
        if self.total_limit is not None and self.issued_count >= self.total_limit:
            return False  # Met already; purchases after it need not wait for one another.
        return self.total_limit is not None or self.daily_limit is not None


@dataclass(slots=True)
class Latest:
    """The member's latest assignment to a chain: until `until` another trigger brings nothing new.

    reason  why the member was left out; empty in both arms
    """

    coupon_id: UUID | None
    until: datetime
    reason: str = ""

    @property
    def passing(self) -> bool:
        return self.reason in PASSING


class ChainState:
    """Chains that purchases may trigger, and what their conditions need of the members.

    latest     by chain and member
    visits     moments by member and business
    agreed     members and the businesses whose advertising they consent to
    issued_on  coupons of a chain by local day, of chains with a daily limit
    """

    def __init__(self, active: Rows, requests: Collection[PurchaseRequest], *, recorded_at: datetime) -> None:
        """Take the rows of `ACTIVE` and read what the purchases need besides; members must be locked."""
        self.chains = [Chain(*row) for row in active]
        self.latest: dict[tuple[UUID, UUID], Latest] = {}
        self.visits: dict[tuple[UUID, UUID], list[datetime]] = defaultdict(list)
        self.agreed: set[tuple[UUID, UUID]] = set()
        self.issued_on: dict[tuple[UUID, date], int] = defaultdict(int)
        meant = self._meant(requests, recorded_at)
        if not meant:
            return
        members = {pk for _, pk in meant}
        self._keep_latest(read((LATEST, [list(members), [chain.id for chain in self.chains]]))[0])
        # Most members who come again still have the coupon of the last time, unless they use it now.
        times = [request.purchased_at or recorded_at for request in requests]
        redeeming = any(request.coupon_code for request in requests)
        until = datetime.max.replace(tzinfo=UTC) if redeeming else max(times)
        free = [(chain, pk) for chain, pk in meant if self._is_free(chain, pk, until)]
        if free:
            self._load_free(free, first=min(times))

    def _meant(
        self, requests: Collection[PurchaseRequest], recorded_at: datetime
    ) -> list[tuple[Chain, UUID]]:
        """Return chains and members that some purchase's bill, category and weekday bring together."""
        of_source: dict[UUID, list[Chain]] = defaultdict(list)
        for chain in self.chains:
            of_source[chain.source_business_id].append(chain)
        zone = timezone.get_default_timezone()
        meant: dict[tuple[UUID, UUID], Chain] = {}
        for request in requests:
            for chain in of_source[request.business.id]:
                if (
                    # Not a coupon in hand: nothing that this chain could go on from.
                    not (chain.continues and not request.coupon_code)
                    and not trigger_refusal(
                        chain,
                        amount=request.amount,
                        categories=request.line_categories or (request.category,),
                        tier_level=None,
                        at=request.purchased_at or recorded_at,
                        zone=zone,
                    )
                ):
                    meant[chain.id, request.member_id] = chain
        return [(chain, pk) for (_, pk), chain in meant.items()]

    def _keep_latest(self, rows: Rows) -> None:
        lives = {chain.id: timedelta(days=chain.coupon_valid_days) for chain in self.chains}
        for member_id, chain_id, coupon_id, at, reason, status, valid_until in rows:
            if coupon_id is None:
                self.latest[chain_id, member_id] = Latest(None, at + lives[chain_id], reason)
            elif status == Coupon.Status.ISSUED:
                self.latest[chain_id, member_id] = Latest(coupon_id, valid_until)

    def _is_free(self, chain: Chain, member_id: UUID, until: datetime) -> bool:
        latest = self.latest.get((chain.id, member_id))
        return latest is None or latest.until <= until or latest.passing

    def _load_free(self, free: list[tuple[Chain, UUID]], *, first: datetime) -> None:
        """Read visits and consents, and hold chains with a limit so that it is never overrun."""
        look_back = timedelta(days=max(chain.exclude_target_customers_days for chain, _ in free))
        targets = {(pk, chain.target_business_id) for chain, pk in free}
        at_sources = {chain.source_business_id for chain, _ in free if chain.trigger_first_purchase}
        limited = {chain.id: chain for chain, _ in free if chain.limited}
        daily = [chain.id for chain in limited.values() if chain.daily_limit is not None]
        zone = timezone.get_default_timezone()
        first_day = first.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        members = list({pk for _, pk in free})
        at_targets = list({business_id for _, business_id in targets})
        # A lock before what depends on it: each query sees what the holder of that lock has written.
        held, issued, visits, agreed = read(
            (LOCK, [list(limited)]),
            (ISSUED_BY_DAY, [str(zone), daily, first_day]),
            (VISITS, [members, at_targets, first - look_back, list(at_sources)]),
            (AGREED, [[pk for pk, _ in targets], [business_id for _, business_id in targets]]),
        )
        for chain_id, issued_count, spent in held:
            limited[chain_id].issued_count, limited[chain_id].spent_rub = issued_count, spent
        for chain_id, day, count in issued:
            self.issued_on[chain_id, day] = count
        for member_id, business_id, at in visits:
            self.visits[member_id, business_id].append(at)
        self.agreed.update(agreed)
