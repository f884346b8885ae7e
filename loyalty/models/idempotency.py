"""First answers to calls that carried an Idempotency-Key."""

from django.db import models

from svoykrug.db.models import EncryptedField, Index, Record


class KeptAnswer(Record):
    """What a call was answered, kept for a day so that its repeat is answered alike.

    caller  who called: a key, a member, or an address of somebody unknown
    call    method and path
    fields  dotted path of each value of the body → keyed digest, to name what a repeat changed
    answer  its body, encrypted: it may hold tokens and names
    """

    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    call = models.CharField(max_length=300)
    fields = models.JSONField()
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    answer = EncryptedField()

    class Meta:
        db_table = "idempotency_keys"
        constraints = [
            models.UniqueConstraint(fields=["caller", "key"], name="idx_idempotency_keys_caller_key")
        ]
        indexes = [Index(fields=["created_at"], name="idx_idempotency_keys_created")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"
