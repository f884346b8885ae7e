"""Events, to read for now: partners see their own, programme staff all."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from events.models import Event
from svoykrug.admin import ReadOnlyAdmin


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    meaning = _("Meetings of the circle and who hosts them.")
    list_display = ("title", "date", "business", "place", "capacity", "status")
    list_select_related = ("business",)
    list_filter = ("status",)
    search_fields = ("title",)
    ordering = ("-date", "-id")
    fields = (
        "title", "description", "business", "organiser", "place", "date", "ends_at", "capacity", "min_tier",
        "bonus_reward", "status",
    )  # fmt: skip
