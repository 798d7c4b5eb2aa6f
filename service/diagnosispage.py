"""A diagnosis as one self-contained HTML page: what a history would have scored, beside the example model.

The frame, the charts and the style are the tear sheet's (:mod:`portfolio.page`): no script, nothing from elsewhere, light and
dark, readable on paper and phone. It shows what was found and computes nothing; equal diagnoses give equal bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from market.arrays import DateArray, FloatArray
from portfolio.charts import Chart, Series, number, percent
from portfolio.page import Table, render_banners, render_charts, render_page, render_table, render_tiles
from service.diagnosis import AGAINST_EXAMPLE, ChangeSummary, Diagnosis, EraLine, SignalEra
from signals.diagnostics import ScoreSummary, falls

MAIN_KINDS = ("neutral_corr", "corr")
"""The kind that is drawn large: what a signals round pays on, if it was scored."""

FACTORS_SHOWN = 25
DASH = "–"

KIND_NOTES: Mapping[str, str] = {
    "corr": "how well the file ranks the assets",
    "neutral_corr": "how well it does once the known factors are taken out",
    "mmc": "what it adds to the crowd's meta-model",
    "neutral_mmc": "what it adds to the meta-model once the known factors are taken out",
    "alpha": "what its neutral portfolio earns an asset, in units of the target",
    AGAINST_EXAMPLE: "what it adds to the example model",
}

FOOTER = (
    "<footer><p>Scores are those of rounds that never were: universe, exposures and example are as known when each session's "
    "prices were. The adjusted Sharpe ratio is mean / ω, with ω² the long-run variance of the scores over L lags (Newey and "
    "West), because targets of neighbouring eras overlap; ± is one standard error. Ratios are of an era, not of a year.</p>"
    "<p>A history that was chosen among many, or fitted on these very eras, looks better than it will be.</p></footer>"
)


def render_diagnosis(diagnosis: Diagnosis) -> str:
    """Return the page."""
    sections = [
        _header(diagnosis),
        render_banners(diagnosis.flags),
        _tiles(diagnosis),
        render_charts(_charts(diagnosis)),
        render_table(_score_table(diagnosis)),
        render_table(_change_table(diagnosis)),
        render_table(_factor_table(diagnosis)),
        render_table(_findings_table(diagnosis)) if diagnosis.findings else "",
        render_table(_era_table(diagnosis)),
        FOOTER,
    ]
    return render_page(f"Diagnosis of {diagnosis.file}", sections)


def main_kind(diagnosis: Diagnosis) -> str | None:
    """Return the kind of score that is shown first; None if no era is scored."""
    return next((kind for kind in MAIN_KINDS if kind in diagnosis.scores), next(iter(diagnosis.scores), None))


def eras_told(diagnosis: Diagnosis) -> str:
    """Say in one clause what became of the dates."""
    told = [f"{diagnosis.scored:,} of {diagnosis.dates:,} dates scored"]
    others = (("pending", diagnosis.pending), ("held", diagnosis.held), ("left out", diagnosis.left_out))
    return ", ".join(told + [f"{count:,} {name}" for name, count in others if count])


def _header(d: Diagnosis) -> str:
    first, last = d.eras[0].session, d.eras[-1].session
    window = f"target {d.horizon_sessions}D{d.lag_sessions}L, every {d.step_sessions} sessions, {d.lags} lags"
    return (
        f"<header><h1>Diagnosis of {escape(d.file)}</h1><p>{first} to {last}: {eras_told(d)}; {d.rows:,} rows</p>"
        f'<p class="period">{escape(d.source)} prices; {window}; example model: {escape(d.example)}</p></header>'
    )


def _tiles(d: Diagnosis) -> str:
    tiles = []
    kind = main_kind(d)
    if kind is not None:
        own, example = d.scores[kind].signal, d.scores[kind].example
        tiles = [
            (f"Mean {_words(kind)}", _score(own.mean), f"example {_score(example.mean)}"),
            ("Adjusted Sharpe", number(own.adjusted_sharpe), f"{_error(own)}example {number(example.adjusted_sharpe)}"),
            ("t statistic", number(own.t_statistic, 1), "under 2 it may be luck"),
            ("Drawdown", number(own.max_drawdown, 3), f"example {number(example.max_drawdown, 3)}"),
        ]
    if d.factors:
        largest = d.factors[0]
        tiles.append(("Largest exposure", number(largest.signal.mean_size), f"to {largest.name}, mean size"))
    tiles += [
        ("Neutral churn", _part(d.signal_change.neutral_churn), _keeps(d.signal_change.retention)),
        ("Coverage", percent(d.coverage_mean, 0), "of the universe, mean"),
    ]
    return render_tiles(tiles)


def _charts(d: Diagnosis) -> list[Chart]:
    at = np.array([era.session for era in d.eras], dtype="datetime64[D]")
    charts = []
    kind = main_kind(d)
    if kind is not None:
        charts += _score_charts(d, kind, at)
        others = [k for k in d.scores if k != kind]
        charts += [_cumulated(d, k, at, wide=False) for k in others]
    charts.append(_exposure_chart(d, at))
    charts.append(_pair(d, at, "Neutral churn", "Change of order since the era before.", lambda e: e.neutral_churn))
    charts.append(_pair(d, at, "Turnover", "Half the changes of the neutral book's weights.", lambda e: e.turnover))
    covered = np.array([era.coverage for era in d.eras])
    charts.append(Chart("Coverage", "Part of the universe that has a value.", at, [Series("covered", covered)], kind="area"))
    return charts


def _score_charts(d: Diagnosis, kind: str, at: DateArray) -> list[Chart]:
    own = _series(d, lambda era: era.signal.scores.get(kind))
    known = np.isfinite(own)
    fall = np.full(own.shape, np.nan)
    fall[known] = falls(own[known])
    return [
        _cumulated(d, kind, at, wide=True),
        Chart(f"{_title(kind)} by era", "Each era's score.", at, [Series("score", own)], form=_three, kind="bars"),
        Chart("Drawdown", "Fall of the sum from its highest so far.", at, [Series("now", fall)], form=_three, kind="area"),
    ]


def _cumulated(d: Diagnosis, kind: str, at: DateArray, *, wide: bool) -> Chart:
    def path(values: FloatArray) -> FloatArray:
        return np.where(np.isfinite(values), np.cumsum(np.nan_to_num(values)), np.nan)

    series = [Series("this history", path(_series(d, lambda era: era.signal.scores.get(kind))))]
    if kind != AGAINST_EXAMPLE:
        series.append(Series(f"example: {d.example}", path(_series(d, lambda era: era.example.scores.get(kind)))))
    note = f"Sum of the scores so far: {KIND_NOTES.get(kind, '')}."
    return Chart(f"{_title(kind)}, cumulated", note, at, series, form=_three, wide=wide)


def _exposure_chart(d: Diagnosis, at: DateArray) -> Chart:
    own = _series(d, lambda era: abs(era.signal.exposure_max))
    example = _series(d, lambda era: abs(era.example.exposure_max))
    note = "Size of the largest correlation with a factor."
    return Chart("Largest exposure", note, at, [Series("this history", own), Series("example", example)], form=number)


def _pair(d: Diagnosis, at: DateArray, title: str, note: str, value: Callable[[SignalEra], float | None]) -> Chart:
    series = [
        Series("this history", _series(d, lambda era: value(era.signal))),
        Series("example", _series(d, lambda era: value(era.example))),
    ]
    return Chart(title, note, at, series, form=number)


def _series(d: Diagnosis, value: Callable[[EraLine], float | None]) -> FloatArray:
    found = [value(era) for era in d.eras]
    return np.array([np.nan if v is None else v for v in found], dtype=np.float64)


def _score_table(d: Diagnosis) -> Table:
    columns = ("", "Mean", "Std", "Sharpe", "Adjusted Sharpe", "t", "Autocorr.", "Drawdown", "Above 0", "Eras")
    rows = []
    for kind, summary in d.scores.items():
        rows.append(score_cells(_words(kind), summary.signal))
        if kind != AGAINST_EXAMPLE:
            rows.append(score_cells(f"{_words(kind)}, example", summary.example))
            rows.append(score_cells(f"{_words(kind)}, difference", summary.difference))
    notes = [f"{_words(kind)}: {KIND_NOTES[kind]}" for kind in d.scores if kind in KIND_NOTES]
    return Table("Scores", columns, rows, "; ".join(notes) + "." if notes else "No era is scored yet.")


def score_cells(name: str, s: ScoreSummary) -> tuple[str, ...]:
    """Return a line of the table of scores."""
    return (
        name,
        _score(s.mean),
        _score(s.std),
        number(s.sharpe, 3),
        _ratio(s),
        number(s.t_statistic, 1),
        number(s.autocorrelation),
        number(s.max_drawdown, 3),
        percent(s.hit_rate, 0),
        f"{s.eras:,}",
    )


def _change_table(d: Diagnosis) -> Table:
    def cells(name: str, change: ChangeSummary) -> tuple[str, ...]:
        return (name, *(_part(v) for v in (change.churn, change.neutral_churn, change.retention, change.turnover)))

    note = "Means from era to era. Churn runs from 0 (same order) to 2 (reversed); turnover from 0 to 1."
    rows = [cells("This history", d.signal_change), cells(f"Example: {d.example}", d.example_change)]
    return Table("Change", ("", "Churn", "Neutral churn", "Retention", "Turnover"), rows, note)


def _factor_table(d: Diagnosis) -> Table:
    rows = [
        (
            line.name,
            number(line.signal.mean),
            number(line.signal.mean_size),
            number(line.signal.largest),
            str(line.largest_on),
            number(line.example.mean),
            number(line.example.mean_size),
        )
        for line in d.factors[:FACTORS_SHOWN]
    ]
    columns = ("Factor", "Mean", "Mean size", "Largest", "on", "Example, mean", "Example, mean size")
    more = f" The {FACTORS_SHOWN} largest of {len(d.factors)}." if len(d.factors) > FACTORS_SHOWN else ""
    return Table("Exposures", columns, rows, f"Correlation of the signal with each factor, over the eras.{more}")


def _findings_table(d: Diagnosis) -> Table:
    rows = [("" if f.row is None else f"{f.row:,}", f.code.value, f.value or "", f.message) for f in d.findings]
    note = "What is worth knowing about the file; nothing here refused it."
    if d.findings_total > len(d.findings):
        note += f" The first {len(d.findings)} of {d.findings_total:,}."
    return Table("Findings", ("Row", "Code", "Value", "Finding"), rows, note)


def _era_table(d: Diagnosis) -> Table:
    kinds = list(d.scores)
    columns = ("Date", "Session", "State", *(_words(k) for k in kinds), "Largest exposure", "Neutral churn", "Kept", "Coverage")
    rows = [
        (
            str(era.date),
            str(era.session) if era.session != era.date else "",
            era.state.value,
            *(_score(era.signal.scores.get(k)) for k in kinds),
            f"{number(era.signal.exposure_max)} {era.signal.exposure_max_factor}",
            _part(era.signal.neutral_churn),
            _part(era.signal.retention),
            percent(era.coverage, 0),
        )
        for era in reversed(d.eras)
    ]
    return Table("Eras", columns, rows, "The newest first. A pending era's target is not known yet.")


def _score(value: float | None) -> str:
    return DASH if value is None else number(value, 4)


def _part(value: float | None) -> str:
    return DASH if value is None else number(value)


def _ratio(summary: ScoreSummary) -> str:
    error = summary.adjusted_sharpe_error
    return DASH if error is None else f"{number(summary.adjusted_sharpe)} ± {number(error)}"


def _error(summary: ScoreSummary) -> str:
    error = summary.adjusted_sharpe_error
    return "" if error is None else f"± {number(error)}, "


def _keeps(retained: float | None) -> str:
    return "" if retained is None else f"keeps {percent(retained, 0)} of a payout"


def _three(value: float) -> str:
    return number(value, 3)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _title(kind: str) -> str:
    return _words(kind).capitalize() if kind not in {"mmc", "bmc"} else kind.upper()


def lines_of(eras: Sequence[EraLine], kinds: Sequence[str]) -> list[dict[str, object]]:
    """Return eras as flat mappings, for a terminal's table."""
    return [
        {
            "date": str(era.date),
            "state": era.state.value,
            **{kind: era.signal.scores.get(kind) for kind in kinds},
            "exposure": era.signal.exposure_max,
            "factor": era.signal.exposure_max_factor,
            "neutral_churn": era.signal.neutral_churn,
            "retention": era.signal.retention,
            "turnover": era.signal.turnover,
            "coverage": era.coverage,
        }
        for era in eras
    ]
