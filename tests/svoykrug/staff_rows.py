"""Two businesses with a row in every table of the admin; the second's text is a canary."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from events.models import Event
from loyalty.models import (
    ApiKey,
    AuditLog,
    BonusEntry,
    BonusHold,
    BonusLot,
    Business,
    CrmIntegration,
    CrmMessage,
    ImportJob,
    ImportRejection,
    Member,
    ParkedRefund,
    Referral,
    StaffMembership,
    StatusTier,
    Transaction,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from loyalty.services.webhooks.signing import new_secret
from promos.models import CampaignCoupon, Coupon, CouponCampaign, CrossPromoChain, Offer, Quote
from svoykrug.encryption import encrypt
from tests.factories import (
    NOON,
    BusinessFactory,
    CampaignFactory,
    ChainFactory,
    CouponFactory,
    MemberFactory,
    StaffFactory,
    give_bonuses,
)

D = Decimal
CANARY = "kanareika"


@dataclass(frozen=True)
class Shop:
    """A business, its people and one row of it per table of the admin."""

    business: Business
    owner: Member
    cashier: Member
    rows: dict[type, Any]


def open_shop(tag: str, *, code: str) -> Shop:
    """Fill every table for a business; `tag` stands in every text of it but the names partners share."""
    business = BusinessFactory(
        code=code, legal_name=f"{tag} legal", inn="7700000000", address=f"{tag} street"
    )
    owner = StaffFactory(business=business, member__first_name=f"{tag} owner").member
    cashier = StaffFactory(business=business, role="cashier", member__first_name=f"{tag} cashier").member
    customer = MemberFactory(
        first_name=f"{tag} name",
        last_name=f"{tag} surname",
        email=f"{tag}@example.org",
        card_number=f"{tag}-card-{code}",
        birth_date="1980-01-01",
        city=f"{tag} city",
    )
    purchase = Transaction.objects.create(
        member=customer, business=business, amount=D("500.00"), external_id=f"{tag}-receipt-{code}",
        category=f"{tag} category", source="api", created_at=NOON, bonus_accrued=D("15.00"),
        lines=[{"name": f"{tag} goods", "amount": "500.00"}],
    )  # fmt: skip
    lot = give_bonuses(customer, business, D("15.00"))
    entry = lot.entries.get()
    third = BusinessFactory()
    chain = ChainFactory(
        source_business=business, target_business=third, title=f"{tag} chain", status="draft",
        accepted_by=None, accepted_at=None, trigger_categories=[f"{tag} category"], coupon_text=f"{tag} gift",
    )  # fmt: skip
    coupon = CouponFactory(
        member=customer, business=business, chain=chain, benefit="gift", benefit_text=f"{tag} gift"
    )
    campaign = CampaignFactory(business=business, title=f"{tag} campaign")
    given = CouponFactory(member=customer, business=business)
    CampaignCoupon.objects.create(campaign=campaign, member=customer, coupon=given)
    job = ImportJob.objects.create(
        business=business, file_name=f"{tag}.csv", error=f"{tag} error", status="done"
    )
    ImportRejection.objects.create(job=job, line=2, code="amount", reason=f"{tag} reason", row={"sum": tag})
    crm = CrmIntegration.objects.create(
        business=business, provider="own", mapping={"external_id": f"{tag}_id"}, last_error=f"{tag} trouble"
    )
    message = CrmMessage.objects.create(
        integration=crm, digest=code, body=f'{{"{tag}": "body"}}'.encode(), status="failed",
        error=f"{tag} error", reference=f"{tag}-crm-receipt",
    )  # fmt: skip
    endpoint = WebhookEndpoint.objects.create(
        business=business, url=f"https://{tag}.example.org/hook", description=f"{tag} books",
        events=["purchase.created"], secret=encrypt(new_secret()),
    )  # fmt: skip
    told = WebhookEvent.objects.create(
        business=business, type="purchase.created", object_id=purchase.pk, data={"receipt": f"{tag} receipt"}
    )
    rows: dict[type, Any] = {
        WebhookEndpoint: endpoint,
        WebhookDelivery: WebhookDelivery.objects.create(
            event=told, endpoint=endpoint, object_id=told.object_id, next_attempt_at=NOON,
            status="failed", answer=f"{tag} answer", answer_status=500,
        ),
        CrmIntegration: crm,
        CrmMessage: message,
        Business: business,
        StaffMembership: StaffMembership.objects.get(member=cashier),
        Member: customer,
        Transaction: purchase,
        BonusLot: lot,
        BonusEntry: entry,
        CrossPromoChain: chain,
        Coupon: coupon,
        CouponCampaign: campaign,
        Offer: Offer.objects.create(
            business=business, title=f"{tag} offer", conditions={"categories": [f"{tag} category"]},
            effect={"kind": "multiplier", "value": "2"},
        ),
        ImportJob: job,
        ApiKey: ApiKey.objects.create(
            business=business, label=f"{tag} till", prefix=f"sk_{tag}"[:16], key_hash=f"{code}", scopes=[]
        ),
        ParkedRefund: ParkedRefund.objects.create(
            business=business, member=customer, external_id=f"{tag}-parked", refund_of=f"{tag}-none",
            amount=D("10.00"), purchased_at=NOON, category=f"{tag} category", request_hash=code, source="api",
        ),
        Quote: Quote.objects.create(
            business=business, member=customer, coupon=coupon, content={}, holds=True, expires_at=NOON,
            promised={
                "amount": "500.00", "coupon_discount": "0.00", "bonus_redeemed": "5.00",
                "bonus_accrued": "15.00",
            },
            hold=BonusHold.objects.create(
                business=business, member=customer, amount=D("5.00"), expires_at=NOON
            ),
        ),
        Event: Event.objects.create(
            organiser=customer, business=business, title=f"{tag} event", description=f"{tag} text",
            place=f"{tag} place", date=NOON,
        ),
        # Nobody but programme staff reads these.
        AuditLog: AuditLog.objects.create(
            table_name="users", row_id=customer.pk, action="update", changes={"city": [None, f"{tag} city"]}
        ),
        StatusTier: StatusTier.objects.get(level=1),
        Referral: Referral.objects.create(inviter=owner, newcomer=customer, code=f"{code}{tag}"[:16].upper()),
    }  # fmt: skip
    return Shop(business=business, owner=owner, cashier=cashier, rows=rows)
