import pytest

from loyalty.errors import InvalidPhone
from loyalty.phones import normalise_phone, readable_phone


@pytest.mark.parametrize(
    "typed",
    [
        "+79161234217",
        "89161234217",
        "8 (916) 123-42-17",
        "9161234217",
        "7 916 123 42 17",
        " +7-916-123-4217 ",
    ],
)
def test_russian_phones_become_one_form(typed):
    assert normalise_phone(typed) == "+79161234217"


def test_foreign_phone_keeps_its_country():
    assert normalise_phone("+1 (415) 555-2671") == "+14155552671"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "123",
        "alo+79161234217",
        "+7916",
        "+79161234217;ext=3",
        "\x00+79161234217",
        "9" * 41,
        "+",
        "+0000000000",
    ],
)
def test_what_no_network_dials_is_refused(typed):
    with pytest.raises(InvalidPhone):
        normalise_phone(typed)


def test_a_phone_is_shown_in_the_groups_people_read():
    assert readable_phone("+79161234217") == "+7 916 123-42-17"
