"""Submissions: every upload with its verdict, and which of them a round counts.

1. Each upload becomes a row; nothing is ever replaced.
2. The sequence number follows the order of commits, so "the latest" means the one whose commit came last.
3. The same bytes sent again, with nothing accepted for the model and round since, are the same submission: a client that never
   saw the answer may repeat itself. After another accepted file they are a new one, because then they say something new.
4. A round counts each model's latest accepted submission that came on time.
"""

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select

from crowdalpha.ids import RoundKey, Tournament
from service.store.records import SubmissionCounts, SubmissionRecord
from service.store.schema import of_round, round_values, rounds, submissions

_COLUMNS = tuple(f.name for f in fields(SubmissionRecord) if f.name != "round")


def _record(row: Row[Any]) -> SubmissionRecord:
    key = RoundKey(Tournament(row.tournament), row.number)
    return SubmissionRecord(round=key, **{name: getattr(row, name) for name in _COLUMNS})


def add_submission(connection: Connection, record: SubmissionRecord) -> SubmissionRecord:
    """Keep a judged upload and return it with its sequence number; a repetition returns what stands.

    Parameters
    ----------
    connection : Connection
        A writing one.
    record : SubmissionRecord
        Its ``sequence`` is ignored.
    """
    if record.accepted:
        latest = _latest_accepted(connection, record.round, record.model_id)
        if latest is not None and latest.sha256 == record.sha256:
            return latest
    last = connection.execute(select(func.max(submissions.c.sequence))).scalar()
    kept = replace(record, sequence=(last or 0) + 1)
    values = {name: getattr(kept, name) for name in _COLUMNS}
    connection.execute(insert(submissions).values(**round_values(kept.round), **values))
    return kept


def _latest_accepted(connection: Connection, key: RoundKey, model_id: str) -> SubmissionRecord | None:
    own = of_round(submissions, key) & (submissions.c.model_id == model_id) & submissions.c.accepted
    statement = select(submissions).where(own).order_by(submissions.c.sequence.desc()).limit(1)
    row = connection.execute(statement).first()
    return None if row is None else _record(row)


def submission_by_id(connection: Connection, submission_id: str) -> SubmissionRecord | None:
    """Return the submission of that id, or None."""
    row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).first()
    return None if row is None else _record(row)


def selected_submissions(connection: Connection, key: RoundKey) -> dict[str, SubmissionRecord]:
    """Return what a round counts: for each model id its latest accepted submission on time. Ordered by model id."""
    counted = of_round(submissions, key) & submissions.c.accepted & submissions.c.on_time
    rows = connection.execute(select(submissions).where(counted).order_by(submissions.c.sequence))
    latest = {row.model_id: _record(row) for row in rows}
    return dict(sorted(latest.items()))


def previous_selected(connection: Connection, model_id: str, before: RoundKey) -> SubmissionRecord | None:
    """Return what the last earlier round of the tournament that counted anything of the model counted, or None."""
    return next(iter(earlier_selected(connection, model_id, before, 1)), None)


def earlier_selected(connection: Connection, model_id: str, before: RoundKey, count: int) -> list[SubmissionRecord]:
    """Return what the last ``count`` such rounds counted of the model, the latest round first; fewer where there are fewer."""
    table = submissions.c
    own = (table.model_id == model_id) & _counted_before(before)
    latest = select(func.max(table.sequence)).where(own).group_by(table.number)
    statement = select(submissions).where(table.sequence.in_(latest)).order_by(table.number.desc()).limit(count)
    return [_record(row) for row in connection.execute(statement)]


def last_counted(connection: Connection, before: RoundKey) -> int | None:
    """Return the number of the last earlier round of the tournament that counted a file of anybody, or None."""
    return connection.execute(select(func.max(submissions.c.number)).where(_counted_before(before))).scalar()


def _counted_before(before: RoundKey) -> ColumnElement[bool]:
    """Say which files earlier rounds of the tournament may have counted: a round that never closed counted none."""
    table, round_ = submissions.c, rounds.c
    closed = select(round_.number).where(round_.tournament == int(before.tournament), round_.submissions_root.is_not(None))
    timely = (table.tournament == int(before.tournament)) & table.accepted & table.on_time & (table.number < before.number)
    return timely & table.number.in_(closed)


def submissions_of_round(connection: Connection, key: RoundKey) -> list[SubmissionRecord]:
    """Return all uploads of a round, refused and late ones too, in their order."""
    statement = select(submissions).where(of_round(submissions, key)).order_by(submissions.c.sequence)
    return [_record(row) for row in connection.execute(statement)]


def submissions_of_model(connection: Connection, model_id: str, limit: int | None = None) -> list[SubmissionRecord]:
    """Return the uploads of a model, the latest first."""
    statement = select(submissions).where(submissions.c.model_id == model_id).order_by(submissions.c.sequence.desc())
    return [_record(row) for row in connection.execute(statement.limit(limit))]


def submission_counts(connection: Connection, key: RoundKey) -> SubmissionCounts:
    """Count a round's uploads by verdict; a refused file is refused, late or not."""
    table = submissions.c
    statement = select(table.accepted, table.on_time, func.count()).where(of_round(submissions, key))
    rows = connection.execute(statement.group_by(table.accepted, table.on_time)).all()
    return SubmissionCounts(
        accepted=sum(n for accepted, on_time, n in rows if accepted and on_time),
        late=sum(n for accepted, on_time, n in rows if accepted and not on_time),
        refused=sum(n for accepted, _, n in rows if not accepted),
    )
