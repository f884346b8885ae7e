from .chain import ChainAssignment, CrossPromoChain
from .coupon import Benefit, Coupon
from .offer import Offer
from .quote import Quote

__all__ = ["Benefit", "ChainAssignment", "Coupon", "CrossPromoChain", "Offer", "Quote"]
