"""Column types bring back exactly what went in and keep its order: round trips at the edges, on both databases."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from crowdalpha.errors import InvariantBroken
from service.store.types import (
    Amount,
    CanonicalJson,
    Measure,
    MeasuredJson,
    UtcInstant,
    decode_amount,
    encode_amount,
)

SAMPLE = Table(
    "sample",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("amount", Amount),
    Column("at", UtcInstant),
    Column("plain", CanonicalJson),
    Column("measured", MeasuredJson),
    Column("measure", Measure),
)
EDGES = (0, 1, -1, 2, 10**18 - 1, 10**18, 2**63 - 1, 2**63, -(2**63) - 1, 10**27, 10**30, -(10**30), 10**78 - 1, 1 - 10**78)


@pytest.fixture
def sample(store):
    with store.write() as connection:
        SAMPLE.create(connection)
    return store


def _keep(store, column, values):
    rows = [{"id": i, column: value} for i, value in enumerate(values)]
    with store.write() as connection:
        connection.execute(insert(SAMPLE), rows)
    with store.read() as connection:
        return list(connection.execute(select(SAMPLE.c[column]).order_by(SAMPLE.c.id)).scalars())


def test_amounts_come_back_as_they_went_in(sample):
    seed = 4711
    print(f"seed {seed}")
    rng = random.Random(seed)
    values = [*EDGES, None, *(rng.randint(-(10**30), 10**30) for _ in range(200))]
    back = _keep(sample, "amount", values)
    assert back == values
    assert all(value is None or type(value) is int for value in back)


def test_amounts_sort_as_numbers(sample):
    seed = 4712
    print(f"seed {seed}")
    rng = random.Random(seed)
    values = [*EDGES, *(rng.randint(-(10 ** rng.randint(0, 40)), 10 ** rng.randint(0, 40)) for _ in range(200))]
    _keep(sample, "amount", values)
    with sample.read() as connection:
        assert list(connection.execute(select(SAMPLE.c.amount).order_by(SAMPLE.c.amount)).scalars()) == sorted(values)
        above = connection.execute(select(SAMPLE.c.amount).where(SAMPLE.c.amount > -1)).scalars()
        assert sorted(above) == sorted(value for value in values if value > -1)


@pytest.mark.parametrize("value", [True, 1.0, "1", 10**78, -(10**78)])
def test_what_is_no_amount_is_refused(sample, value):
    with pytest.raises(InvariantBroken), sample.write() as connection:
        connection.execute(insert(SAMPLE), {"id": 1, "amount": value})


@pytest.mark.parametrize(
    "text", ["", "1", "p1", "q" + "0" * 78, "p" + "0" * 77 + "²", "n" + "0" * 79, "p" + "0" * 78 + "\n", b"p0", 7]
)
def test_text_that_is_no_amount_is_never_read_as_one(text):
    with pytest.raises(InvariantBroken):
        decode_amount(text)


def test_amount_text_is_pinned():
    assert encode_amount(0) == "p" + "0" * 78
    assert encode_amount(-1) == "n" + "9" * 78
    assert encode_amount(10**18) == "p" + "1".rjust(60, "0") + "0" * 18


def test_instants_keep_microseconds_and_are_utc(sample):
    instants = [
        datetime(2016, 1, 4, 21, 0, 0, 1, tzinfo=UTC),
        datetime(2016, 1, 4, 21, 0, 0, 0, tzinfo=UTC),
        datetime(2016, 7, 4, 12, 30, tzinfo=timezone(timedelta(hours=-4))),
        datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ]
    back = _keep(sample, "at", instants)
    assert back == instants
    assert all(value.utcoffset() == timedelta(0) and value.tzinfo is UTC for value in back)
    with sample.read() as connection:
        assert list(connection.execute(select(SAMPLE.c.at).order_by(SAMPLE.c.at)).scalars()) == sorted(instants)


@pytest.mark.parametrize("value", [datetime(2016, 1, 4), "2016-01-04"])  # noqa: DTZ001 - naive on purpose
def test_instants_without_a_zone_are_refused(sample, value):
    with pytest.raises(InvariantBroken), sample.write() as connection:
        connection.execute(insert(SAMPLE), {"id": 1, "at": value})


def test_json_comes_back(sample):
    plain = {"b": [1, None, "ü"], "a": {"n": 10**30, "t": True}}
    assert _keep(sample, "plain", [plain, {}, []]) == [plain, {}, []]


def test_floats_have_no_canonical_text(sample):
    with pytest.raises(InvariantBroken), sample.write() as connection:
        connection.execute(insert(SAMPLE), {"id": 1, "plain": {"x": 0.5}})


def test_measured_numbers_come_back_bit_for_bit(sample):
    numbers = [0.1, 1e-308, 5e-324, 1.7976931348623157e308, 0.0, -1 / 3]
    assert [x.hex() for x in _keep(sample, "measure", numbers)] == [x.hex() for x in numbers]
    rows = [{"id": 100, "measured": {str(i): x for i, x in enumerate(numbers)}}]
    with sample.write() as connection:
        connection.execute(insert(SAMPLE), rows)
        back = connection.execute(select(SAMPLE.c.measured).where(SAMPLE.c.id == 100)).scalar_one()
    assert [x.hex() for x in back.values()] == [x.hex() for x in numbers]


def test_a_zero_has_no_sign(sample):
    assert [x.hex() for x in _keep(sample, "measure", [-0.0])] == [(0.0).hex()]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(sample, value):
    for column, content in (("measure", value), ("measured", {"x": value})):
        with pytest.raises(InvariantBroken), sample.write() as connection:
            connection.execute(insert(SAMPLE), {"id": 1, column: content})
