"""A season: history driven through the platform as if it were live.

It owns no rule. Rounds open, close, score and resolve because their occurrences fall due under a simulated clock, the very
occurrences that a scheduler would claim; files come in through the same ``submit`` that every door calls.

1. Accounts and models of the crowd are created, the classic history is published, the timetable is planned, and the treasury
   is filled for more rounds than any season has.
2. The next instant is the earlier of the next due occurrence and the next file on its way.
3. At an occurrence the runner works off what is due; when a round has opened, the crowd's files for it are put on their way.
4. At a file, it is submitted for its model, to the round that its sender names.
5. The season ends after the last session's settlement. What would resolve later stays pending, with its stake locked.
"""

import heapq
import io
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crowdalpha.errors import CrowdalphaError
from crowdalpha.ids import RoundKey, Tournament
from service.context import Platform
from service.frames import get_frame
from service.jobs.plan import plan_ahead
from service.jobs.runner import run_due
from service.progress import Progress
from service.replay.crowd import Member
from service.replay.providers.classic import ClassicArchive
from service.replay.uploads import Upload, classic_uploads, signals_uploads
from service.settings import load_terms
from service.store import occurrences, rounds
from service.store.records import RoundRecord
from service.workflows.accounts import create_model, create_provider
from service.workflows.publish import publish
from service.workflows.publish_classic import resolved_eras, training_table
from service.workflows.submit import submit
from service.workflows.treasury import deposit_treasury
from staking import parse_amount

OWNER = "replay"
CLASSIC_HISTORY_WEEKS = 104
FIRST_FILE_MINUTES = 30
"""How long after a round's opening the first file comes in; the others follow a minute apart."""
LATE_MINUTES = 10
DEPOSIT_SHARE_FREE = 4
"""Of what a provider deposits, a quarter stays in the wallet."""

WEEKS_COVERED = 30 * 52
"""Rounds a tournament whose budgets the treasury is given. A constant: no season's beginning may depend on where it ends."""


@dataclass(slots=True)
class _Crowd:
    """The crowd's state between rounds: files on their way, what the classic modellers have learnt."""

    platform: Platform
    members: tuple[Member, ...]
    seed: int
    on_the_way: list[tuple[datetime, int, Upload]] = field(default_factory=list)
    archive: ClassicArchive = field(default_factory=ClassicArchive)
    eras_read: int = 0
    answered: set[RoundKey] = field(default_factory=set)
    verdicts: dict[str, int] = field(default_factory=dict)
    sent: int = 0


def play_season(
    platform: Platform, members: tuple[Member, ...], first: datetime, last: datetime, seed: int, progress: Progress
) -> dict[str, int]:
    """Play the rounds that open in [first, last]; return how many files met which verdict.

    Parameters
    ----------
    platform : Platform
        On a fresh home, with a simulated clock that stands at or before ``first``.
    members : tuple of Member
        The crowd.
    first, last : datetime
        Aware UTC; nothing happens after ``last``.
    seed : int
        Of the crowd's randomness.
    """
    crowd = _Crowd(platform, members, seed)
    _advance(platform, first)
    _create_accounts(platform, members)
    published = publish(platform, CLASSIC_HISTORY_WEEKS)
    progress.note(f"Published {published.train + published.validation} classic eras of history.")
    _read_history(crowd)
    due = _due_instants(platform, last)
    _fill_treasury(platform)
    progress.start(len(due), "rounds")
    for instant in due:
        _send_until(crowd, instant)
        _advance(platform, instant)
        run_due(platform, OWNER, strict=True)
        for text in _answer_new_rounds(crowd):
            progress.note(text)
        progress.advance(f"{instant:%Y-%m-%d}")
    _send_until(crowd, last)
    return dict(sorted(crowd.verdicts.items()))


def _advance(platform: Platform, instant: datetime) -> None:
    clock: Any = platform.clock
    clock.advance_to(instant)


