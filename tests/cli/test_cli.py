"""Goal: the command line parses, tells every failure in one sentence, and loads only what it needs.

Method: run it in process and afresh.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer

from crowdalpha import __version__
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError, Finding, InputRejected, InvariantBroken, NumericalFailure, Unavailable
from service.cli import app as cli_app
from service.cli import run

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("vectorbt", "cvxpy", "pandas", "scipy", "sqlalchemy", "fastapi", "numpy", "pyarrow", "rich", "uvicorn")

COMMANDS = {
    "demo",
    "replay",
    "init",
    "serve",
    "scheduler",
    "health",
    "submit",
    "check",
    "diagnose",
    "rebalance",
    "data ingest",
    "round list",
    "round show",
    "round open",
    "round close",
    "round score",
    "round resolve",
    "round void",
    "round bundle",
    "verify",
    "leaderboard",
    "provider create",
    "provider deposit",
    "provider withdraw",
    "model create",
    "model list",
    "key create",
    "key revoke",
    "key auditor",
    "metamodel show",
    "stake show",
    "stake increase",
    "stake decrease",
    "stake whatif",
    "stake cancel",
    "stake mode",
    "stake choose",
    "stake pending",
    "stake report",
    "stake pool set",
    "stake pool show",
    "stake pool increase",
    "stake pool decrease",
    "ledger show",
    "ledger verify",
    "ledger heads",
    "ledger correct",
    "ledger approve",
    "ledger withdraw-correction",
    "ledger corrections",
    "treasury deposit",
    "treasury show",
    "fund list",
    "fund show",
    "fund approve",
    "fund reject",
    "fund send",
    "fund orders",
    "fund settle",
    "fund reconcile",
    "fund halt",
    "fund resume",
    "backtest run",
    "backtest sweep",
    "backtest capacity",
}

HOMELESS = {"verify", "key auditor"}
"""What is done on machines that have no home."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def crowdalpha(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs one command line: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROWDALPHA_HOME", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


# Help


