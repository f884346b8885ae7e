"""Mappings that are ready for vendors whose public documentation we could read; each names it.

They are a beginning: a shop that keeps the phone in another field changes that path. What we could
not verify is not here; docs/integration.md says so.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Vendor:
    """documentation  where the shape stands; polling  how to ask: it does not sign as we would have it"""

    title: Any
    documentation: str
    mapping: dict[str, Any]
    polling: dict[str, Any]
    base_url: str = ""


OWN = "own"
# The simplest message that says everything; for whoever writes the sender.
OWN_MAPPING = {
    "kind": {"path": "type", "values": {"sale": "purchase", "return": "refund", "cancel": "cancel"}},
    "external_id": "id",
    "refund_of": "sale_id",
    "member": {"phone": "client.phone", "card": "client.card"},
    "amount": "sum",
    "purchased_at": "closed_at",
    "category": {"path": "category", "default": ""},
}

VENDORS: dict[str, Vendor] = {
    OWN: Vendor(_("Another system, in its own words"), "", OWN_MAPPING, {}),
    # A deal that is won is a purchase. Deals hold no phone, so it is copied into a field of the deal.
    "amocrm": Vendor(
        "amoCRM",
        "https://www.amocrm.ru/developers/content/crm_platform/leads-api",
        {
            "when": [{"path": "status_id", "in": ["142"]}],
            "external_id": {"path": "id", "prefix": "amo-"},
            "member": {"phone": "custom_fields_values[field_name=Телефон].values[0].value"},
            "amount": "price",
            "purchased_at": {"path": "closed_at", "format": "unix"},
        },
        {
            "path": "/api/v4/leads",
            "query": {
                "filter[updated_at][from]": "{mark}",
                "order[updated_at]": "asc",
                "page": "{page}",
                "limit": "{size}",
            },
            "headers": {"Authorization": "Bearer {token}"},
            "items": "_embedded.leads",
            "size": 250,
            "mark": "updated_at",
            "start": "1780261200",
            "every_minutes": 5,
        },
        "https://example.amocrm.ru",
    ),
    "bitrix24": Vendor(
        "Битрикс24",
        "https://apidocs.bitrix24.com/api-reference/crm/deals/crm-deal-list.html",
        {
            "when": [{"path": "STAGE_SEMANTIC_ID", "in": ["S"]}],
            "external_id": {"path": "ID", "prefix": "b24-"},
            "member": {"phone": "UF_CRM_PHONE"},
            "amount": "OPPORTUNITY",
            # When it came to the stage at which it stands; a later change of anything else leaves that alone.
            "purchased_at": "MOVED_TIME",
        },
        {
            "path": "/rest/{token}/crm.deal.list.json",
            "query": {
                "filter[>=DATE_MODIFY]": "{mark}",
                "order[DATE_MODIFY]": "ASC",
                "select[0]": "*",
                "select[1]": "UF_*",
                "start": "{offset}",
            },
            "items": "result",
            "size": 50,
            "mark": "DATE_MODIFY",
            "start": "2026-06-01T00:00:00+03:00",
            "every_minutes": 5,
        },
        "https://example.bitrix24.ru",
    ),
}
