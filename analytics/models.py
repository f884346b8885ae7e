"""The pipeline's own record: what was carried to ClickHouse and compared, each RFM snapshot's cuts, and
the models that forecasts stand on."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from loyalty.models import Business
from svoykrug.db.models import Index, Record


class SyncWindow(Record):
    """Transaction ids `[from_xid, to_xid)` of one fact table, written down before they are pulled."""

    class Status(models.TextChoices):
        PLANNED = "planned", _("planned")
        DONE = "done", _("done")

    table = models.CharField(_("table"), max_length=40)
    from_xid = models.BigIntegerField()
    to_xid = models.BigIntegerField()
    system_identifier = models.CharField(
        max_length=20, help_text=_("Tells a restored PostgreSQL cluster from the old one.")
    )
    status = models.CharField(_("status"), max_length=7, choices=Status, default=Status.PLANNED)
    rows = models.BigIntegerField(_("rows"), null=True, blank=True)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        db_table = "sync_windows"
        verbose_name = _("sync window")
        verbose_name_plural = _("sync windows")
        constraints = [
            models.CheckConstraint(name="sync_windows_not_empty", condition=Q(to_xid__gt=F("from_xid"))),
            # One window at a time per table: two beats at once cannot both plan.
            models.UniqueConstraint(
                fields=["table"], condition=Q(status="planned"), name="idx_sync_windows_planned"
            ),
        ]
        indexes = [Index("table", F("id").desc(), name="idx_sync_windows_table")]

    def __str__(self) -> str:
        return f"{self.table} [{self.from_xid}, {self.to_xid})"


class Reconciliation(Record):
    """A month of a fact table compared on both sides; `created_at` is when."""

    class Outcome(models.TextChoices):
        EQUAL = "equal", _("equal")
        DIFFERS = "differs", _("differs")
        HEALED = "healed", _("healed")

    table = models.CharField(_("table"), max_length=40)
    month = models.DateField(_("month"), help_text=_("Its first day; months of these tables are UTC."))
    postgres_rows = models.BigIntegerField(_("rows in PostgreSQL"))
    clickhouse_rows = models.BigIntegerField(_("rows in ClickHouse"))
    postgres_amount = models.BigIntegerField(
        _("sum in PostgreSQL"), help_text=_("Kopecks; of event_facts, guests.")
    )
    clickhouse_amount = models.BigIntegerField(_("sum in ClickHouse"))
    outcome = models.CharField(_("outcome"), max_length=7, choices=Outcome)

    class Meta:
        db_table = "reconciliations"
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        indexes = [Index("table", "month", F("created_at").desc(), name="idx_reconciliations_month")]

    def __str__(self) -> str:
        return f"{self.table} {self.month:%Y-%m}"


class RfmRun(Record):
    """A snapshot of RFM and the four cut-points of each metric that explain every score."""

    snapshot_date = models.DateField(_("snapshot of"))
    calculated_at = models.DateTimeField(_("calculated"))
    members = models.PositiveIntegerField(_("members"))
    recency_cuts = ArrayField(models.IntegerField(), size=4, default=list)
    frequency_cuts = ArrayField(models.IntegerField(), size=4, default=list)
    monetary_cuts = ArrayField(models.DecimalField(max_digits=16, decimal_places=2), size=4, default=list)
    as_of = models.DateTimeField(_("data as of"), null=True, blank=True)

    class Meta:
        db_table = "rfm_runs"
        verbose_name = _("RFM snapshot")
        verbose_name_plural = _("RFM snapshots")
        indexes = [Index(F("snapshot_date").desc(), F("calculated_at").desc(), name="idx_rfm_runs_date")]

    def __str__(self) -> str:
        return str(self.snapshot_date)


class ForecastRun(Record):
    """What the customers of a business, or of the whole programme, are foretold by.

    Its `calculated_at` names the rows of `customer_forecasts` that are shown. With too few who came back
    there are no parameters and no rows.
    """

    business = models.ForeignKey(
        Business, models.CASCADE, null=True, blank=True, db_index=False, related_name="+",
        verbose_name=_("business"), help_text=_("Nothing here is the programme as a whole."),
    )  # fmt: skip
    until = models.DateField(_("purchases before"))
    calculated_at = models.DateTimeField(_("calculated"))
    horizon_days = models.PositiveSmallIntegerField(_("days foretold"))
    customers = models.PositiveIntegerField(_("customers"))
    repeat_buyers = models.PositiveIntegerField(_("of them came back"))
    timing = ArrayField(
        models.FloatField(), size=4, default=list, blank=True, help_text=_("r, α in weeks, a, b of BG/NBD.")
    )
    spending = ArrayField(
        models.FloatField(), size=3, default=list, blank=True,
        help_text=_("p, q, γ in roubles of Gamma-Gamma."),
    )  # fmt: skip
    log_likelihood = models.FloatField(_("log-likelihood"), null=True, blank=True)
    as_of = models.DateTimeField(_("data as of"), null=True, blank=True)

    class Meta:
        db_table = "forecast_runs"
        verbose_name = _("forecast")
        verbose_name_plural = _("forecasts")
        constraints = [
            models.UniqueConstraint(
                fields=["business"], nulls_distinct=False, name="idx_forecast_runs_business"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.business or _('The whole circle')}, {self.until}"

    @property
    def is_ready(self) -> bool:
        return bool(self.timing)
