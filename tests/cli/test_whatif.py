"""Goal: the commands about terms say what they did, and refuse with a code. Method: run them in process on the small platform's
home; the classic tournament pays by terms that offer a choice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli import run
from service.store import models, stakes
from service.store.engine import Store
from tests.builders.platforms import serve_small

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stake(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command of ``stake``: (exit code, standard output, standard error)."""
    served = serve_small(tmp_path / "home")
    served.platform.store.dispose()
    monkeypatch.setenv("CROWDALPHA_TOURNAMENTS__CLASSIC__TERMS", "classic-2021-04")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["stake", *arguments, "--home", str(tmp_path / "home")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_choice_is_kept_told_and_forgotten(stake: Run, tmp_path: Path) -> None:
    code, out, _ = stake("choose", "alice_ridge", "mmc=0.5")
    assert code == 0
    assert out == "Under the terms classic-2021-04, alice_ridge is paid 1 × corr + 0.5 × mmc from the next close on.\n"
    store = Store.for_home(tmp_path / "home" / "crowdalpha.db")
    with store.read() as connection:
        model = models.model_by_name(connection, "alice_ridge")
        assert stakes.plans_of(connection, [model.id])[model.id].chosen_ppb == {"mmc": 500_000_000}
    assert stake("choose", "alice_ridge")[1].endswith("paid 1 × corr + 0 × mmc from the next close on.\n")
    with store.read() as connection:
        assert stakes.plans_of(connection, [model.id])[model.id].chosen_ppb is None
    store.dispose()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("alice_ridge", "mmc=3"), "offer mmc: 0, 0.5, 1, 2"),
        (("alice_ridge", "corr=1"), "offer mmc: 0, 0.5, 1, 2"),
        (("alice_ridge", "mmc"), "'mmc' is no choice"),
        (("alice_ridge", "mmc=0.0000000001"), "is no choice"),
        (("alice_ridge", "mmc=1", "mmc=2"), "is no choice"),
        (("alice_momentum", "neutral_mmc=1"), "offer no choice of multipliers"),
        (("nobody_at_all", "mmc=1"), "no model"),
    ],
)
def test_what_is_no_choice_is_refused_with_a_sentence(stake: Run, arguments: tuple[str, ...], hint: str) -> None:
    code, out, err = stake("choose", *arguments)
    assert (code, out) == (2, "")
    assert hint in " ".join(err.split())
