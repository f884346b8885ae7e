"""Django's PostgreSQL backend, with delete rules that also stand in the database."""
