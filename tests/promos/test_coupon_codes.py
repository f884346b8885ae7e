"""Codes of coupons: what a wrong finger does to one, and in how many ways a right one may be typed."""

import random
from itertools import permutations

import pytest

from promos.rules import CROCKFORD, check_character, new_code, normalise_code

CODES = [new_code() for _ in range(50)]


@pytest.mark.parametrize("place", range(10))
def test_every_single_wrong_character_is_caught(place):
    for code in CODES:
        for wrong in CROCKFORD.replace(code[place], ""):
            assert normalise_code(code[:place] + wrong + code[place + 1 :]) is None


@pytest.mark.parametrize("place", range(9))
def test_neighbours_changed_about_are_caught_but_for_0_and_z(place):
    missed = set()
    for first, second in permutations(CROCKFORD, 2):
        body = list(random.Random(f"{place}{first}{second}").choices(CROCKFORD, k=9))
        body[place : place + 2] = (first, second)[: 9 - place]
        code = _with_neighbours(body, place, first, second)
        changed = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
        if normalise_code(changed):
            missed.add(first + second)

    # 2 of 992 pairs of two different characters: 99.8 per cent are caught.
    assert missed == {"0Z", "Z0"}


def _with_neighbours(body, place, first, second):
    """Return a valid code with the two characters at the place; the last place is the check character's."""
    if place < 8:
        return "".join(body) + check_character("".join(body))
    for before in CROCKFORD:
        candidate = "".join(body[:7]) + before + first
        if check_character(candidate) == second:
            return candidate + second
    raise AssertionError("No such code.")


def test_of_random_strings_one_in_32_passes_the_check():
    chance = random.Random(7)
    passed = sum(normalise_code("".join(chance.choices(CROCKFORD, k=10))) is not None for _ in range(32_000))
    assert 900 < passed < 1100


# The body has an O, an I and an L as people read 0 and 1.
BODY = "0A1K0C1MH"
CODE = BODY + check_character(BODY)


@pytest.mark.parametrize("typed", [
    CODE, CODE.lower(), f"{CODE[:5]}-{CODE[5:]}", f" {CODE[:5]} {CODE[5:]} ", "-".join(CODE),
    CODE.replace("0", "O"),
    CODE.replace("0", "o").replace("1", "i"), CODE.replace("1", "l"), CODE.replace("1", "I"),
    f"{CODE[:5]}\u00a0{CODE[5:]}", f"{CODE[:5]}\u2013{CODE[5:]}", f"{CODE}\n",
    CODE.replace("A", "А").replace("K", "К").replace("C", "С").replace("M", "М").replace("H", "Н"),
    CODE.replace("0", "О"),
])  # fmt: skip
def test_a_code_may_be_typed_in_many_ways(typed):
    assert normalise_code(typed) == CODE


@pytest.mark.parametrize(
    "typed", ["", " ", "-", CODE[:-1], CODE + "0", "UUUUUUUUUU", "купон", "\x00" * 10, "٠" * 10]
)
def test_what_is_no_code_is_none(typed):
    assert normalise_code(typed) is None
