"""Why a message or a mapping is not understood; each sentence says what to mend."""

from svoykrug.errors import DomainError


class MappingRefused(DomainError):
    """The mapping itself is not valid; `field` names the part of it."""


class Unreadable(Exception):
    """The message does not hold what the mapping looks for."""
