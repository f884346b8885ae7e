"""What offers did to a purchase, in the words of its member."""

from decimal import Decimal as D

import pytest
from django.utils.translation import override

from promos.services.explanation import rule
from promos.wording import explained

EXPLANATION = {
    "tier": {"name": "Друг", "name_en": "Friend", "percent": "7.00"}, "earn_base": "900.00", "accrued": "0",
}  # fmt: skip


def told(
    *, applied=True, effect="0", reason="", kind="fixed", value="5", discount="0.00", language="en", **more
):
    offer = rule(
        "offer", applied=applied, effect=D(effect), reason=reason, title="Чай", kind=kind, value=value,
        discount=discount, **more,
    )  # fmt: skip
    with override(language):
        return explained(EXPLANATION | {"rules": [offer]}, business="Лавка")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("multiplier", "2", "Offer “Чай”: ×2"),
        ("percent", "5", "Offer “Чай”: 5% more"),
        ("fixed", "50", "Offer “Чай”"),
        ("coupon", "0", "Offer “Чай”: a coupon for the next visit"),
    ],
)
def test_what_an_offer_gave_is_a_step(kind, value, text):
    [step] = told(effect="50.00" if kind != "coupon" else "0", kind=kind, value=value).steps
    assert step.text.replace("\u202f", "") == text
    assert step.effect == (0 if kind == "coupon" else D("50.00"))


@pytest.mark.parametrize(
    ("language", "lines", "text"),
    [
        ("en", [2], "Offer “Чай”: ×2, on line 2"),
        ("en", [1, 3], "Offer “Чай”: ×2, on lines 1, 3"),
        ("ru", [2], "Акция «Чай»: ×2, на строку 2 чека"),
        ("ru", [1, 3], "Акция «Чай»: ×2, на строки 1, 3 чека"),
    ],
)
def test_an_offer_for_some_lines_names_them(language, lines, text):
    [step] = told(effect="50.00", kind="multiplier", value="2", language=language, lines=lines).steps
    assert step.text == text


def test_a_discount_of_an_offer_is_told_apart_from_the_coupons():
    [line] = told(kind="discount_percent", value="10", discount="100.00").discounts
    assert (line.text, line.effect) == ("Discount by the offer “Чай”", D("-100.00"))


@pytest.mark.parametrize(
    ("reason", "missing"),
    [
        ("min_amount: 500.00 needed, 420.00 given", "Comes with a bill of ₽500 or more; this one was ₽420."),
        ("hours: 14:00–17:00 needed, 12:00 given", "Comes at these hours: 14:00–17:00."),
        ("birthday: 7 days around it needed", "Comes around your birthday; days before and after: 7."),
        (
            "birthday: the member's birthday is not known",
            "Comes around the birthday, and we do not know yours.",
        ),
        ("segment: champions needed, at_risk given", "Was meant for other members this time."),
        ("per_member_day: all 1 of the day used", "You had used it that day already."),
        ("budget: 50.00 needed, 10.00 left", "All of it had been given out."),
        ("exclusive: another offer gives more", "Another offer gave you more."),
    ],
)
def test_what_was_missing_is_told_in_plain_words(reason, missing):
    [missed] = told(applied=False, reason=reason).missed
    assert missed.text == "Offer “Чай”"
    assert missed.missing.replace("\u202f₽", "").replace("₽", "") == missing.replace("₽", "")
