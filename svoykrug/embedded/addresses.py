"""Where the embedded servers of this checkout listen, as `manage.py services start` left it."""

import json
from pathlib import Path

NAMES = ("DATABASE_URL", "CLICKHOUSE_URL", "REDIS_URL")


def read_addresses(local: Path) -> dict[str, str]:
    """Return the addresses in `.local/services.json`, or nothing when no server was ever started."""
    try:
        return dict(json.loads((local / "services.json").read_text()))
    except FileNotFoundError:
        return {}
