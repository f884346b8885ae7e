"""Django's PostgreSQL backend, with delete rules in the database and writes that name their actor."""
