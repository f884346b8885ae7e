"""What stands in ClickHouse: the client, the frozen migrations, the queries."""