def test_nothing_heavy_is_loaded_to_build_the_help() -> None:
    code = (
        "import sys\nfrom service.cli import run\ncode = run(['--help'])\n"
        f"print('loaded', sorted(m for m in {HEAVY!r} if m in sys.modules))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_and_none_is_heavy(crowdalpha: Run, command: str) -> None:
    code, out, err = crowdalpha(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert f"Usage: crowdalpha {command}" in out
    assert command in {"serve", "scheduler", *HOMELESS} or "--home" in out


def test_the_root_help_names_every_noun(crowdalpha: Run) -> None:
    _, out, _ = crowdalpha("--help")
    listed = {line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()}
    assert listed == {command.split()[0] for command in COMMANDS}


def test_version(crowdalpha: Run) -> None:
    assert crowdalpha("--version") == (0, f"crowdalpha {__version__}\n", "")


# What cannot be parsed


@pytest.mark.parametrize(
    "line",
    [
        "nosuch",
        "round",
        "round nosuch",
        "replay --from 2014-01-01 --to 2014-02-01",
        "round list --tournament nosuch",
        "round show 0",
        "round show seven",
        *(f"round {step} 99999999999999999999" for step in ("show", "close", "score", "resolve")),
        "round show 9223372036854775808",
        "round show 2147483648",
        "round void 99999999999999999999 --reason late",
        "round bundle 99999999999999999999 here.zip",
        "metamodel show --round 99999999999999999999",
        "ledger show --last 99999999999999999999",
        "leaderboard --season 9999",
        "data publish --weeks 99999999999999999999",
        "backtest sweep grid.toml --workers 99999999999999999999",
        f"demo --seed 1{'0' * 400}",
        "demo --seed -1",
        "demo --seed x",
        "demo --nosuch",
        "serve --port 99999",
        "submit",
    ],
)
def test_a_line_that_cannot_be_parsed_is_exit_code_2(crowdalpha: Run, line: str) -> None:
    code, out, err = crowdalpha(*line.split())
    assert code == 2
    assert "Usage: crowdalpha" in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize("text", ["2014-1-1", "20140101", "2014-W01-1", "2014-13-01", "yesterday", ""])
@pytest.mark.parametrize("option", ["--from", "--to", "--as-of"])
def test_a_bad_date_is_named(crowdalpha: Run, option: str, text: str) -> None:
    dates = {"--from": "2014-01-02", "--to": "2014-02-03"} | {option: text}
    line = ["rebalance", "--as-of", text] if option == "--as-of" else ["replay", "--prices", "p.parquet"]
    if option != "--as-of":
        line += [part for name in ("--from", "--to") for part in (name, dates[name])]
    code, _, err = crowdalpha(*line)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert option in err
    assert "[date_invalid]" in err


def test_dates_in_the_wrong_order_are_refused(crowdalpha: Run) -> None:
    code, _, err = crowdalpha("replay", "--prices", "p.parquet", "--from", "2016-01-01", "--to", "2014-01-01")
    assert code == 2
    assert "[date_invalid]" in err


# Homes and price files


@pytest.mark.parametrize(
    "line",
    [
        "health",
        "round list",
        "round open",
        "model list",
        "metamodel show",
        "stake show",
        "ledger verify",
        "rebalance --as-of 2016-01-08",
        "data ingest --prices p.parquet",
        "serve",
        "scheduler",
    ],
)
def test_a_missing_home_is_one_sentence(crowdalpha: Run, line: str, tmp_path: Path) -> None:
    code, out, err = crowdalpha(*line.split(), "--home", tmp_path / "nowhere")
    assert code == InputRejected.exit_code
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "[home_missing]" in err
    assert not (tmp_path / "nowhere").exists()


def test_the_home_comes_from_the_environment_when_no_option_names_it(
    crowdalpha: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROWDALPHA_HOME", str(tmp_path / "from_environment"))
    assert "from_environment" in crowdalpha("health")[2]
    assert "from_option" in crowdalpha("health", "--home", tmp_path / "from_option")[2]


PRICES = "ticker,date,open,close,adj_close,volume\n"


@pytest.mark.parametrize(
    ("name", "content", "code", "exit_code"),
    [
        ("gone.parquet", None, "prices_missing", Unavailable.exit_code),
        ("cut.parquet", b"PAR1\x00\x01\x02", "prices_unreadable", 2),
        ("empty.csv", b"", "prices_unreadable", 2),
        ("columns.csv", b"ticker,date,open\nAAPL,2014-01-02,1\n", "prices_columns", 2),
    ],
)
def test_a_price_file_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    crowdalpha: Run, tmp_path: Path, name: str, content: bytes | None, code: str, exit_code: int
) -> None:
    prices = tmp_path / name
    if content is not None:
        prices.write_bytes(content)
    home = tmp_path / "home"
    line = ("replay", "--prices", prices, "--from", "2014-01-02", "--to", "2014-06-30", "--home", home)
    returned, _, err = crowdalpha(*line)
    assert returned == exit_code, err
    assert f"[{code}]" in err
    assert "Traceback" not in err
    assert not home.exists()


def test_a_season_needs_a_fresh_home(crowdalpha: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("mine")
    code, _, err = crowdalpha("demo", "--home", home)
    assert code == Conflict.exit_code
    assert "[home_in_use]" in err
    assert [p.name for p in home.iterdir()] == ["letter.txt"]


# Errors become exit codes in one place


@pytest.mark.parametrize("kind", [InputRejected, Conflict, Unavailable, NumericalFailure, InvariantBroken])
def test_each_class_of_error_has_its_exit_code(
    crowdalpha: Run, monkeypatch: pytest.MonkeyPatch, kind: type[CrowdalphaError]
) -> None:
    monkeypatch.setattr(cli_app, "app", _raising(kind(Code.ROUND_STATE, "It cannot be.")))
    assert crowdalpha("health") == (kind.exit_code, "", "It cannot be. [round_state]\n")


def test_findings_stand_in_a_table_below_the_sentence(crowdalpha: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding(Code.VALUE_RANGE, "A value lies outside 0 to 1.", row=17, column="signal", value="[red]1.7[/red]\x1b[2J"),
        Finding(Code.ID_UNKNOWN, "An identifier is not known.", row=18, refuses=False),
    ]
    monkeypatch.setattr(cli_app, "app", _raising(InputRejected(Code.VALUE_RANGE, "The file is refused.", findings)))
    code, _, err = crowdalpha("check")
    assert code == 2
    assert err.startswith("The file is refused. [value_range]\n")
    for text in ("17", "signal", "value_range", "18", "id_unknown", "[red]"):
        assert text in err
    assert "\x1b" not in err


def test_a_fault_of_ours_is_exit_code_70_and_shows_its_origin_only_on_request(
    crowdalpha: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret\nsecond line")

    monkeypatch.setattr("service.context.open_platform", broken)
    code, out, err = crowdalpha("health")
    assert (code, out) == (70, "")
    assert len(err.splitlines()) == 1
    assert "ZeroDivisionError: secret" in err
    assert "--debug" in err
    code, _, err = crowdalpha("--debug", "health")
    assert code == 70
    assert "Traceback" in err
    assert "test_cli.py" in err


def test_an_interruption_is_exit_code_130(crowdalpha: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("service.context.open_platform", interrupted)
    code, _, err = crowdalpha("health")
    assert code == 130
    assert "Traceback" not in err


def _raising(error: Exception) -> Callable[..., None]:
    def raise_it(**_: object) -> None:
        raise error

    return raise_it


# A home's life, by hand


@pytest.fixture
def home(crowdalpha: Run, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    code, _, err = crowdalpha("init", "--home", folder)
    assert (code, err) == (0, "")
    return folder


def test_an_operator_can_set_up_accounts_keys_and_stakes(crowdalpha: Run, home: Path) -> None:
    at = ("--home", home)
    assert crowdalpha("provider", "create", "quiet_one", "--deposit", "100", *at)[0] == 0
    assert crowdalpha("model", "create", "quiet_a", "-t", "signals", "-p", "quiet_one", "--stake", "60.5", *at)[0] == 0
    assert crowdalpha("stake", "increase", "quiet_a", "9.5", *at)[1] == "quiet_a has a free stake of 70 tokens.\n"
    assert crowdalpha("stake", "decrease", "quiet_a", "20", *at)[1] == "quiet_a has a stake of 50 tokens.\n"
    code, out, _ = crowdalpha("stake", "show", "quiet_a", "--json", *at)
    assert code == 0
    row = json.loads(out)[0]
    assert (row["free_tokens"], row["held_tokens"], row["stake_tokens"]) == ("50", "0", "50")
    assert [m["model"] for m in json.loads(crowdalpha("model", "list", "--json", *at)[1])] == ["quiet_a"]
    code, out, _ = crowdalpha("key", "create", "-p", "quiet_one", "--scope", "read", "--scope", "submit", "--json", *at)
    assert code == 0
    prefix = json.loads(out)["prefix"]
    assert crowdalpha("key", "revoke", prefix, *at)[0] == 0
    assert crowdalpha("ledger", "verify", *at)[0] == 0
    ledger = json.loads(crowdalpha("ledger", "show", "--json", *at)[1])
    assert {row["account"]: row["tokens"] for row in ledger["balances"]} == {
        "external": "-100",
        "provider:quiet_one": "50",
        "stake:quiet_a": "50",
    }
    assert [row["kind"] for row in ledger["transfers"]] == ["unstake", "stake", "stake", "deposit"]
    assert json.loads(crowdalpha("health", "--json", *at)[1])["status"] == "ok"


def test_a_provider_can_move_tokens_set_a_mode_and_pool_stakes(crowdalpha: Run, home: Path) -> None:
    at = ("--home", home)
    crowdalpha("provider", "create", "quiet_one", "--deposit", "100", *at)
    for name in ("quiet_a", "quiet_b"):
        crowdalpha("model", "create", name, "-t", "signals", "-p", "quiet_one", "--stake", "20", *at)
    assert crowdalpha("provider", "deposit", "quiet_one", "5", *at)[1] == "The wallet of quiet_one holds 65 tokens.\n"
    assert crowdalpha("provider", "withdraw", "quiet_one", "0.5", *at)[1] == "The wallet of quiet_one holds 64.5 tokens.\n"
    assert (
        crowdalpha("stake", "mode", "quiet_a", "fixed", "--tokens", "7", *at)[1]
        == "The stake of quiet_a is fixed at 7 tokens.\n"
    )
    rows = json.loads(crowdalpha("stake", "show", "--json", *at)[1])
    assert [(row["model"], row["mode"], row["pending_tokens"]) for row in rows] == [
        ("quiet_a", "fixed at 7", "0"),
        ("quiet_b", "compound", "0"),
    ]
    assert "pool compounds" in crowdalpha("stake", "pool", "set", "quiet_one", "quiet_a=0.5", *at)[2]
    assert crowdalpha("stake", "mode", "quiet_a", "compound", *at)[1] == "The stake of quiet_a is compound.\n"
    assert crowdalpha("stake", "pool", "set", "quiet_one", "quiet_a=0.5", "quiet_b=0.25", *at)[0] == 0
    assert crowdalpha("stake", "pool", "increase", "quiet_one", "10", *at)[1] == "The pool of quiet_one holds 50 tokens.\n"
    assert crowdalpha("stake", "pool", "decrease", "quiet_one", "14", *at)[1] == "The pool of quiet_one holds 36 tokens.\n"
    shown = json.loads(crowdalpha("stake", "pool", "show", "quiet_one", "--json", *at)[1])
    assert shown["idle_tokens"] == "0"
    assert [(row["model"], row["weight"], row["stake_tokens"]) for row in shown["models"]] == [
        ("quiet_a", "0.5", "18"),
        ("quiet_b", "0.25", "18"),
    ]
    # 68.5 tokens are left in the wallet; each act that asks for more is told so.
    for act in (
        ("provider", "withdraw", "quiet_one", "70"),
        ("stake", "pool", "increase", "quiet_one", "70"),
        ("model", "create", "quiet_c", "-t", "signals", "-p", "quiet_one", "--stake", "70"),
    ):
        code, _, told = crowdalpha(*act, *at)
        assert code == 3
        assert told.startswith("The wallet holds 68.5 tokens and cannot give 70 (provider:")
        assert told.endswith("[balance_too_low]\n")
    crowdalpha("model", "create", "quiet_c", "-t", "signals", "-p", "quiet_one", *at)
    code, _, told = crowdalpha("stake", "increase", "quiet_c", "68.500000000000000001", *at)
    assert told.startswith("The wallet holds 68.5 tokens and cannot give 68.500000000000000001 (")
    assert crowdalpha("treasury", "deposit", "20.5", *at)[1] == "The treasury holds 20.5 tokens.\n"
    assert json.loads(crowdalpha("treasury", "show", "--json", *at)[1]) == {
        "balance_tokens": "20.5",
        "credit_tokens": "0",
        "promised_tokens": "0",
        "free_tokens": "20.5",
    }
    code, out, _ = crowdalpha("ledger", "correct", "4", "--reason", "a slip", "--by", "ann", "--json", *at)
    assert code == 0
    first = json.loads(out)["id"]
    assert crowdalpha("ledger", "approve", first, "--by", "ann", *at)[0] == 3
    assert crowdalpha("ledger", "withdraw-correction", first, "--by", "ann", *at)[0] == 0
    move = ("--move", "treasury provider:quiet_one 0.25")
    second = json.loads(crowdalpha("ledger", "correct", "1", "--reason", "a gift", "--by", "ann", *move, "--json", *at)[1])[
        "id"
    ]
    assert "is posted as transfer" in crowdalpha("ledger", "approve", second, "--by", "ben", *at)[1]
    listed = json.loads(crowdalpha("ledger", "corrections", "--json", *at)[1])
    assert {(row["state"], row["reason"], row["approved_by"]) for row in listed} == {
        ("withdrawn", "a slip", None),
        ("posted", "a gift", "ben"),
    }
    assert next(row for row in listed if row["id"] == second)["entries"] == "provider:quiet_one 0.25, treasury -0.25"
    assert crowdalpha("ledger", "correct", "1", "--reason", "x", "--by", "ann", "--move", "treasury 5", *at)[0] == 2
    assert json.loads(crowdalpha("ledger", "heads", "--json", *at)[1]) == []
    assert crowdalpha("stake", "increase", "quiet_a", "1", *at)[0] == 3
    assert crowdalpha("stake", "cancel", "quiet_a", *at)[0] == 3
    assert crowdalpha("stake", "pool", "set", "quiet_one", "quiet_a", *at)[0] == 2
    assert crowdalpha("stake", "pool", "set", "quiet_one", *at)[1] == "The pool of quiet_one is dissolved.\n"
    assert crowdalpha("ledger", "verify", *at)[0] == 0


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [
        ("provider create X", "name_invalid", 2),
        ("provider create anna --deposit 1e3", "amount_invalid", 2),
        ("model create m_one -t signals -p nobody", "provider_unknown", 2),
        ("stake increase nobody 1", "model_unknown", 2),
        ("stake show nobody", "model_unknown", 2),
        ("key create -p nobody --scope everything", "key_scope", 2),
        ("key revoke 0123", "key_invalid", 2),
        ("round show 7", "round_unknown", 2),
        ("check here.csv -t classic", "round_unknown", 2),
        ("submit here.csv -m nobody", "model_unknown", 2),
        ("submit not_here.csv -m nobody", "request_invalid", 2),
        ("init", "home_in_use", 3),
    ],
)
def test_a_wrong_request_is_one_sentence(crowdalpha: Run, home: Path, line: str, code: str, exit_code: int) -> None:
    Path("here.csv").write_text("id,prediction\nx,0.5\n")
    returned, _, err = crowdalpha(*line.split(), "--home", home)
    assert returned == exit_code, err
    assert len(err.splitlines()) == 1
    assert f"[{code}]" in err


def test_what_cannot_be_read_is_called_as_it_was_given(crowdalpha: Run, home: Path) -> None:
    for given in (".", "..", "nowhere/file.csv"):
        code, _, err = crowdalpha("submit", given, "-m", "quiet_a", "--home", home)
        assert code == 2
        assert f"The file '{given}' cannot be read: " in err


def test_every_whole_number_of_the_command_line_has_bounds() -> None:
    """A number that a database or a calendar cannot hold is a wrong line, and no fault of the program."""
    seen, unbounded = 0, []
    for path, callback in _callbacks(typer.main.get_command(cli_app.app), ()):
        for name, hint in get_type_hints(callback, include_extras=True).items():
            kind, *told = get_args(hint) or (hint,)
            if kind is int or int in get_args(kind):
                seen += 1
                unbounded += [(path, name)] if told[0].max is None or told[0].min is None else []
    assert unbounded == []
    assert seen > 10


def _callbacks(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Callable[..., Any]]]:
    children = getattr(command, "commands", {})
    if not children:
        yield path, command.callback
    for name, child in children.items():
        yield from _callbacks(child, (*path, name))


@pytest.mark.parametrize("line", ["round show 10000000", "ledger show --last 1000000000", "leaderboard --season 9998"])
def test_the_largest_whole_numbers_are_asked_of_the_database(crowdalpha: Run, home: Path, line: str) -> None:
    code, _, err = crowdalpha(*line.split(), "--home", home)
    assert code == (2 if line.startswith("round") else 0), err
    assert "[round_unknown]" in err or not err


def test_an_empty_home_can_be_looked_at(crowdalpha: Run, home: Path) -> None:
    for line in ("round list", "model list", "metamodel show", "stake show", "ledger show", "health"):
        code, _, err = crowdalpha(*line.split(), "--home", home)
        assert (code, err) == (0, ""), line
    assert json.loads(crowdalpha("round", "list", "--json", "--home", home)[1]) == []


def test_a_season_that_fails_on_its_way_leaves_nothing(crowdalpha: Run, real_data: Path, tmp_path: Path) -> None:
    # The broken panel holds fewer stocks than a universe needs: that shows only when the season has begun.
    prices = real_data / "us_daily_dirty.parquet"
    options = ("--from", "2014-01-01", "--to", "2014-02-01", "--home", tmp_path / "home")
    code, _, error = crowdalpha("replay", "--prices", prices, *options)
    assert code == 2
    assert "universe_too_small" in error
    assert list(tmp_path.iterdir()) == []
