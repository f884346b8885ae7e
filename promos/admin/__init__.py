"""The staff's surface of chains, coupons and quotes."""

from . import campaigns, chains, coupons, quotes

__all__ = ["campaigns", "chains", "coupons", "quotes"]
