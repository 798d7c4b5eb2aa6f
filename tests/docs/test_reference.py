"""What the code knows is in the docs. Method: render the pages' generated parts from the code again and compare."""

import re
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.terms import PAYING_KINDS
from scripts.generate_docs import BLOCK, DOCS, PARTS, commands, read_settings, routes, setting_files

REMEDY = "run `make docs` and commit the page"


@pytest.mark.parametrize("part", PARTS)
def test_a_generated_part_is_what_the_code_says(part: str) -> None:
    page, render = PARTS[part]
    blocks = {m["part"]: m[0] for m in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8"))}
    expected = f"<!-- generated: {part} -->\n\n{render()}\n<!-- end of the generated part -->"
    assert blocks[part] == expected, REMEDY


def test_every_code_has_a_sentence_of_its_own() -> None:
    meanings = [code.meaning for code in Code]
    assert all(meaning.endswith(".") and len(meaning) > 15 for meaning in meanings)
    assert len(set(meanings)) == len(meanings)


def test_every_code_of_the_code_is_on_the_page() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert [code.value for code in Code if f"| `{code.value}` |" not in page] == []


def test_every_command_and_option_says_what_it_does() -> None:
    silent = [name for name, command in commands() if not (command.help or "").strip()]
    silent += [
        f"{name} {parameter.name}"
        for name, command in commands()
        for parameter in command.params
        if parameter.name != "help" and not (getattr(parameter, "help", None) or "").strip()
    ]
    assert silent == []


def test_every_setting_has_a_comment() -> None:
    silent = [f"{path.name}: {s.key}" for path in setting_files() for s in read_settings(path) if len(s.comment) < 8]
    assert silent == []


def test_settings_are_read_as_toml_reads_them() -> None:
    """Goal: no key escapes the page. Method: the standard parser counts the leaves of each file."""
    import tomllib

    def leaves(value: object) -> int:
        return sum(leaves(v) for v in value.values()) if isinstance(value, dict) else 1

    for path in setting_files():
        inline = sum(s.value.startswith("{") for s in read_settings(path))
        if not inline and "[[" not in path.read_text():
            assert len(read_settings(path)) == leaves(tomllib.loads(path.read_text())), path.name


def test_every_key_of_a_mandate_is_on_its_page() -> None:
    """Goal: no key and no word of a mandate is unexplained. Method: the page's tables against the code, both ways."""
    from dataclasses import fields

    from portfolio.contradictions import LIMIT_KEYS, RELAXABLE
    from portfolio.mandate import Mandate

    page = (DOCS / "mandate.md").read_text(encoding="utf-8")
    keys = re.findall(r"^\| `([a-z_]+)` \| .{15,} \|$", page.partition("\n## Keys")[2], re.MULTILINE)
    assert sorted(keys) == sorted(field.name for field in fields(Mandate))
    words = re.findall(r"^\| `([a-z]+)` \| (`[a-z_`, ]+) \| (no|yes)", page, re.MULTILINE)
    told = {word: (tuple(re.findall("[a-z_]+", named)), needs == "no") for word, named, needs in words}
    assert told == {word: (named, word in RELAXABLE) for word, named in LIMIT_KEYS.items()}
    assert all(f"`{path.name}`" in page for path in setting_files() if path.parent.name == "mandates")


def test_every_route_says_what_it_does() -> None:
    assert [(method, path) for method, path, summary in routes() if not summary] == []


def score_headings() -> set[str]:
    return set(re.findall(r"^### `([a-z_]+)`$", (DOCS / "scores.md").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_score_kind_has_its_formula() -> None:
    assert set(PAYING_KINDS) <= score_headings()


def test_every_kind_of_the_score_frame_has_its_formula(tmp_path: Path) -> None:
    """Goal: no column that a notebook shows is unexplained. Method: ask for all kinds that the inputs allow."""
    import numpy as np
    import pandas as pd

    from signals import score_frame

    rng = np.random.default_rng(7)
    ids = pd.Index([f"a{i:03d}" for i in range(60)])
    predictions = pd.DataFrame(rng.random((60, 2)), index=ids, columns=["one", "two"])
    target = pd.Series(rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], 60), index=ids, name="target")
    other = pd.Series(rng.random(60), index=ids, name="other")
    neutralizers = pd.DataFrame(rng.normal(size=(60, 3)), index=ids, columns=["f1", "f2", "f3"])
    frame = score_frame(
        predictions,
        target,
        meta_model=other,
        benchmark=other,
        neutralizers=neutralizers,
        features=neutralizers,
        sample_weights=other,
        stakes=pd.Series({"one": 1.0}),
        previous=predictions,
        previous_neutralizers=neutralizers,
        previous_sample_weights=other,
    )
    assert set(frame.columns) == score_headings()


def test_every_finding_about_a_vendor_s_answer_is_explained() -> None:
    from service.vendors.source import FindingKind

    page = (DOCS / "guides" / "operator.md").read_text(encoding="utf-8")
    assert [kind.value for kind in FindingKind if f"| `{kind.value}` |" not in page] == []
