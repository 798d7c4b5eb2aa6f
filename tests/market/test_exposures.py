"""Exposures equal plain loops over pandas series (independent source), are standardized, and know nothing of the future."""

import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.exposures import DEFAULT_STYLES, compute_exposures, standardize
from market.projection import orthonormal_basis
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at

NAN = np.nan


def plain_standard(raw, sectors):
    """Section 3 of the module's docstring, one asset at a time."""
    raw = pd.Series(raw)
    known = raw.dropna()
    middle = known.median()
    reach = 3 * 1.482602218505602 * (known - middle).abs().median()
    if reach > 0:
        raw = raw.clip(middle - reach, middle + reach)
    filled = [
        value
        if not np.isnan(value)
        else (raw[sectors == sectors[i]].median() if raw[sectors == sectors[i]].notna().any() else middle)
        for i, value in enumerate(raw)
    ]
    return (np.array(filled) - np.mean(filled)) / np.std(filled)


def plain_styles(view, members):
    """Raw styles by loops over columns of a frame of adjusted closes."""
    prices = pd.DataFrame(view.return_index()[:, members]).ffill()
    returns = prices.pct_change(fill_method=None).iloc[-252:]
    dollars = pd.DataFrame(view.close[:, members] * view.volume[:, members]).fillna(0.0)
    mean = returns.mean(axis=1)
    out = {name: [] for name in DEFAULT_STYLES}
    cap = view.assets.shares[members] * pd.DataFrame(view.close[:, members]).ffill().iloc[-1].to_numpy()
    year = np.log(dollars.iloc[-252:].median().to_numpy())
    shift = np.nanmedian(np.log(cap) - year)
    size = np.where(np.isnan(cap), year + shift, np.log(cap))
    quarter = np.log(dollars.iloc[-63:].median().to_numpy())
    slope, level = np.polyfit(size, quarter, 1)
    for i in range(len(members)):
        pair = pd.concat([returns[i], mean], axis=1).dropna()
        few = len(pair) < 126
        beta = NAN if few else np.polyfit(pair.iloc[:, 1], pair.iloc[:, 0], 1)[0]
        path = prices[i].iloc[-253:]
        late = (returns[i].iloc[-63:] - (1.0 if few else beta) * mean.iloc[-63:]).dropna()
        old = returns[i].iloc[:-21]
        out["beta"].append(beta)
        out["momentum"].append(NAN if old.notna().sum() < 115.5 else np.log1p(old).sum())
        out["reversal"].append(np.log(path.iloc[-1] / path.iloc[-22]))
        out["volatility"].append(late.std(ddof=0))
    out["size"] = size
    out["liquidity"] = quarter - level - slope * size
    return {name: np.array(values) for name, values in out.items()}


def test_styles_equal_plain_loops():
    panel = small_panel(seed=6, n_sessions=300)
    print("seed 6")
    view = view_at(panel, 290)
    members = np.array([i for i in range(40) if i != 5])
    exposures = compute_exposures(view, members)
    sectors = view.assets.sectors[members]
    for name, raw in plain_styles(view, members).items():
        np.testing.assert_allclose(exposures.style(name), plain_standard(raw, sectors), atol=1e-8, err_msg=name)


def test_momentum_runs_from_twelve_months_to_one_month_before():
    t = 253
    close = np.full((t, 4), 100.0)
    close[1:, 0] = 110.0  # the first return of the window
    close[t - 21 :, 1] = 120.0  # the return at t−20: reversal, not momentum
    close[t - 22 :, 2] = 130.0  # the return at t−21: the last of momentum
    exposures = compute_exposures(view_at(hand_panel(close)), np.arange(4), ("momentum", "reversal"))
    momentum, reversal = exposures.style("momentum"), exposures.style("reversal")
    assert momentum[1] == momentum[3] < momentum[0] <= momentum[2]
    assert reversal[0] == reversal[2] == reversal[3] < reversal[1]


def test_styles_are_standardized_and_dummies_cover_every_asset():
    view = view_at(small_panel(seed=7))
    members = np.arange(40)
    exposures = compute_exposures(view, members)
    assert exposures.names[4:] == DEFAULT_STYLES
    assert exposures.kinds == ("sector",) * 4 + ("style",) * 6
    styles = exposures.columns("style")
    np.testing.assert_allclose(styles.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(styles.std(axis=0), 1.0, atol=1e-12)
    assert np.isfinite(exposures.values).all()
    np.testing.assert_array_equal(exposures.columns("sector").sum(axis=1), np.ones(40))
    assert exposures.columns("country").shape == (40, 0)
    design = np.column_stack([np.ones(40), exposures.values])
    assert orthonormal_basis(design).shape[1] == exposures.values.shape[1]  # the dummies hold the intercept


def test_liquidity_does_not_repeat_size_whether_shares_are_known_or_not():
    panel = small_panel(seed=8)
    members = np.arange(40)
    for shares in (panel.assets.shares, np.full(40, NAN)):
        other = hand_panel(panel.close, adj_close=view_at(panel).return_index(), volume=panel.quotes.volume, shares=shares)
        exposures = compute_exposures(view_at(other), members)
        assert abs(np.corrcoef(exposures.style("size"), exposures.style("liquidity"))[0, 1]) < 0.25
        assert exposures.style("liquidity").std() == pytest.approx(1.0)


def test_countries_get_dummies_when_there_are_several():
    panel = small_panel(seed=9, n_assets=12)
    other = hand_panel(panel.close, countries=["DE"] * 5 + ["US"] * 7)
    exposures = compute_exposures(view_at(other), np.arange(12))
    assert [n for n in exposures.names if n.startswith("country")] == ["country:DE", "country:US"]
    np.testing.assert_array_equal(exposures.columns("country").sum(axis=0), [5, 7])


def test_nothing_after_the_decision_changes_an_exposure():
    panel = small_panel(seed=10)
    print("seed 10")
    for row in (255, 290, 318):
        a = compute_exposures(view_at(panel, row), np.arange(40)).values
        b = compute_exposures(view_at(changed_after(panel, row), row), np.arange(40)).values
        assert a.tobytes() == b.tobytes()


def test_standardize_fills_by_sector_and_leaves_constants_at_zero():
    groups = np.array(["a", "a", "a", "b", "b", "c"])
    raw = np.array([1.0, 3.0, NAN, 10.0, 12.0, NAN])
    out = standardize(raw, groups)
    np.testing.assert_allclose(out, plain_standard(raw, groups), atol=1e-12)
    assert out[2] == pytest.approx((out[0] + out[1]) / 2)
    np.testing.assert_array_equal(standardize(np.full(6, 0.1), groups), np.zeros(6))
    np.testing.assert_array_equal(standardize(np.full(6, NAN), groups), np.zeros(6))
    outlier = np.concatenate([np.linspace(-1, 1, 50), [1e9]])
    assert standardize(outlier, np.array(["a"] * 51)).max() < 5


def test_wrong_requests_are_refused_by_name():
    view = view_at(small_panel(seed=11))
    for code, call in [
        (Code.SETTING_UNKNOWN, lambda: compute_exposures(view, np.arange(40), ("charm",))),
        (Code.UNIVERSE_TOO_SMALL, lambda: compute_exposures(view, np.arange(0))),
        (Code.HISTORY_TOO_SHORT, lambda: compute_exposures(view_at(small_panel(), 250), np.arange(40))),
        (Code.NOT_FOUND, lambda: compute_exposures(view, np.arange(40)).style("charm")),
    ]:
        with pytest.raises(InputRejected) as caught:
            call()
        assert caught.value.code is code
