"""What the description shows of an answer; tests/analytics/test_api.py holds each against a real one."""

from typing import Any

AS_OF = "2026-11-22T18:30:00+03:00"
SPAN = {"from": "2026-08-25", "to": "2026-11-23"}

SUMMARY: dict[str, Any] = {
    "as_of": AS_OF, **SPAN, "turnover": "412300.00", "purchases": 512, "refunds": 7, "buyers": 203,
    "repeat_buyers": 98, "bonus_accrued": "16480.50", "bonus_redeemed": "5210.00",
}  # fmt: skip

RFM: dict[str, Any] = {
    "as_of": AS_OF, "snapshot_date": "2026-11-22", "enough_buyers": True, "members": 61,
    "turnover": "184210.00",
    "segments": [
        {"segment": "champions", "members": 21, "turnover": "121900.00"},
        {"segment": "hibernating", "members": 40, "turnover": "62310.00"},
    ],
    "cells": [
        {"r_score": 1, "f_score": 1, "segment": "hibernating", "members": 40, "turnover": "62310.00"},
        {"r_score": 5, "f_score": 5, "segment": "champions", "members": 21, "turnover": "121900.00"},
    ],
    "cuts": {
        "recency_days": [210, 120, 60, 14], "frequency": [1, 2, 4, 9],
        "monetary": ["500.00", "1200.00", "2900.00", "7100.00"],
    },
}  # fmt: skip

COHORTS: dict[str, Any] = {
    "as_of": AS_OF,
    "cohorts": [
        {
            "month": "2026-10-01", "members": 120,
            "later": [
                {"months_later": 0, "members": 120, "share": 1.0, "turnover": "60100.00"},
                {"months_later": 1, "members": 36, "share": 0.3, "turnover": "19200.00"},
            ],
        },
    ],
}  # fmt: skip

WIN_WIN: dict[str, Any] = {
    "as_of": AS_OF, "from": "2025-11-23", "to": "2026-11-23",
    "pairs": [
        {
            "source": {"id": "019a2f3c-0000-7000-8000-00000000000a", "name": "Чайная на углу"},
            "target": {"id": "019a2f3c-0000-7000-8000-00000000000b", "name": "Пекарня"},
            "triggers": 900, "conversions": 144, "rate": 0.16,
            "chains": [
                {
                    "id": "019a2f3c-0000-7000-8000-00000000000c", "triggers": 900, "conversions": 144,
                    "treated": {"members": 840, "visits": 190, "revenue": "95000.00"},
                    "control": {"members": 130, "visits": 14, "revenue": "6500.00"},
                    "still_open": 60, "discount": "12960.00", "covered": "2592.00", "lacking": None,
                    "uplift": {
                        "visits": {"estimate": 0.1185, "low": 0.0528, "high": 0.1669},
                        "revenue": {"estimate": "63.10", "low": "28.40", "high": "97.80"},
                    },
                    "extra_revenue": {"estimate": "53004.00", "low": "23856.00", "high": "82152.00"},
                    "net": {"estimate": "42636.00", "low": "13488.00", "high": "71784.00"},
                },
            ],
        },
    ],
}  # fmt: skip
