"""The staff's surface of chains, coupons, offers, quotes and keys."""

from . import campaigns, chains, coupons, keys, offers, quotes

__all__ = ["campaigns", "chains", "coupons", "keys", "offers", "quotes"]
