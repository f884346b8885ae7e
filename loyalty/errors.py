"""Refusals of the ledger and of purchases. Codes are public and never change."""

from svoykrug.errors import DomainError


class InvalidPurchase(DomainError):
    """A value of the request is outside what the programme records; `field` names it."""


class MemberNotFound(DomainError):
    code = "member_not_found"
    status = 404


class ExternalIdReused(DomainError):
    """The receipt number is already stored with other content; details["fields"] names what differs."""

    code = "external_id_reused"
    status = 422


class RefundUnlinked(DomainError):
    """The refund names no purchase."""

    code = "refund_unlinked"


class RefundExceedsPurchase(DomainError):
    code = "refund_exceeds_purchase"
    status = 409


class InsufficientBonus(DomainError):
    """The member has fewer bonuses to spend than asked for."""

    code = "insufficient_bonus"
    status = 409


class RedemptionLimitExceeded(DomainError):
    """More of the bill than tier and business let bonuses pay."""

    code = "redemption_limit_exceeded"
    status = 409


class AccrualStopped(DomainError):
    """The business does not give bonuses now."""

    code = "accrual_stopped"
    status = 409


class InvalidPhone(DomainError):
    """What was given as a phone number is none."""


class CodeRefused(DomainError):
    """The sign-in code is wrong, used up or too old."""

    code = "not_authenticated"
    status = 401


class PresenceCodeInvalid(DomainError):
    """The member code is wrong, spent or too old, or the till is locked for details["retry_after"] s."""

    code = "presence_code_invalid"
    status = 403


class PresenceUnavailable(DomainError):
    """The store of presence codes is away."""

    code = "unavailable"
    status = 503


class SessionRefused(DomainError):
    """The refresh token is unknown, spent, revoked or too old."""

    code = "not_authenticated"
    status = 401


class CodesUnavailable(DomainError):
    """The store of sign-in codes is away."""

    code = "unavailable"
    status = 503


class CodeNotDelivered(DomainError):
    """The sign-in code could not be sent."""

    code = "unavailable"
    status = 503


class ConsentRequired(DomainError):
    """Nobody joins without consent to processing. The code was right and is not spent."""

    code = "consent_required"


class ConsentNotWithdrawn(DomainError):
    """Without consent to processing there is no membership: withdrawing it is leaving."""

    code = "consent_needed_by_membership"
    status = 409


class TooManyRequests(DomainError):
    code = "throttled"
    status = 429

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.retry_after = retry_after


class WebhookRefused(DomainError):
    """The webhook cannot be set up like this."""


class InProgress(DomainError):
    """A twin with the same Idempotency-Key is being answered."""

    code = "in_progress"
    status = 409


class IdempotencyKeyReused(DomainError):
    """The Idempotency-Key came before with other content; details["fields"] names what differs."""

    code = "idempotency_key_reused"
    status = 422


class KeptAnswerUnreadable(DomainError):
    """The key that encrypted the first answer is not there any more."""

    code = "unavailable"
    status = 503


class LedgerWrong(DomainError):
    """The nightly audit found rows that break a rule of the ledger."""

    code = "ledger_wrong"
    status = 500
