"""Where settings come from: the environment, or files that it names."""

from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping


class EnvironmentOrFile(FileAwareMapping):
    """A variable, or what stands in the file that `NAME_FILE` names: how secrets are mounted."""

    def __getitem__(self, key: str) -> str:
        try:
            # Editors and `echo` end a file with a newline that is no part of the secret.
            return str(super().__getitem__(key)).rstrip("\r\n")
        except OSError as error:
            raise ImproperlyConfigured(f"{key}_FILE cannot be read: {error}.") from error