def _create_accounts(platform: Platform, members: tuple[Member, ...]) -> None:
    deposits: dict[str, int] = {}
    for member in members:
        deposits[member.provider_name] = deposits.get(member.provider_name, 0) + parse_amount(member.stake_tokens)
    for name, staked in deposits.items():
        create_provider(platform, name, staked + staked // DEPOSIT_SHARE_FREE)
    for member in members:
        create_model(platform, member.provider_name, member.model_name, member.tournament, parse_amount(member.stake_tokens))


def _due_instants(platform: Platform, last: datetime) -> list[datetime]:
    """Plan the timetable up to ``last`` and return its distinct instants in order."""
    plan_ahead(platform, last)
    with platform.store.read() as connection:
        return sorted({o.due_at for o in occurrences.planned(connection, last)})


def _fill_treasury(platform: Platform) -> None:
    """Deposit what covers the budgets of thirty years of weekly rounds, as an operator would who means to hold them."""
    atoms = 0
    for tournament in Tournament:
        named = getattr(platform.settings.tournaments, tournament.label)
        atoms += WEEKS_COVERED * load_terms(named.terms, platform.settings.config_dir).payout.budget_atoms
    if atoms:
        deposit_treasury(platform, atoms)


def _answer_new_rounds(crowd: _Crowd) -> list[str]:
    """Put the crowd's files for newly opened rounds on their way; return a line for each round."""
    lines = []
    for tournament in Tournament:
        with crowd.platform.store.read() as connection:
            record = rounds.latest_round(connection, tournament)
        if record is None or record.key in crowd.answered:
            continue
        crowd.answered.add(record.key)
        files = _files_for(crowd, record)
        for place, upload in enumerate(files):
            at = record.opens_at + timedelta(minutes=FIRST_FILE_MINUTES + place)
            if upload.late:
                at = record.closes_at + timedelta(minutes=LATE_MINUTES)
            crowd.sent += 1
            heapq.heappush(crowd.on_the_way, (at, crowd.sent, upload))
        lines.append(f"{record.opens_at:%Y-%m-%d}  {record.key} opened, {len(files)} files on their way")
    return lines


def _files_for(crowd: _Crowd, record: RoundRecord) -> tuple[Upload, ...]:
    platform = crowd.platform
    with platform.store.read() as connection:
        frame = get_frame(connection, platform.blobs, record.key)
        files = rounds.artifacts(connection, record.key)
    if record.key.tournament is Tournament.SIGNALS:
        positions = platform.desk.positions_of(frame.asset_ids)
        view = platform.desk.view(record.opens_at)
        return signals_uploads(crowd.members, view, positions, frame.labels, record.key, crowd.seed)
    import pyarrow.parquet as pq

    for number, table in resolved_eras(platform, crowd.eras_read):
        crowd.archive = crowd.archive.with_era(table)
        crowd.eras_read = number
    live = pq.read_table(io.BytesIO(platform.blobs.get(files["live"])))
    return classic_uploads(crowd.members, live, crowd.archive, record.key, crowd.seed)


def _read_history(crowd: _Crowd) -> None:
    import pyarrow.compute as pc

    table = training_table(crowd.platform)
    if table is None:
        return
    for era in table.column("era").unique().to_pylist():
        crowd.archive = crowd.archive.with_era(table.filter(pc.equal(table.column("era"), era)))


def _send_until(crowd: _Crowd, instant: datetime) -> None:
    while crowd.on_the_way and crowd.on_the_way[0][0] < instant:
        at, _, upload = heapq.heappop(crowd.on_the_way)
        _advance(crowd.platform, at)
        verdict = _send(crowd.platform, upload)
        crowd.verdicts[verdict] = crowd.verdicts.get(verdict, 0) + 1


def _send(platform: Platform, upload: Upload) -> str:
    """Submit one file and name its verdict; a refusal is the sender's matter and never stops the season."""
    try:
        outcome = submit(platform, upload.model_name, upload.data, upload.filename, upload.round_key)
    except CrowdalphaError as error:
        return f"refused:{error.code.value}"
    if not outcome.accepted:
        worst = next(f for f in outcome.findings if f.refuses)
        return f"refused:{worst.code.value}"
    return "late" if outcome.late else "accepted"
