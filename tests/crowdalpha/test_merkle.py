"""A Merkle root commits to a list. Independent sources: trees written out by hand, the known roots of RFC 6962."""

import hashlib

import pytest

from crowdalpha.merkle import merkle_path, merkle_root, verify_path

LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip

# Roots of the first 1, 2, … 8 of these leaves, as published with the reference implementation of certificate transparency.
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_trees_of_none_to_three_leaves_by_hand() -> None:
    a, b, c = (sha(b"\x00" + leaf) for leaf in (b"a", b"b", b"c"))
    assert merkle_root([]) == sha(b"").hex()
    assert merkle_root([b"a"]) == a.hex()
    assert merkle_root([b"a", b"b"]) == sha(b"\x01" + a + b).hex()
    assert merkle_root([b"a", b"b", b"c"]) == sha(b"\x01" + sha(b"\x01" + a + b) + c).hex()


@pytest.mark.parametrize("count", range(1, 9))
def test_the_roots_are_those_of_the_reference_program(count: int) -> None:
    assert merkle_root(LEAVES[:count]) == ROOTS[count - 1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 13, 64, 65])
def test_every_leaf_has_a_proof_and_no_other_leaf_fits_it(count: int) -> None:
    leaves = [f"leaf {i}".encode() for i in range(count)]
    root = merkle_root(leaves)
    for i, leaf in enumerate(leaves):
        path = merkle_path(leaves, i)
        assert verify_path(leaf, path, root)
        assert not verify_path(leaf + b"!", path, root)
        assert not verify_path(leaf, path, merkle_root([*leaves, b"more"]))
        assert not any(verify_path(other, path, root) for other in leaves if other != leaf)


def test_a_path_with_one_step_changed_proves_nothing() -> None:
    leaves = [f"{i}".encode() for i in range(11)]
    root, path = merkle_root(leaves), merkle_path(leaves, 6)
    for i, (side, sibling) in enumerate(path):
        other = "left" if side == "right" else "right"
        for wrong in [(other, sibling), (side, "00" * 32), (side, "not hexadecimal")]:
            assert not verify_path(leaves[6], [*path[:i], wrong, *path[i + 1 :]], root)
    assert not verify_path(leaves[6], path[:-1], root)


def test_order_and_repetition_change_the_root() -> None:
    roots = {merkle_root(x) for x in ([b"a", b"b"], [b"b", b"a"], [b"a", b"b", b"b"], [b"a", b"b", b"b", b"b"], [b"ab"])}
    assert len(roots) == 5


def test_a_node_cannot_pass_for_a_leaf() -> None:
    a, b = sha(b"\x00a"), sha(b"\x00b")
    assert merkle_root([a + b]) != merkle_root([b"a", b"b"])


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError):
        merkle_path([b"a", b"b", b"c"], index)
