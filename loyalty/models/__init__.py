from .business import PROGRAMME_CODE, ApiKey, Business
from .consent import Consent
from .crm import CrmIntegration, CrmMessage
from .idempotency import KeptAnswer
from .journal import AuditLog, ImportJob, ImportRejection, Notification
from .ledger import Bonus, BonusEntry, BonusHold, BonusLot
from .member import SANDBOX_PHONES, Member, ReferralCode, Session, StaffMembership
from .referral import Referral, SeenContact
from .sandbox import SandboxMember
from .second_factor import SecondFactor
from .tier import StatusTier, TierChange
from .transaction import ParkedRefund, Transaction
from .webhook import WebhookDelivery, WebhookEndpoint, WebhookEvent

__all__ = [
    "PROGRAMME_CODE",
    "SANDBOX_PHONES",
    "ApiKey",
    "AuditLog",
    "Bonus",
    "BonusEntry",
    "BonusHold",
    "BonusLot",
    "Business",
    "Consent",
    "CrmIntegration",
    "CrmMessage",
    "ImportJob",
    "ImportRejection",
    "KeptAnswer",
    "Member",
    "Notification",
    "ParkedRefund",
    "Referral",
    "ReferralCode",
    "SandboxMember",
    "SecondFactor",
    "SeenContact",
    "Session",
    "StaffMembership",
    "StatusTier",
    "TierChange",
    "Transaction",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
