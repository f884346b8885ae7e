from .assignment import ChainAssignment, ChainCostShare
from .campaign import CampaignCoupon, CouponCampaign
from .chain import ChainVersion, CrossPromoChain
from .coupon import Benefit, Coupon
from .offer import Offer, OfferUse, OfferVersion
from .quote import Quote
from .segment import MemberSegment

__all__ = [
    "Benefit",
    "CampaignCoupon",
    "ChainAssignment",
    "ChainCostShare",
    "ChainVersion",
    "Coupon",
    "CouponCampaign",
    "CrossPromoChain",
    "MemberSegment",
    "Offer",
    "OfferUse",
    "OfferVersion",
    "Quote",
]
