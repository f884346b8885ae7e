"""Members of sandboxes; the sandbox itself is a hidden copy of its business (loyalty.services.sandbox)."""

from django.db import models

from svoykrug.db.audit import audited
from svoykrug.db.models import Index, Record


class SandboxMember(Record):
    """A made-up member, who exists for the test keys of one business alone."""

    sandbox = models.ForeignKey("Business", models.CASCADE, db_index=False, related_name="sandbox_members")
    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="sandbox_members"
    )

    class Meta:
        db_table = "sandbox_members"
        constraints = [models.UniqueConstraint(fields=["member"], name="idx_sandbox_members_user")]
        indexes = [Index(fields=["sandbox"], name="idx_sandbox_members_sandbox")]
        triggers = audited("sandbox_id", "user_id")

    def __str__(self) -> str:
        return str(self.member)
