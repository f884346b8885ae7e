"""The schedule of jobs: the scheduler's own pages, dressed as ours, for programme staff only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from loyalty.staff import staff_scope


class ProgrammeOnly(ModelAdmin):
    list_before_template = "admin/meaning.html"
    meaning: Any = ""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return staff_scope(request.user).is_programme

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return staff_scope(request.user).is_programme

    def has_add_permission(self, request: HttpRequest) -> bool:
        return staff_scope(request.user).is_programme

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return staff_scope(request.user).is_programme

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return staff_scope(request.user).is_programme

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        words = {"meaning": self.meaning, "title": capfirst(self.model._meta.verbose_name_plural)}
        return super().changelist_view(request, {**words, **(extra_context or {})})


class TaskWidget(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    pass


class PeriodicTaskForm(beat.PeriodicTaskForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskWidget()


for model in (PeriodicTask, ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule):
    admin.site.unregister(model)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ProgrammeOnly, beat.PeriodicTaskAdmin):
    form = PeriodicTaskForm
    # Not the scheduler's own page: its script stands in the page, which our policy refuses.
    change_form_template = None
    meaning = _(
        "What runs by itself and when. A job that is switched off stays off until somebody turns it on."
    )


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(ProgrammeOnly, beat.ClockedScheduleAdmin):
    inlines = ()
    meaning = _("Single moments that jobs may run at.")


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ProgrammeOnly, beat.CrontabScheduleAdmin):
    inlines = ()
    meaning = _("Times of day that jobs may run at.")


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ProgrammeOnly, beat.IntervalScheduleAdmin):
    inlines = ()
    meaning = _("How often jobs may repeat.")


@admin.register(SolarSchedule)
class SolarScheduleAdmin(ProgrammeOnly, beat.SolarScheduleAdmin):
    inlines = ()
    meaning = _("Sunrises and sunsets that jobs may run at.")
