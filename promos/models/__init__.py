from .chain import ChainAssignment, CrossPromoChain
from .coupon import Benefit, Coupon
from .offer import Offer

__all__ = ["Benefit", "ChainAssignment", "Coupon", "CrossPromoChain", "Offer"]
