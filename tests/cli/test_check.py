"""Goal: ``crowdalpha check`` shows a person what it tells a script, with words where there is no number.

Method: run it in process on the small platform's home, whose rounds closed long ago by the clock on the wall.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli import run
from tests.builders.histories import close_latest, csv_of, drift, open_next, universe
from tests.builders.platforms import TICKERS, serve_small

Run = Callable[..., tuple[int, str, str]]
WEEKS = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home where bobby's model has six earlier files and alice's one, with the files of the tests beside it."""
    folder = tmp_path_factory.mktemp("check")
    made = serve_small(folder / "home")
    for week in range(WEEKS):
        tickers = TICKERS if week == 0 else universe(week)
        files = {"bobby_reversal": csv_of(drift(tickers, week))}
        if week == WEEKS - 1:
            files["alice_momentum"] = csv_of(drift(tickers, week, 0.1))
        close_latest(made, files)
        open_next(made, universe(week + 1), seed=week + 1)
    made.platform.store.dispose()
    now = universe(WEEKS)
    (folder / "good.csv").write_bytes(csv_of(drift(now, WEEKS)))
    (folder / "constant.csv").write_bytes(csv_of(dict.fromkeys(now, 0.5)))
    (folder / "odd.csv").write_bytes(csv_of(drift(now, WEEKS)) + b"[red]NOBODY,0.5\n")
    (folder / "classic.csv").write_text("id,prediction\n" + "".join(f"{i:016x},{(i + 0.5) / 120}\n" for i in range(120)))
    return folder


@pytest.fixture
def check(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that checks one of the files: (exit code, standard output, standard error)."""
    monkeypatch.setenv("CROWDALPHA_METAMODEL__PUBLISH_MIN_PROVIDERS", "2")

    def call(name: str, *options: str) -> tuple[int, str, str]:
        code = run(["check", str(home / name), *options, "--home", str(home / "home")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def lines_of(out: str) -> dict[str, str]:
    """Return the figures by their names: two columns, at least two blanks apart."""
    pairs = (line.strip().partition("  ") for line in out.splitlines() if line.startswith("  "))
    return {name: value.strip() for name, _, value in pairs if value.strip()}


def test_without_a_model_the_words_say_what_to_name(check: Run) -> None:
    code, out, err = check("good.csv", "-t", "signals")
    assert (code, err) == (0, "")
    first = "The file would be kept as late, without stake and weight, in round signals-8; it covers 100.0% of the"
    assert out.startswith(f"{first} round's universe.\n")
    lines = lines_of(out)
    assert lines["earlier files"].startswith("Name a model")
    assert lines["kept of a positive payout"].endswith("name a model.")
    assert "correlation with the meta-model of signals-1" in lines


def test_with_six_earlier_files_the_screen_shows_what_the_script_gets(check: Run) -> None:
    code, out, _ = check("good.csv", "-m", "bobby_reversal")
    assert code == 0
    told = json.loads(check("good.csv", "-m", "bobby_reversal", "--json")[1])
    figures, lines = told["figures"], lines_of(out)
    history = figures["history"]
    assert history["rounds"] == [f"signals-{n}" for n in (7, 6, 5, 4, 3)]
    assert lines["neutral churn against signals-7"] == f"{history['neutral_churn']:.4g}"
    assert lines["mean neutral churn since signals-3"] == f"{history['mean_neutral_churn']:.4g}"
    assert lines["largest churn since signals-3"] == f"{history['max_churn']:.4g}"
    assert lines["largest turnover since signals-3"] == f"{history['max_turnover']:.4g}"
    assert lines["kept of a positive payout"] == f"{figures['retention']['retained']:.1%} under the rule neutral_churn"
    assert (
        lines["explained by factors"]
        == f"{figures['neutralization']['explained']:.1%} of the variance, taken away by neutralization"
    )
    assert lines["correlation with the meta-model of signals-1"] == f"{figures['meta_model']['correlation']:+.3f}"
    assert 0.0 < figures["retention"]["retained"] < 1.0
    shown = [line.split() for line in out.partition("\nexposures")[2].splitlines()[3:] if line.strip()]
    by_size = sorted(figures["neutralization"]["exposures"].items(), key=lambda pair: -abs(pair[1]))
    assert [name for name, _ in shown] == [name for name, _ in by_size]
    assert [float(value) for _, value in shown] == pytest.approx([value for _, value in by_size], abs=6e-4)


def test_one_earlier_file_is_enough_for_every_line(check: Run) -> None:
    lines = lines_of(check("good.csv", "-m", "alice_momentum")[1])
    assert {"neutral churn against signals-7", "mean neutral churn since signals-7"} <= set(lines)
    assert "earlier files" not in lines


def test_a_constant_file_is_refused_and_shows_no_figures(check: Run) -> None:
    code, out, err = check("constant.csv", "-m", "bobby_reversal")
    assert (code, out) == (2, "")
    assert err.startswith("'constant.csv' is refused for one reason. [no_variance]\n")
    code, out, _ = check("constant.csv", "-m", "bobby_reversal", "--json")
    assert code == 2
    told = json.loads(out)
    assert (told["accepted"], told["figures"]) == (False, None)


def test_what_a_file_holds_is_shown_and_never_obeyed(check: Run) -> None:
    code, _, err = check("odd.csv", "-t", "signals")
    assert code == 0
    assert "id_unknown" in err
    assert "[red]NOBODY" in err


def test_a_classic_file_says_why_it_is_not_compared(check: Run) -> None:
    code, out, _ = check("classic.csv", "-m", "alice_ridge")
    assert code == 0
    lines = lines_of(out)
    assert lines["earlier files"] == lines["correlation with the meta-model"]
    assert lines["earlier files"].startswith("Not told in the classic tournament")
    assert lines["kept of a positive payout"] == "100.0%"
    assert "feature_0" in out
    assert "beta" not in out


def test_without_a_public_meta_model_the_words_say_so(check: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDALPHA_METAMODEL__PUBLISH_MIN_PROVIDERS", "3")
    assert lines_of(check("good.csv", "-t", "signals")[1])["correlation with the meta-model"].startswith("No resolved round")


@pytest.mark.parametrize("options", [(), ("-t", "classic", "-m", "bobby_reversal")])
def test_a_tournament_is_named_or_follows_from_the_model(check: Run, options: tuple[str, ...]) -> None:
    code, out, err = check("good.csv", *options)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "[request_invalid]" in err
