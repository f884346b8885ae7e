from .business import PROGRAMME_CODE, ApiKey, Business, CrmIntegration
from .journal import AuditLog, ImportJob, ImportRejection, Notification
from .ledger import Bonus, BonusEntry, BonusLot
from .member import Member, ReferralCode, Session, StaffMembership
from .tier import StatusTier
from .transaction import ParkedRefund, Transaction

__all__ = [
    "PROGRAMME_CODE",
    "ApiKey",
    "AuditLog",
    "Bonus",
    "BonusEntry",
    "BonusLot",
    "Business",
    "CrmIntegration",
    "ImportJob",
    "ImportRejection",
    "Member",
    "Notification",
    "ParkedRefund",
    "ReferralCode",
    "Session",
    "StaffMembership",
    "StatusTier",
    "Transaction",
]
