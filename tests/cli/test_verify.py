"""``crowdalpha verify`` and ``key auditor`` as their users run them; the bundle is made of integers by the tests' builder."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crowdalpha.canonical import sha256_hex
from service.bundles.sealed import make_key_pair, seal_to
from service.cli.app import run
from service.receipts import Signer, sign_receipt
from tests.builders.bundles import ROUND_ID, invented_bundle


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    (tmp_path / "keys").mkdir()
    return Signer.load_or_create(tmp_path / "keys")


def test_a_bundle_tells_what_holds(tmp_path: Path, signer: Signer, capsys) -> None:
    (tmp_path / "bundle.zip").write_bytes(invented_bundle(signer))
    assert run(["verify", str(tmp_path / "bundle.zip"), "--public-key", signer.public_key]) == 0
    told = capsys.readouterr().out
    assert "All 12 settlements follow from their inputs" in told
    assert run(["verify", str(tmp_path / "bundle.zip"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["lines"] == 12
    assert facts["root"] in told
    assert facts["terms_hash"] in told


def test_what_was_noted_is_compared(tmp_path: Path, signer: Signer, capsys) -> None:
    path = str(tmp_path / "bundle.zip")
    (tmp_path / "bundle.zip").write_bytes(invented_bundle(signer))
    run(["verify", path, "--json"])
    facts = json.loads(capsys.readouterr().out)
    notes = ["--root", facts["root"], "--terms-hash", facts["terms_hash"], "--closes-at", facts["closes_at"]]
    assert run(["verify", path, *notes]) == 0
    assert "As it was noted" in capsys.readouterr().out
    for option, note in (("--root", "ab" * 32), ("--terms-hash", "ab" * 32), ("--closes-at", "2016-01-10T23:00:00Z")):
        assert run(["verify", path, option, note]) == 2
        assert "was noted" in capsys.readouterr().err
        assert run(["verify", path, option, "ab"]) == 2
        assert option in capsys.readouterr().err
        assert run(["verify", "--receipt", path, option, note]) == 2
        assert "none is given" in " ".join(capsys.readouterr().err.split())


def test_an_auditors_key_opens_what_was_sealed_to_it(tmp_path: Path, signer: Signer, capsys) -> None:
    assert run(["key", "auditor", str(tmp_path / "auditor.key")]) == 0
    public = capsys.readouterr().out.strip()
    assert (tmp_path / "auditor.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "sealed.bin").write_bytes(seal_to(invented_bundle(signer), public))
    # It opens; and what an auditor gets is more than the public bundle.
    assert run(["verify", str(tmp_path / "sealed.bin"), "--key", str(tmp_path / "auditor.key")]) == 2
    assert "does not hold everything" in " ".join(capsys.readouterr().err.split())
    assert run(["key", "auditor", str(tmp_path / "auditor.key")]) == 2
    assert "never written over" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        (b"", [], "no zip file"),
        (b"PK\x03\x04 not really", [], "no zip file"),
        (b"crowdalpha-sealed-1\n", [], "private key"),
        (None, [], "cannot be read"),
    ],
)
def test_what_is_no_bundle_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys, content: bytes | None, arguments: list[str], told: str
) -> None:
    if content is not None:
        (tmp_path / "bundle.zip").write_bytes(content)
    assert run(["verify", str(tmp_path / "bundle.zip"), *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_nothing_to_verify_and_a_receipt_without_a_key_are_said(tmp_path: Path, capsys) -> None:
    assert run(["verify"]) == 2
    assert "nothing to verify" in capsys.readouterr().err
    (tmp_path / "receipt.json").write_text("{}")
    assert run(["verify", "--receipt", str(tmp_path / "receipt.json")]) == 2
    assert "--public-key" in capsys.readouterr().err


def test_an_option_that_would_have_no_part_in_the_answer_is_refused(tmp_path: Path, signer: Signer, capsys) -> None:
    """Exit code 0 would tell a provider that the file was checked, and an auditor that the key was."""
    bundle, other, key = (tmp_path / name for name in ("bundle.zip", "other.csv", "auditor.key"))
    bundle.write_bytes(invented_bundle(signer))
    other.write_text("ticker,signal\n")
    key.write_text(make_key_pair()[0])
    (tmp_path / "receipt.json").write_text("{}")
    receipt = ["--receipt", str(tmp_path / "receipt.json"), "--public-key", signer.public_key]
    for arguments, told in (
        ([str(bundle), "--file", str(other)], "--file needs --receipt"),
        ([str(bundle), "--key", str(key)], "not sealed"),
        ([str(bundle), "--key", "/dev/null"], "not sealed"),
        ([*receipt, "--key", str(key)], "none is given"),
    ):
        assert run(["verify", *arguments, "--json"]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert told in said
        assert "request_invalid" in said


def test_the_answer_to_an_upload_is_read_as_its_receipt(tmp_path: Path, signer: Signer, capsys) -> None:
    receipt = sign_receipt(
        signer, submission_id="s", round_key=ROUND_ID, model_id="model-03", sha256=sha256_hex(b"model-03"),
        received_at=datetime(2016, 1, 9, 20, tzinfo=UTC), on_time=True,
    )  # fmt: skip
    (tmp_path / "bundle.zip").write_bytes(invented_bundle(signer))
    path = tmp_path / "answer.json"
    for answer, told in ((receipt.as_dict(), 0), (None, 2)):
        path.write_text(json.dumps({"accepted": told == 0, "late": False, "findings": [], "receipt": answer}))
        assert run(["verify", str(tmp_path / "bundle.zip"), "--receipt", str(path)]) == told
    out, err = capsys.readouterr()
    assert "The receipt's file counted" in out
    assert "a file that was refused" in " ".join(err.split())
