from .campaign import CampaignCoupon, CouponCampaign
from .chain import ChainAssignment, CrossPromoChain
from .coupon import Benefit, Coupon
from .offer import Offer
from .quote import Quote

__all__ = [
    "Benefit",
    "CampaignCoupon",
    "ChainAssignment",
    "Coupon",
    "CouponCampaign",
    "CrossPromoChain",
    "Offer",
    "Quote",
]
