"""Why the pipeline stopped, in one sentence that says what to do."""

from svoykrug.errors import DomainError


class ClickHouseUnavailable(DomainError):
    """ClickHouse does not answer; PostgreSQL goes on alone and nothing is lost."""

    code = "analytics_unavailable"
    status = 503


class ClickHouseFull(ClickHouseUnavailable):
    """ClickHouse has no room to write; it still answers reads, and nothing is lost."""


class SyncRefused(DomainError):
    """Carrying on from the stored mark would leave a hole in the facts."""

    code = "sync_refused"
    status = 409


class MigrationChanged(DomainError):
    """A migration that was already applied no longer reads as it did."""

    code = "clickhouse_migration_changed"
    status = 409


class SwapRefused(DomainError):
    """A rebuilt month does not hold what PostgreSQL says it must."""

    code = "swap_refused"
    status = 409


class Unscoped(Exception):
    """A fault of the code: an owner's businesses were given to a query that answers for everybody's."""
