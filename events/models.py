"""Community events and who comes."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import (
    ChangingRecord,
    Index,
    MoneyField,
    SyncXidField,
    count_row_versions,
    stamp_sync_xid,
)


class Event(ChangingRecord):
    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PENDING = "pending", _("awaits approval")
        PUBLISHED = "published", _("published")
        CANCELLED = "cancelled", _("cancelled")
        FINISHED = "finished", _("finished")

    organiser = models.ForeignKey(
        "loyalty.Member", models.PROTECT, db_index=False, related_name="events", verbose_name=_("organiser")
    )
    business = models.ForeignKey(
        "loyalty.Business",
        models.SET_NULL,
        db_index=False,
        null=True,
        blank=True,
        related_name="events",
        verbose_name=_("host"),
    )
    title = models.CharField(_("title"), max_length=120)
    description = models.TextField(_("description"), blank=True)
    place = models.CharField(_("place"), max_length=200, blank=True)
    date = models.DateTimeField(_("starts"))
    ends_at = models.DateTimeField(_("ends"), null=True, blank=True)
    capacity = models.PositiveIntegerField(_("places"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.DRAFT)
    min_tier = models.PositiveSmallIntegerField(_("from tier"), null=True, blank=True)
    bonus_reward = MoneyField(_("bonuses for coming"), default=0)
    cover = models.CharField(_("cover"), max_length=200, blank=True)

    class Meta:
        db_table = "events"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.CheckConstraint(
                name="events_end_after_start", condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("date"))
            ),
            models.CheckConstraint(name="events_reward_not_negative", condition=Q(bonus_reward__gte=0)),
        ]
        indexes = [
            Index(fields=["date"], condition=Q(status="published"), name="idx_events_date"),
            Index(fields=["status"], name="idx_events_status"),
            Index(fields=["organiser"], name="idx_events_organiser"),
            Index(fields=["business"], condition=Q(business__isnull=False), name="idx_events_business"),
        ]
        triggers = audited(
            "organiser_id",
            "business_id",
            "title",
            "place",
            "date",
            "ends_at",
            "capacity",
            "status",
            "min_tier",
            "bonus_reward",
            "cover",
        )

    def __str__(self) -> str:
        return self.title


class EventRegistration(ChangingRecord):
    """A member's place at an event: one row per pair, whose status moves.

    `row_version` counts the states of the row; ClickHouse keeps the highest.
    """

    class Status(models.TextChoices):
        REGISTERED = "registered", _("registered")
        WAITING = "waiting", _("on the waiting list")
        OFFERED = "offered", _("a place is offered")
        CANCELLED = "cancelled", _("cancelled")
        ATTENDED = "attended", _("attended")
        NO_SHOW = "no_show", _("did not come")

    member = models.ForeignKey(
        "loyalty.Member",
        models.CASCADE,
        db_column="user_id",
        db_index=False,
        related_name="event_registrations",
    )
    event = models.ForeignKey("Event", models.CASCADE, db_index=False, related_name="registrations")
    party_size = models.PositiveSmallIntegerField(_("people"), default=1)
    status = models.CharField(_("status"), max_length=10, choices=Status)
    offer_expires_at = models.DateTimeField(null=True, blank=True)
    checked_in_at = models.DateTimeField(null=True, blank=True)
    row_version = models.BigIntegerField(default=1, editable=False)
    sync_xid = SyncXidField()

    class Meta:
        db_table = "event_registrations"
        verbose_name = _("registration")
        verbose_name_plural = _("registrations")
        constraints = [
            models.UniqueConstraint(fields=["member", "event"], name="idx_event_registrations_user"),
            models.CheckConstraint(
                name="event_registrations_party_not_empty", condition=Q(party_size__gte=1)
            ),
        ]
        indexes = [
            Index(fields=["event", "status", "created_at"], name="idx_event_registrations_event"),
            Index(fields=["sync_xid"], name="idx_event_registrations_sync_xid"),
        ]
        triggers = [
            stamp_sync_xid(),
            count_row_versions(),
            *audited("user_id", "event_id", "party_size", "status", "offer_expires_at", "checked_in_at"),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} {self.status}"
