"""Refusals of promotions. Codes are public and never change."""

from svoykrug.errors import DomainError


class CouponNotRedeemable(DomainError):
    """The coupon is unknown, another's, for another business, used, out of date, or the bill is too small."""

    code = "coupon_not_redeemable"
    status = 409


class ChainRefused(DomainError):
    """A step of a chain's life that its state or the caller does not allow."""

    code = "permission_denied"
    status = 403


class OfferRefused(DomainError):
    """A step of an offer's life that its state or its business does not allow."""

    code = "permission_denied"
    status = 403


class QuoteNotFound(DomainError):
    """The business has no such quote."""

    code = "not_found"
    status = 404


class QuoteChanged(DomainError):
    """The outcome is not the promised one any more; details["fields"] names what changed."""

    code = "quote_changed"
    status = 409


class CouponNotVoidable(DomainError):
    """The coupon was used or has run out, or nobody says why it is taken back."""

    code = "coupon_not_voidable"
    status = 409


class CampaignRefused(DomainError):
    """A step of a campaign that its state does not allow."""

    code = "permission_denied"
    status = 409


class ChainInvalid(DomainError):
    """Terms of a chain that cannot be; details["fields"] names what is wrong with each."""

    code = "invalid"
    status = 400


class ChainNotReady(DomainError):
    """A step that the chain's state does not allow now, whoever asks."""

    code = "chain_not_ready"
    status = 409
