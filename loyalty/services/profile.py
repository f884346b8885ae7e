"""What members tell of themselves."""

from typing import Any

from loyalty.models import Member

OWN_FIELDS = frozenset({"first_name", "last_name", "email", "birth_date", "city", "language"})


def change_profile(member: Member, **values: Any) -> None:
    """Change the member's own data; what is not named stays."""
    assert values.keys() <= OWN_FIELDS, values.keys()
    for name, value in values.items():
        setattr(member, name, value)
    if values:
        member.save(update_fields=[*values, "updated_at"])
