"""A home is whole or no home. Method: folders in every state of making and unmaking, locks held by another process."""

import subprocess
import sys
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError, InputRejected
from service import home as home_module
from service.home import Home

ROOT = Path(__file__).resolve().parents[2]


def refused(call: object, path: Path) -> CrowdalphaError:
    with pytest.raises((Conflict, InputRejected)) as caught:
        call(path)  # type: ignore[operator]
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    return caught.value


def test_a_new_home_has_its_folders_and_opens(tmp_path: Path) -> None:
    made = Home.create(tmp_path / "deep" / "home")
    assert Home.open(made.path) == made
    assert sorted(p.name for p in made.path.iterdir()) == ["data", "home.toml", "keys", "reports", "rounds"]
    assert made.keys.stat().st_mode & 0o777 == 0o700
    assert "format_version = 1" in (made.path / "home.toml").read_text()


def test_an_empty_folder_becomes_a_home(tmp_path: Path) -> None:
    assert Home.is_fresh(tmp_path)
    Home.create(tmp_path)
    assert not Home.is_fresh(tmp_path)


@pytest.mark.parametrize("kind", ["home", "file inside", "file", "hidden", "full folder", "dangling link"])
def test_a_folder_in_use_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "home"
    match kind:
        case "home":
            Home.create(path)
        case "file":
            path.write_text("mine")
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case _:
            inside = path / {"file inside": "letter.txt", "hidden": ".mine", "full folder": "data/prices.parquet"}[kind]
            inside.parent.mkdir(parents=True)
            inside.write_text("mine")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    assert not Home.is_fresh(path)
    assert refused(Home.create, path).code is Code.HOME_IN_USE
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["absent", "empty", "file", "half made"])
def test_what_is_no_home_does_not_open(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "home"
    match kind:
        case "empty":
            path.mkdir()
        case "file":
            path.write_text("x")
        case "half made":
            (path / "keys").mkdir(parents=True)
    assert refused(Home.open, path).code is Code.HOME_MISSING


@pytest.mark.parametrize(
    "text",
    [
        "format_version = 2",
        "format_version = 0",
        'format_version = "1"',
        "format_version = true",
        "",
        "][",
        "format_version = 1.0",
    ],
)
def test_a_home_of_another_version_is_refused(tmp_path: Path, text: str) -> None:
    made = Home.create(tmp_path / "home")
    (made.path / "home.toml").write_text(text)
    assert refused(Home.open, made.path).code is Code.HOME_VERSION


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    made = Home.create(tmp_path / "home")
    (made.path / "home.toml").write_bytes(b"\xff\xfe")
    assert refused(Home.open, made.path).exit_code in {2, 3}


def test_a_creation_that_was_killed_leaves_no_home_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home"

    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(home_module, "write_file", killed)
        with pytest.raises(KeyboardInterrupt):
            Home.create(path)
    assert refused(Home.open, path).code is Code.HOME_MISSING
    (path / ".unfinished-abc").touch()
    assert Home.is_fresh(path)
    Home.create(path)
    assert Home.open(path).path == path


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert refused(Home.create, tmp_path / "file" / "home").code in {Code.HOME_MISSING, Code.HOME_IN_USE}


def test_a_relative_path_is_fixed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Home.create(Path("home"))
    monkeypatch.chdir("/")
    assert made.data.is_dir()


def test_a_held_home_is_refused_at_once_and_free_when_the_holder_dies(tmp_path: Path) -> None:
    made = Home.create(tmp_path / "home")
    code = (
        "import sys; from pathlib import Path; from service.home import Home\n"
        "with Home.open(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(made.path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(Conflict) as caught, made.lock():
        pass
    assert caught.value.code is Code.HOME_IN_USE
    child.kill()
    child.communicate()
    with made.lock():
        pass


def test_a_lock_is_not_taken_twice_in_one_process_and_is_freed_after_an_error(tmp_path: Path) -> None:
    made = Home.create(tmp_path / "home")
    with made.lock(), pytest.raises(Conflict), made.lock():
        pass
    with pytest.raises(ZeroDivisionError), made.lock():
        raise ZeroDivisionError
    with made.lock():
        pass
