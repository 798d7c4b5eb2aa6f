"""Merkle trees over byte strings: a commitment to a list of which every item can be proven apart.

1. A leaf's hash is SHA-256 of a zero byte and the leaf; a node's, of a one byte and its two children. The prefixes keep a
   node from being passed off as a leaf.
2. A level with an odd number of nodes carries its last node up unchanged (doubling it would let two lists share a root).
3. The root of the empty list is SHA-256 of the empty string.

The construction is that of RFC 6962, section 2.1, where the carried node replaces the split at a power of two: both give
the same tree.
"""

import hashlib
from collections.abc import Sequence


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _level_up(level: list[bytes]) -> list[bytes]:
    paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*paired, level[-1]] if len(level) % 2 else paired


def merkle_root(leaves: Sequence[bytes]) -> str:
    """Return the root of ``leaves`` in hexadecimal; the order of the leaves matters."""
    level = [_leaf(item) for item in leaves]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        level = _level_up(level)
    return level[0].hex()


def merkle_path(leaves: Sequence[bytes], index: int) -> list[tuple[str, str]]:
    """Return the proof of leaf ``index``: (side of the sibling, sibling's hash) from the leaf up.

    Raises
    ------
    IndexError
        If there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level = [_leaf(item) for item in leaves]
    path: list[tuple[str, str]] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(("left" if sibling < index else "right", level[sibling].hex()))
        level = _level_up(level)
        index //= 2
    return path


def verify_path(leaf: bytes, path: Sequence[tuple[str, str]], root: str) -> bool:
    """Say whether ``path`` leads from ``leaf`` to ``root``; malformed hexadecimal is simply false."""
    current = _leaf(leaf)
    for side, sibling in path:
        try:
            other = bytes.fromhex(sibling)
        except ValueError:
            return False
        current = _node(other, current) if side == "left" else _node(current, other)
    return current.hex() == root
