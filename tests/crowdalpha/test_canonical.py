"""One value has one byte string, for ever. Method: golden vectors written by hand, their hashes from another program."""

import hashlib
import random

import pytest

from crowdalpha.canonical import canonical_bytes, canonical_hash, sha256_hex

# (value, bytes): whoever changes one of these breaks every hash and signature that exists.
GOLDEN: list[tuple[object, bytes]] = [
    (None, b"null"),
    (True, b"true"),
    (False, b"false"),
    (0, b"0"),
    (-1, b"-1"),
    (10**30, b"1000000000000000000000000000000"),
    ("", b'""'),
    ("a/b", b'"a/b"'),
    ('"\\', b'"\\"\\\\"'),
    ("\n\t\x01\x7f", b'"\\n\\t\\u0001\x7f"'),
    ("é", b'"\xc3\xa9"'),
    ("\U0001f600", b'"\xf0\x9f\x98\x80"'),
    ([], b"[]"),
    ({}, b"{}"),
    ([1, [2, [3]]], b"[1,[2,[3]]]"),
    ((1, 2), b"[1,2]"),
    ({"b": 1, "a": 2, "B": 3, "é": 4, "": 5}, b'{"":5,"B":3,"a":2,"b":1,"\xc3\xa9":4}'),
    ({"x": {"y": [None, True, "z"]}}, b'{"x":{"y":[null,true,"z"]}}'),
]


@pytest.mark.parametrize(("value", "expected"), GOLDEN, ids=range(len(GOLDEN)))
def test_the_bytes_are_these(value: object, expected: bytes) -> None:
    assert canonical_bytes(value) == expected  # type: ignore[arg-type]


def test_the_hash_is_that_of_the_bytes() -> None:
    """Both digests are those that `printf | sha256sum` prints."""
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert canonical_hash({"b": [1, None], "a": "ü"}) == "5ddd266d13a5e8cdcca4c2007bb2032c5c319ab15de36c670f395fe8765fc949"


@pytest.mark.parametrize("value", [1.0, float("nan"), b"x", {1: 2}, {None: 1}, {"a": [1, {"b": 0.5}]}, {1, 2}, object()])
def test_what_has_no_canonical_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_bytes(value)  # type: ignore[arg-type]


def test_the_refusal_names_the_path() -> None:
    with pytest.raises(TypeError, match=r"\$\.a\[1\]\.b: float"):
        canonical_bytes({"a": [1, {"b": 0.5}]})  # type: ignore[dict-item]


def test_the_order_of_insertion_does_not_matter() -> None:
    seed = 3
    print(f"seed {seed}")
    rng = random.Random(seed)
    items = [(f"k{i}", i) for i in range(50)]
    digests = set()
    for _ in range(20):
        rng.shuffle(items)
        digests.add(hashlib.sha256(canonical_bytes(dict(items))).hexdigest())
    assert len(digests) == 1
