"""Real PostgreSQL, ClickHouse and Redis servers run out of Python wheels under `.local/`."""
