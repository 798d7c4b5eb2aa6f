"""The files that a crowd sends to a round: the roster's strategies turned into bytes.

It decides nothing about a round: it makes files, and says when and for which round they are sent. The driver hands them to
the same ``submit`` that everybody uses.

1. Each original model's strategy gives numbers, which become tie-kept ranks inside (0, 1).
2. A clone takes its original's numbers and a mirror one minus them, so that neither costs a computation.
3. Numbers become a CSV file; a careless member, every third round, sends it late, damaged, for another round, or not at all.

All randomness comes from (seed, model name, round number), so no member's draws depend on who else takes part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pyarrow as pa

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.ids import RoundKey
from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from market.ranks import tie_kept_rank
from service.replay.crowd import Member
from service.replay.files import HEADERS, damage, write_csv
from service.replay.providers.classic import ClassicArchive, ClassicInput, read_era
from service.replay.providers.window import StrategyInput, round_window

CARELESS_EVERY_ROUNDS = 3
"""A careless member is careless in one round of three: often enough to see it, seldom enough to stay in the contest."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a member sends.

    Attributes
    ----------
    model_name, filename : str
        Whose file, and what it is called.
    data : bytes
        The file.
    round_key : RoundKey
        The round that the sender names; not the one that is open if the sender is wrong about it.
    late : bool
        True when it is sent only after the round has closed.
    """

    model_name: str
    filename: str
    data: bytes
    round_key: RoundKey
    late: bool


def member_rng(seed: int, model_name: str, round_number: int) -> np.random.Generator:
    """Return the generator of one model in one round: independent of all others, the same in every run."""
    return np.random.default_rng([seed, crc32(model_name.encode()), round_number])


def signals_uploads(
    members: Sequence[Member], view: PanelView, positions: IntArray, labels: Sequence[str], key: RoundKey, seed: int
) -> tuple[Upload, ...]:
    """Return the files that the crowd sends to a round of the signals tournament.

    Parameters
    ----------
    members : sequence of Member
        The roster; members of the other tournament are passed over.
    view : PanelView
        The panel as known at the round's opening: nobody's file is made of anything later.
    positions : (n,) int
        The round's universe as positions in the panel.
    labels : sequence of str, length n
        What a file calls each asset.
    key : RoundKey
        The round that is open.
    seed : int
        The replay's seed.

    Returns
    -------
    tuple of Upload
        In the roster's order; at most one a member.
    """
    window = round_window(view, positions)

    def compute(member: Member) -> FloatArray:
        if member.strategy is None:
            raise InvariantBroken(Code.INTERNAL, f"Model {member.model_name} has no strategy for its tournament.")
        rng = member_rng(seed, member.model_name, key.number)
        return member.strategy(StrategyInput(view, positions, window, rng))

    return _uploads(members, compute, labels, key, seed)


def classic_uploads(
    members: Sequence[Member], live: pa.Table, archive: ClassicArchive, key: RoundKey, seed: int
) -> tuple[Upload, ...]:
    """Return the files that the crowd sends to a round of the classic tournament.

    Parameters
    ----------
    members : sequence of Member
        The roster; members of the other tournament are passed over.
    live : pyarrow.Table
        The live era as published at the opening: era, id and features.
    archive : ClassicArchive
        The eras whose targets were public by then.
    key : RoundKey
        The round that is open.
    seed : int
        The replay's seed.
    """
    era = read_era(live)

    def compute(member: Member) -> FloatArray:
        if member.classic_strategy is None:
            raise InvariantBroken(Code.INTERNAL, f"Model {member.model_name} has no strategy for its tournament.")
        return member.classic_strategy(ClassicInput(era, archive, member_rng(seed, member.model_name, key.number)))

    return _uploads(members, compute, era.ids, key, seed)


def unit_values(members: Sequence[Member], compute: Callable[[Member], FloatArray]) -> dict[str, FloatArray]:
    """Return each member's tie-kept ranks in (0, 1), NaN where it has no opinion, by model name.

    ``compute`` is asked for originals only: a clone is given the original's array, a mirror one minus it.
    """
    values = {m.model_name: tie_kept_rank(compute(m)) for m in members if m.clone_of is None and m.mirror_of is None}
    for member in members:
        if member.clone_of is not None:
            values[member.model_name] = _original(values, member.clone_of)
        elif member.mirror_of is not None:
            values[member.model_name] = 1.0 - _original(values, member.mirror_of)
    return values


def _original(values: Mapping[str, FloatArray], name: str) -> FloatArray:
    if name not in values:
        raise InvariantBroken(Code.MODEL_UNKNOWN, f"The roster names '{name}' as an original before it computes one.")
    return values[name]


def _uploads(
    members: Sequence[Member], compute: Callable[[Member], FloatArray], labels: Sequence[str], key: RoundKey, seed: int
) -> tuple[Upload, ...]:
    taking_part = [m for m in members if m.tournament is key.tournament]
    values = unit_values(taking_part, compute)
    names = np.asarray(labels)
    uploads = []
    for member in taking_part:
        careless = member.habit if _is_careless(member, key.number) else "careful"
        if careless == "skips":
            continue
        known = np.isfinite(values[member.model_name])
        data = write_csv(names[known].tolist(), values[member.model_name][known], HEADERS[key.tournament])
        if careless == "malformed":
            # A second stream: the damage must not repeat the draws that made the numbers.
            data = damage(data, np.random.default_rng([seed, crc32(member.model_name.encode()), key.number, 1]))
        named = _wrong(key) if careless == "wrong_round" else key
        uploads.append(Upload(member.model_name, f"{member.model_name}_{key}.csv", data, named, careless == "late"))
    return tuple(uploads)


def _is_careless(member: Member, round_number: int) -> bool:
    turn = crc32(member.model_name.encode()) % CARELESS_EVERY_ROUNDS
    return member.habit != "careful" and round_number % CARELESS_EVERY_ROUNDS == turn


def _wrong(key: RoundKey) -> RoundKey:
    """Return the round that a sender who is a week behind would name; the next one where there is none before."""
    return RoundKey(key.tournament, key.number - 1 if key.number > 1 else key.number + 1)
