"""Uploads are all kept, repetitions are one, and the latest accepted file on time counts: on both databases."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.store import rounds, submissions
from service.store.records import SubmissionCounts
from tests.builders.store_rows import add_model, add_round, round_record, submission


@pytest.fixture
def stage(store):
    with store.write() as connection:
        alpha, beta = add_model(connection, "alpha"), add_model(connection, "beta")
        keys = [add_round(connection, number) for number in (1, 2, 3)]
    return store, alpha, beta, keys


def test_an_upload_comes_back_with_its_place_in_the_sequence(stage):
    store, alpha, beta, (key, *_) = stage
    with store.write() as connection:
        first = submissions.add_submission(connection, submission(key, alpha, "a"))
        second = submissions.add_submission(connection, replace(submission(key, beta, "b"), receipt=None, sequence=77))
    assert first == replace(submission(key, alpha, "a"), sequence=1)
    assert second.sequence == 2
    with store.read() as connection:
        assert submissions.submission_by_id(connection, first.id) == first
        assert submissions.submission_by_id(connection, second.id) == second
        assert submissions.submission_by_id(connection, "nothing") is None
        assert submissions.submissions_of_round(connection, key) == [first, second]
        assert submissions.submissions_of_model(connection, alpha.id) == [first]


def test_the_same_accepted_bytes_sent_again_are_the_same_submission(stage):
    store, alpha, _, (key, *_) = stage
    with store.write() as connection:
        first = submissions.add_submission(connection, submission(key, alpha, "a"))
    with store.write() as connection:
        assert submissions.add_submission(connection, submission(key, alpha, "a", tag="again")) == first
        late = submission(key, alpha, "a", tag="late", on_time=False)
        assert submissions.add_submission(connection, late) == first
        assert len(submissions.submissions_of_round(connection, key)) == 1


def test_bytes_that_return_after_others_count_again(stage):
    """Who sends A, then B, then A means A: the latest valid file wins, and its receipt is a new one."""
    store, alpha, _, (key, *_) = stage
    with store.write() as connection:
        kept = [submissions.add_submission(connection, submission(key, alpha, sha, tag=t)) for sha, t in ("a1", "b2", "a3")]
        assert [s.sequence for s in kept] == [1, 2, 3]
        assert submissions.selected_submissions(connection, key) == {alpha.id: kept[2]}


def test_refused_uploads_are_all_kept_and_change_nothing(stage):
    store, alpha, _, (key, *_) = stage
    with store.write() as connection:
        first = submissions.add_submission(connection, submission(key, alpha, "a"))
        for tag in "xy":
            submissions.add_submission(connection, submission(key, alpha, "f", accepted=False, tag=tag))
        assert submissions.add_submission(connection, submission(key, alpha, "a", tag="again")) == first
        assert submissions.submission_counts(connection, key) == SubmissionCounts(accepted=1, late=0, refused=2)


def test_same_bytes_for_another_model_or_round_are_another_submission(stage):
    store, alpha, beta, keys = stage
    with store.write() as connection:
        kept = [
            submissions.add_submission(connection, submission(key, model, "a")) for key in keys[:2] for model in (alpha, beta)
        ]
    assert [s.sequence for s in kept] == [1, 2, 3, 4]


def test_a_round_counts_the_latest_accepted_file_on_time(stage):
    store, alpha, beta, (key, other, _) = stage
    with store.write() as connection:
        add = lambda *a, **k: submissions.add_submission(connection, submission(*a, **k))  # noqa: E731
        add(key, alpha, "a1")
        want = add(key, alpha, "a2")
        add(key, alpha, "a3", accepted=False)
        add(key, alpha, "a4", on_time=False)
        add(key, beta, "b1", on_time=False)
        add(other, beta, "b2")
        assert submissions.selected_submissions(connection, key) == {alpha.id: want}
        assert submissions.submission_counts(connection, key) == SubmissionCounts(accepted=2, late=2, refused=1)
        assert [s.sha256[:2] for s in submissions.submissions_of_model(connection, alpha.id, limit=2)] == ["a4", "a3"]


def close(connection, *keys):
    for key in keys:
        rounds.advance_round(connection, key, (RoundState.OPEN,), RoundState.CLOSED, submissions_root="ab" * 32)


def test_the_previous_selection_skips_rounds_without_one(stage):
    store, alpha, beta, (first, second, third) = stage
    with store.write() as connection:
        classic = round_record(2, Tournament.CLASSIC, RoundState.OPEN)
        rounds.add_round(connection, classic)
        add = lambda *a, **k: submissions.add_submission(connection, submission(*a, **k))  # noqa: E731
        add(first, alpha, "a1")
        want = add(first, alpha, "a2")
        add(second, alpha, "a3", on_time=False)
        add(second, alpha, "a4", accepted=False)
        add(classic.key, alpha, "a5")
        add(third, alpha, "a6")
        add(second, beta, "b1")
        # A round that never closed, or not yet, counted nothing.
        assert submissions.previous_selected(connection, alpha.id, third) is None
        close(connection, first, second)
        assert submissions.previous_selected(connection, alpha.id, third) == want
        assert submissions.previous_selected(connection, alpha.id, second) == want
        assert submissions.previous_selected(connection, alpha.id, first) is None
        assert submissions.previous_selected(connection, "nobody", third) is None


def test_earlier_selections_come_latest_first_and_no_more_than_asked(stage):
    store, alpha, beta, keys = stage
    fourth = round_record(4, Tournament.SIGNALS, RoundState.OPEN)
    with store.write() as connection:
        rounds.add_round(connection, fourth)
        add = lambda *a, **k: submissions.add_submission(connection, submission(*a, **k))  # noqa: E731
        # In another order than that of the rounds: a file for an earlier round may be committed later.
        kept = {key.number: add(key, alpha, f"c{key.number}") for key in (keys[1], keys[2], keys[0])}
        add(keys[2], beta, "b3")
        add(fourth.key, alpha, "c4")
        close(connection, *keys)
        earlier = lambda count: submissions.earlier_selected(connection, alpha.id, fourth.key, count)  # noqa: E731
        assert earlier(2) == [kept[3], kept[2]]
        assert earlier(9) == [kept[3], kept[2], kept[1]]


def test_an_upload_for_no_round_is_refused_by_the_key(stage):
    store, alpha, _, _ = stage
    with pytest.raises(IntegrityError), store.write() as connection:
        submissions.add_submission(connection, submission(RoundKey(Tournament.SIGNALS, 99), alpha, "a"))
