"""What members read about a coupon that was given or is about to run out."""

from datetime import UTC, datetime

import pytest
from django.utils.translation import override

from promos.coupon_messages import message_words

# The first moment after the 29th in Moscow.
PAYLOAD = {
    "business": "Чайная на углу", "benefit": "percent", "value": "20.00", "text": "", "min_amount": "0.00",
    "valid_until": datetime(2026, 6, 29, 21, 0, tzinfo=UTC).isoformat(),
}  # fmt: skip


@pytest.mark.parametrize(("language", "title", "text"), [
    ("ru", "Купон от «Чайная на углу»",
     "Скидка 20 % на чек, по 29 июня. Покажите код кассиру до оплаты."),
    ("en", "A coupon from “Чайная на углу”",
     "20% off the bill, to 29 June. Show the code to the cashier before you pay."),
])  # fmt: skip
def test_a_coupon_that_was_given(language, title, text):
    with override(language):
        found = message_words("coupon_given", PAYLOAD)

    assert [part.replace("\u00a0", " ").replace("\u202f", " ") for part in found] == [title, text]


def test_a_chains_coupon_says_where_the_member_bought():
    with override("ru"):
        title, text = message_words("coupon_issued", PAYLOAD | {"source": "Печём вместе"})

    assert title == "Купон от «Чайная на углу»"
    assert text.startswith("Потому что вы купили в «Печём вместе». Скидка 20")


@pytest.mark.parametrize(("days", "title"), [
    (3, "Купону для «Чайная на углу» осталось 3 дня"),
    (1, "Купону для «Чайная на углу» остался 1 день"),
    (0, "Сегодня последний день купона для «Чайная на углу»"),
])  # fmt: skip
def test_a_coupon_that_runs_out_soon(days, title):
    with override("ru"):
        assert message_words("coupon_expiring", PAYLOAD | {"days": days})[0] == title


def test_a_message_about_something_else_is_not_ours():
    with pytest.raises(KeyError):
        message_words("bonuses_expiring", PAYLOAD)
