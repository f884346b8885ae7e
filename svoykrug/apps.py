from django.apps import AppConfig


class SvoyKrugConfig(AppConfig):
    """The project package: settings, embedded servers, commands that belong to no one app."""

    name = "svoykrug"
    verbose_name = "Свой Круг"

    def ready(self) -> None:
        from . import checks  # noqa: F401  registers the system checks
