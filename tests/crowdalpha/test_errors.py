"""Errors reach another process whole. Method: each kind is sent through pickle, which is how a worker sends it."""

import pickle

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import (
    Conflict,
    CrowdalphaError,
    Finding,
    InputRejected,
    InvariantBroken,
    NumericalFailure,
    Unavailable,
)


@pytest.mark.parametrize("kind", [Conflict, Unavailable, NumericalFailure, InvariantBroken])
def test_an_error_is_the_same_in_another_process(kind: type[CrowdalphaError]) -> None:
    error = kind(Code.INTERNAL, "What was the matter.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.code, again.message, str(again)) == (Code.INTERNAL, error.message, str(error))


def test_findings_go_along() -> None:
    finding = Finding(Code.ID_UNKNOWN, "Nobody knows it.", 2, "ticker", "NOPE", refuses=False)
    again = pickle.loads(pickle.dumps(InputRejected(Code.ROWS_TOO_FEW, "Nothing is left.", [finding])))
    assert again.findings == (finding,)
    assert str(again) == "Nothing is left. [rows_too_few]"
