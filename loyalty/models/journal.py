"""Messages to members, the audit trail, and the record of file imports."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from svoykrug.db.actor import PEOPLE, ActorKind
from svoykrug.db.audit import ExactNumbers, audited, by_database
from svoykrug.db.models import ChangingRecord, Index, Record, append_only
from svoykrug.db.triggers import no_truncate


class Notification(ChangingRecord):
    """A message on its way to a member."""

    class Channel(models.TextChoices):
        INAPP = "inapp", _("in the app")
        SMS = "sms", "SMS"
        EMAIL = "email", _("e-mail")
        PUSH = "push", _("push")

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        SUPPRESSED = "suppressed", _("suppressed")
        READ = "read", _("read")

    class Purpose(models.TextChoices):
        SERVICE = "service", _("service")
        ADVERTISING = "advertising", _("advertising")

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="notifications"
    )
    channel = models.CharField(max_length=5, choices=Channel)
    purpose = models.CharField(max_length=11, choices=Purpose)
    partner = models.ForeignKey(
        "Business", models.SET_NULL, db_index=False, null=True, blank=True, related_name="notifications"
    )
    template = models.CharField(max_length=60)
    payload = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    dedupe_key = models.CharField(max_length=120)
    send_after = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)

    class Meta:
        db_table = "notifications"
        constraints = [models.UniqueConstraint(fields=["dedupe_key"], name="idx_notifications_dedupe_key")]
        indexes = [
            Index(fields=["send_after"], condition=Q(status="queued"), name="idx_notifications_queue"),
            Index("member", F("created_at").desc(), name="idx_notifications_user"),
            Index(fields=["partner"], condition=Q(partner__isnull=False), name="idx_notifications_partner"),
        ]
        triggers = audited(
            "user_id", "channel", "purpose", "partner_id", "template", "status", "send_after", "attempts"
        )

    def __str__(self) -> str:
        return self.template


class AuditLog(Record):
    """Who changed what: written by triggers (svoykrug/db/audit.py), append-only.

    changes  column → [old, new]; `{}` where the row that was inserted says it itself
    """

    class Action(models.TextChoices):
        INSERT = "insert", _("created")
        UPDATE = "update", _("changed")
        DELETE = "delete", _("removed")

    # The triggers name four columns; the rest the database knows by itself.
    id = models.UUIDField(primary_key=True, db_default=by_database("uuid_v7()"), editable=False)
    created_at = models.DateTimeField(db_default=by_database("clock_timestamp()"), editable=False)
    table_name = models.CharField(_("table"), max_length=63)
    row_id = models.UUIDField(_("row"))
    action = models.CharField(_("what"), max_length=6, choices=Action)
    actor_id = models.UUIDField(
        _("who"),
        null=True,
        blank=True,
        db_default=by_database("NULLIF(current_setting('svoykrug.actor_id', true), '')::uuid"),
    )
    actor_kind = models.CharField(
        _("acting as"),
        max_length=10,
        choices=ActorKind,
        db_default=by_database(
            "COALESCE(NULLIF(current_setting('svoykrug.actor_kind', true), ''), 'system')"
        ),
    )
    request_id = models.CharField(
        _("request"),
        max_length=64,
        blank=True,
        db_default=by_database("COALESCE(current_setting('svoykrug.request_id', true), '')"),
    )
    changes = models.JSONField(_("changes"), default=dict, decoder=ExactNumbers)

    class Meta:
        db_table = "audit_logs"
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [
            Index("table_name", "row_id", F("created_at").desc(), name="idx_audit_logs_row"),
            Index(
                "actor_id",
                F("created_at").desc(),
                condition=Q(actor_kind__in=PEOPLE),
                name="idx_audit_logs_actor",
            ),
        ]
        triggers = [append_only(), no_truncate()]

    def __str__(self) -> str:
        return f"{self.action} {self.table_name}"


class ImportJob(ChangingRecord):
    """One run of a file through the import."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    business = models.ForeignKey(
        "Business",
        models.CASCADE,
        db_index=False,
        null=True,
        blank=True,
        related_name="import_jobs",
        verbose_name=_("business"),
    )
    started_by = models.ForeignKey(
        "Member",
        models.SET_NULL,
        db_column="started_by",
        db_index=False,
        null=True,
        blank=True,
        related_name="import_jobs",
    )
    file_name = models.CharField(_("file"), max_length=255)
    profile = models.CharField(_("profile"), max_length=40, blank=True)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.RUNNING)
    dry_run = models.BooleanField(_("trial run"), default=False)
    read = models.PositiveIntegerField(_("rows read"), default=0)
    created = models.PositiveIntegerField(_("created"), default=0)
    duplicates = models.PositiveIntegerField(_("known already"), default=0)
    rejected = models.PositiveIntegerField(_("not loaded"), default=0)
    refunds = models.PositiveIntegerField(_("refunds"), default=0)
    parked = models.PositiveIntegerField(_("parked refunds"), default=0)
    amount = models.DecimalField(_("amount, ₽"), max_digits=16, decimal_places=2, default=0)
    error = models.TextField(_("error"), blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        db_table = "import_jobs"
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        indexes = [
            Index(fields=["business"], name="idx_import_jobs_business"),
            Index(fields=["started_by"], name="idx_import_jobs_started_by"),
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportRejection(Record):
    """A row of a file that was not loaded, and why."""

    job = models.ForeignKey("ImportJob", models.CASCADE, db_index=False, related_name="rejections")
    line = models.PositiveIntegerField(_("line"))
    column = models.CharField(_("column"), max_length=60, blank=True)
    code = models.CharField(_("code"), max_length=40)
    reason = models.CharField(_("reason"), max_length=500)
    row = models.JSONField(_("row"), default=dict)

    class Meta:
        db_table = "import_rejections"
        indexes = [Index(fields=["job", "line"], name="idx_import_rejections_job")]

    def __str__(self) -> str:
        return f"{self.line}: {self.reason}"
