"""The second factor of staff."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, EncryptedField


class SecondFactor(ChangingRecord):
    """The secret that a person's authenticator shares with us, and the codes for the day it is lost.

    secret          encrypted (svoykrug/encryption.py): it must be read again to compare codes
    last_step       of the last code let in: none is good twice
    recovery_codes  keyed hashes; a used one is taken out

    It counts once `users.second_factor_at` is set; before, somebody is about to enrol.
    """

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="second_factors"
    )
    secret = EncryptedField()
    last_step = models.BigIntegerField(default=0)
    recovery_codes = ArrayField(models.CharField(max_length=64), default=list, blank=True)

    class Meta:
        db_table = "second_factors"
        constraints = [models.UniqueConstraint(fields=["member"], name="idx_second_factors_user")]
        triggers = audited("user_id", unrecorded=("last_step",))

    def __str__(self) -> str:
        return str(self.member)
