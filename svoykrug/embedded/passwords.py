"""Generated passwords of the embedded servers."""

import secrets

from svoykrug.embedded.folder import LocalFolder


def remembered_password(local: LocalFolder, server: str) -> str:
    """Return the server's password, generated at its first start; it needs no quoting in an address."""
    if password := local.recall(server).get("password"):
        return str(password)
    password = secrets.token_hex(24)
    local.remember(server, password=password)
    return password
