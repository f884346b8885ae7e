"""The staff's surface of chains, coupons, CRMs, offers, quotes and keys."""

from . import campaigns, chains, coupons, crm, crm_messages, keys, offers, quotes

__all__ = ["campaigns", "chains", "coupons", "crm", "crm_messages", "keys", "offers", "quotes"]
