"""The segment of each member in the latest snapshot, where the checkout can ask for it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from svoykrug.db.models import Record


class MemberSegment(Record):
    """A copy for offers; the snapshot in ClickHouse is the truth, and fills it anew every night."""

    member = models.ForeignKey(
        "loyalty.Member", models.CASCADE, db_column="user_id", db_index=False, related_name="segments"
    )
    segment = models.CharField(_("segment"), max_length=20)
    snapshot_date = models.DateField(_("snapshot"))  # that put them there

    class Meta:
        db_table = "member_segments"
        verbose_name = _("segment of a member")
        verbose_name_plural = _("segments of members")
        constraints = [models.UniqueConstraint(fields=["member"], name="idx_member_segments_user")]

    def __str__(self) -> str:
        return self.segment
