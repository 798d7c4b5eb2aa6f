"""Exposures equal plain loops over pandas series (independent source), are standardized, and know nothing of the future."""

import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.exposures import DEFAULT_STYLES, SIZE_FROM_VOLUME, compute_exposures, standardize
from market.projection import orthonormal_basis
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at

NAN = np.nan


def plain_standard(raw, sectors):
    """Section 3 of the module's docstring, one asset at a time."""
    raw = pd.Series(raw)
    known = raw.dropna()
    if known.empty:
        return np.zeros(len(raw))
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
    whole = np.log1p(prices.pct_change(fill_method=None))
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
        four_years = whole[i].iloc[-1260:-252].dropna()
        out["long_reversal"].append(four_years.sum() if len(four_years) >= 252 else NAN)
    out["size"] = size
    out["liquidity"] = quarter - level - slope * size
    return {name: np.array(values) for name, values in out.items()}


@pytest.mark.parametrize("row", [290, 600, 1390])
def test_styles_equal_plain_loops(row):
    panel = small_panel(seed=6, n_sessions=row + 10)
    print("seed 6")
    view = view_at(panel, row)
    members = np.array([i for i in range(40) if i != 5])
    exposures = compute_exposures(view, members)
    sectors = view.assets.sectors[members]
    for name, raw in plain_styles(view, members).items():
        np.testing.assert_allclose(exposures.style(name), plain_standard(raw, sectors), atol=1e-8, err_msg=name)
        assert exposures.filled[exposures.names.index(name)] == np.isnan(raw).sum()
    assert exposures.filled[:4] == (0, 0, 0, 0)


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


def test_the_long_reversal_ends_where_momentum_begins():
    t = 1300
    close = np.full((t, 6), 100.0)
    close[t - 1260 :, 0] = 110.0  # the return at t−1259: the first of the window
    close[t - 1261 :, 1] = 120.0  # the one before: outside
    close[t - 253 :, 2] = 130.0  # the return at t−252: the last of the window
    close[t - 252 :, 3] = 140.0  # the next: momentum
    close[: t - 504, 4] = NAN  # 251 returns in the window: too few
    close[: t - 505, 5] = NAN  # 252: enough
    exposures = compute_exposures(view_at(hand_panel(close, sectors=["Energy"] * 4 + ["Finance"] * 2)), np.arange(6))
    values = exposures.style("long_reversal")
    assert values[1] == values[3] == values[4] == values[5] < values[0] < values[2]
    assert dict(zip(exposures.names, exposures.filled, strict=True))["long_reversal"] == 1
    assert exposures.style("momentum")[3] > exposures.style("momentum")[2]


def test_what_was_filled_is_counted_and_a_size_from_volume_is_flagged():
    panel = small_panel(seed=12)
    members = np.arange(40)
    exposures = compute_exposures(view_at(panel), members)
    told = dict(zip(exposures.names, exposures.filled, strict=True))
    assert told["long_reversal"] == 40  # 320 sessions are too few for anybody
    np.testing.assert_array_equal(exposures.style("long_reversal"), np.zeros(40))
    assert exposures.flags == {"assumed", SIZE_FROM_VOLUME}
    assert told["size"] == 0
    assert compute_exposures(view_at(panel), members, ("beta",)).flags == {"assumed"}
    known = np.flatnonzero(np.isfinite(panel.assets.shares) & np.isfinite(panel.close).all(axis=0))
    assert compute_exposures(view_at(panel), known).flags == {"assumed"}


def test_styles_are_standardized_and_dummies_cover_every_asset():
    view = view_at(small_panel(seed=7))
    members = np.arange(40)
    exposures = compute_exposures(view, members)
    assert exposures.names[4:] == DEFAULT_STYLES
    assert exposures.kinds == ("sector",) * 4 + ("style",) * 7
    styles = exposures.columns("style")[:, :6]  # of the last, nobody has a value yet
    np.testing.assert_allclose(styles.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(styles.std(axis=0), 1.0, atol=1e-12)
    assert np.isfinite(exposures.values).all()
    np.testing.assert_array_equal(exposures.columns("sector").sum(axis=1), np.ones(40))
    assert exposures.columns("country").shape == (40, 0)
    design = np.column_stack([np.ones(40), exposures.values])
    assert orthonormal_basis(design).shape[1] == exposures.values.shape[1] - 1  # the dummies hold the intercept


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
