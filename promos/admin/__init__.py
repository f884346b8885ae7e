"""The staff's surface of chains, coupons and quotes."""

from . import chains, coupons, quotes

__all__ = ["chains", "coupons", "quotes"]
