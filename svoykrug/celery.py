"""The Celery application: `celery -A svoykrug worker`, `celery -A svoykrug beat`."""

import os
from contextlib import ExitStack
from typing import Any

from celery import Celery, Task, signals

from svoykrug.db.actor import Actor, ActorKind, acting_as
from svoykrug.metrics import jobs  # noqa: F401  its signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")
app = Celery("svoykrug")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.task_prerun.connect
def act_as_task(task_id: str, task: Task, **_signal: Any) -> None:
    """Write in the name of the task until it ends; tasks called within a task each end their own."""
    task.request.acting = ExitStack()
    task.request.acting.enter_context(acting_as(Actor(ActorKind.TASK, request_id=task_id[:64])))


@signals.task_postrun.connect
def stop_acting(task: Task, **_signal: Any) -> None:
    task.request.acting.close()
