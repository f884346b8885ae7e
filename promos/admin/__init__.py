"""The staff's surface of chains, coupons, offers and quotes."""

from . import campaigns, chains, coupons, offers, quotes

__all__ = ["campaigns", "chains", "coupons", "offers", "quotes"]
