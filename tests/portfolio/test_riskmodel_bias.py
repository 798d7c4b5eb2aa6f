"""Goal: the bias statistic and its error are right. Method: thousands of simulated samples, whose scatter is what the
error claims to be, normal and with fat tails; one sample by hand."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.forecastbias import bias_statistics, q_likelihood


@pytest.mark.parametrize("freedom", [8, 12, None])
def test_the_error_is_the_scatter_of_the_statistic(freedom):
    """4,000 samples of 400 unit-variance draws, Student with ν degrees (kurtosis 3 + 6/(ν − 4)) or normal: the scatter of the
    statistic, and the theory's √((κ − 1)/4T) with the true kurtosis, are within 10 % of the mean reported error."""
    print("seed 51")
    rng = np.random.default_rng(51)
    z = rng.standard_normal((400, 4_000)) if freedom is None else rng.standard_t(freedom, (400, 4_000))
    kurtosis = 3.0 if freedom is None else 3.0 + 6.0 / (freedom - 4)
    z /= 1.0 if freedom is None else np.sqrt(freedom / (freedom - 2))
    bias, error = bias_statistics(z)
    assert bias.mean() == pytest.approx(1.0, abs=0.005)
    assert error.mean() == pytest.approx(bias.std(), rel=0.1)
    assert error.mean() == pytest.approx(np.sqrt((kurtosis - 1) / 1600), rel=0.1)
    assert np.mean(np.abs(bias - 1) <= 2 * error) == pytest.approx(0.95, abs=0.03)


def test_by_hand():
    """(3, −1, −1, −1): deviation 2, second moment 3, fourth 21, kurtosis 7/3; clipped at 1: (1, −1, −1, −1), deviation 1."""
    z = np.array([[3.0], [-1.0], [-1.0], [-1.0]])
    bias, error = bias_statistics(z)
    assert (bias[0], error[0]) == (pytest.approx(2.0), pytest.approx(np.sqrt((7 / 3 - 1) / 16)))
    assert bias_statistics(z, clip=1.0)[0][0] == pytest.approx(1.0)


def test_half_the_risk_is_a_statistic_of_two():
    z = np.random.default_rng(52).standard_normal((300, 5))
    np.testing.assert_allclose(bias_statistics(2 * z)[0], 2 * bias_statistics(z)[0])
    assert np.isnan(bias_statistics(np.ones((9, 1)))[1]).all()


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InputRejected) as short:
        bias_statistics(np.ones((3, 2)))
    assert short.value.code == Code.HISTORY_TOO_SHORT
    with pytest.raises(InputRejected) as unknown:
        bias_statistics(np.array([[1.0], [np.nan], [2.0], [3.0]]))
    assert unknown.value.code == Code.VALUE_NOT_FINITE


def test_the_right_forecast_has_the_least_loss():
    """Among forecasts off by a common factor the loss is least for the right one: for normal returns 1 + γ + ln 2 = 2.270, as
    E ln z² is −γ − ln 2."""
    print("seed 53")
    z = np.random.default_rng(53).standard_normal((200_000, 1))
    right = float(q_likelihood(z)[0])
    assert right == pytest.approx(1 + np.euler_gamma + np.log(2), abs=0.02)
    assert right < min(float(q_likelihood(z * off)[0]) for off in (0.8, 1.25))
