"""BG/NBD and Gamma-Gamma against the figures their authors published for CDNOW, and against simulation."""

import csv
import gzip
import subprocess
import sys
from collections import defaultdict
from datetime import date

import numpy as np
import pytest
from scipy.special import hyp2f1

from analytics.repeat_buying import (
    FEWEST_REPEAT_BUYERS,
    BgNbd,
    GammaGamma,
    Histories,
    NotEnoughData,
    fit_bg_nbd,
    fit_gamma_gamma,
)
from tests.shared_data import SHARED_DATA

CALIBRATED_UNTIL = date(1997, 9, 30)
PUBLISHED = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426, log_likelihood=-9582.4)


def column(*values):
    return np.array(values, dtype=float)


def people(repeats, last, age, mean):
    return Histories(column(*repeats), column(*last), column(*age), column(*mean))


@pytest.fixture(scope="module")
def cdnow():
    """The sample of 2,357 customers over the first 39 weeks, a day's lines taken together."""
    spent = defaultdict(lambda: defaultdict(float))
    for name in ("purchases-cdnow", "purchases-cdnow-zero"):
        with gzip.open(SHARED_DATA / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                day = date.fromisoformat(row["purchased_at"][:10])
                if day <= CALIBRATED_UNTIL:
                    spent[row["member_ref"]][day] += float(row["amount"])
    rows = []
    for days in spent.values():
        first, *later = sorted(days)
        last = later[-1] if later else first
        rows.append((
            len(later), (last - first).days / 7, (CALIBRATED_UNTIL - first).days / 7,
            sum(days[day] for day in later) / len(later) if later else 0.0,
        ))  # fmt: skip
    return Histories(*np.array(rows).T)


@pytest.mark.shared_data
def test_bg_nbd_on_cdnow_is_as_published(cdnow):
    """Fader, Hardie and Lee (2005), Marketing Science 24, table 2 and section 5."""
    assert (len(cdnow.repeats), np.count_nonzero(cdnow.came_back)) == (2357, 946)

    fitted = fit_bg_nbd(cdnow)

    assert [round(each, 3) for each in (fitted.r, fitted.alpha, fitted.a, fitted.b)] == [
        0.243, 4.414, 0.793, 2.426,
    ]  # fmt: skip
    assert round(fitted.log_likelihood, 1) == -9582.4


@pytest.mark.shared_data
def test_gamma_gamma_on_cdnow_is_as_published(cdnow):
    """Fader and Hardie (2013), «The Gamma-Gamma Model of Monetary Value», section 4."""
    fitted = fit_gamma_gamma(cdnow)

    assert [round(each, 2) for each in (fitted.p, fitted.q, fitted.gamma)] == [6.25, 3.74, 15.44]


def test_the_expectation_is_as_published():
    """The customer of the authors' note «Implementing the BG/NBD Model in Excel» (2005): 1.226 purchases
    in the next 39 weeks after 2 purchases, the last in week 30.43 of 38.86."""
    one = people([2], [30.43], [38.86], [20])

    assert round(float(PUBLISHED.expected_purchases(one, weeks=39)[0]), 3) == 1.226


def test_the_expectation_equals_the_published_formula():
    past = people([0, 1, 3, 12], [0, 3, 20, 38], [39, 39, 30, 39], [0, 9, 9, 9])
    model, t = PUBLISHED, 26.0
    x, known = past.repeats, PUBLISHED.alpha + past.age_weeks
    f = hyp2f1(model.r + x, model.b + x, model.a + model.b + x - 1, t / (known + t))
    published = (
        (model.a + model.b + x - 1) / (model.a - 1)
        * (1 - (known / (known + t)) ** (model.r + x) * f)
        * model.chance_active(past)
    )  # fmt: skip

    assert np.allclose(model.expected_purchases(past, weeks=t), published, rtol=1e-5)


def test_hundreds_of_purchases_neither_overflow_nor_lose_their_number():
    daily = people([700, 700], [104, 20], [104, 104], [9, 9])

    buys, gone = PUBLISHED.expected_purchases(daily, weeks=13)
    active, left = PUBLISHED.chance_active(daily)

    # 13 of 108 weeks of 700 are 84, less what may end meanwhile; a silence of 84 weeks says all.
    assert 70 < buys < 84
    assert active > 0.9
    assert max(left, gone) < 1e-100


@pytest.mark.parametrize(
    ("a", "b"), [(1.0, 2.4), (0.4, 0.6), (1e-4, 8000.0), (2350.0, 5979.0), (8000.0, 1e-4)]
)
def test_any_parameters_that_can_be_found_give_a_sane_expectation(a, b):
    past = people([0, 1, 5], [0, 3, 20], [30, 30, 30], [0, 9, 9])
    model = BgNbd(0.5, 5.0, a, b, 0.0)

    expected, chance = model.expected_purchases(past, weeks=13), model.chance_of_return(past, weeks=13)

    # At least one with that chance, and no more than if nobody ever left.
    assert np.all((chance >= 0) & (chance <= expected * (1 + 1e-9) + 1e-12))
    assert np.all(expected <= (0.5 + past.repeats) * 13 / (5.0 + past.age_weeks) + 1e-9)


def simulated(truth, money, number, *, weeks, more):
    """Return what customers drawn from the models did in `weeks`, and their purchases in `more` after."""
    chance = np.random.default_rng(20050501)
    rates = chance.gamma(truth.r, 1 / truth.alpha, number)
    leaves = chance.beta(truth.a, truth.b, number)
    means = chance.gamma(money.q, 1 / money.gamma, number)
    rows, later = [], []
    for rate, leaving, mean in zip(rates, leaves, means, strict=True):
        at, times = 0.0, []
        while (at := at + chance.exponential(1 / rate)) < weeks + more:
            times.append(at)
            if chance.random() < leaving:
                break
        seen = [time for time in times if time < weeks]
        sums = chance.gamma(money.p, 1 / mean, len(seen))
        rows.append((len(seen), seen[-1] if seen else 0.0, weeks, sums.mean() if seen else 0.0))
        later.append(len(times) - len(seen))
    return Histories(*np.array(rows).T), np.array(later)


def test_what_was_drawn_from_the_models_is_found_and_foretold():
    truth = BgNbd(r=0.8, alpha=6.0, a=0.7, b=2.5, log_likelihood=0.0)
    money = GammaGamma(p=6.0, q=4.0, gamma=1500.0)
    past, later = simulated(truth, money, 6000, weeks=52.0, more=13.0)

    fitted, spending = fit_bg_nbd(past), fit_gamma_gamma(past)

    found = (fitted.r, fitted.alpha, fitted.a, fitted.b)
    assert np.allclose(found, (truth.r, truth.alpha, truth.a, truth.b), rtol=0.25)
    assert np.allclose((spending.p, spending.q, spending.gamma), (6.0, 4.0, 1500.0), rtol=0.15)
    # Purchases to come of all, and of each fifth by the chance foretold, the share that came.
    assert fitted.expected_purchases(past, weeks=13).sum() == pytest.approx(later.sum(), rel=0.05)
    chances = fitted.chance_of_return(past, weeks=13)
    for fifth in np.array_split(np.argsort(chances), 5):
        assert chances[fifth].mean() == pytest.approx((later[fifth] > 0).mean(), abs=0.03)


def test_a_newcomer_is_expected_to_spend_as_all_do_and_a_regular_as_ever():
    spending = GammaGamma(p=6.25, q=3.74, gamma=15.44)
    newcomer, regular = spending.expected_rub(people([0, 400], [0, 50], [50, 50], [0, 90]))

    assert round(newcomer, 2) == 35.22  # The published mean of all, γp / (q - 1).
    assert regular == pytest.approx(90, rel=0.01)


def test_the_currency_changes_the_scale_alone():
    past, _ = simulated(PUBLISHED, GammaGamma(6.0, 4.0, 15.0), 2000, weeks=39.0, more=0.0)
    hundredfold = Histories(past.repeats, past.last_weeks, past.age_weeks, past.mean_rub * 100)

    pounds, roubles = fit_gamma_gamma(past), fit_gamma_gamma(hundredfold)

    assert roubles.gamma == pytest.approx(100 * pounds.gamma, rel=1e-3)
    assert (roubles.p, roubles.q) == pytest.approx((pounds.p, pounds.q), rel=1e-3)


@pytest.mark.parametrize("fit", [fit_bg_nbd, fit_gamma_gamma])
def test_too_few_who_came_back_are_refused(fit):
    few, many = FEWEST_REPEAT_BUYERS - 1, 500
    past = people([1] * few + [0] * many, [3] * few + [0] * many, [30] * (few + many), [9] * (few + many))

    with pytest.raises(NotEnoughData):
        fit(past)


def test_columns_that_cannot_be_are_refused():
    for wrong in (
        ([1, 2], [3, 3], [9], [5, 5]),
        ([-1], [0], [9], [0]),
        ([1], [9], [3], [5]),
        ([1], [3], [9], [0]),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            people(*wrong)


def test_a_web_process_loads_neither_scipy_nor_numpy():
    code = (
        "import sys; from svoykrug.wsgi import application; from django.urls import get_resolver;"
        " get_resolver().url_patterns; import analytics.tasks, analytics.services.forecasts;"
        " sys.exit(', '.join({'numpy', 'scipy'} & sys.modules.keys()) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
