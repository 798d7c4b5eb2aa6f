"""Migrations lead to exactly the tables that the statements are written with, and both databases get the same ones."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import Tournament
from service.store import migrations, rounds
from service.store.engine import Store
from service.store.migrations import HEAD_REVISION, current_revision, downgrade, upgrade
from service.store.schema import APPEND_ONLY, metadata
from tests.builders.store_rows import round_record


def test_the_newest_step_is_the_last_file():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


def test_every_step_is_named_by_number_and_words():
    folder = Path(migrations.__file__).parent / "versions"
    steps = sorted(path.stem for path in folder.glob("[0-9]*.py"))
    assert [step[:4] for step in steps] == [f"{n:04d}" for n in range(1, len(steps) + 1)]
    assert all(step[4] == "_" and step[5:].replace("_", "").isalpha() for step in steps)


def test_up_again_and_down(empty_database_url):
    store = Store(empty_database_url)
    assert current_revision(store) is None
    upgrade(store)
    assert current_revision(store) == HEAD_REVISION
    upgrade(store)
    downgrade(store)
    assert current_revision(store) is None
    with store.read() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    upgrade(store)
    assert current_revision(store) == HEAD_REVISION
    store.dispose()


def test_a_database_with_rounds_that_were_opened_twice_is_brought_up_and_keeps_them(store):
    downgrade(store, "0003")
    doubled = [round_record(1), replace(round_record(2), base_session=round_record(1).base_session)]
    with store.write() as connection:
        for record in doubled:
            rounds.add_round(connection, record)
    upgrade(store)
    assert current_revision(store) == HEAD_REVISION
    with store.read() as connection:
        assert rounds.list_rounds(connection) == doubled
        assert rounds.round_of_session(connection, Tournament.SIGNALS, doubled[0].base_session) == doubled[1]
    downgrade(store, "0003")
    assert current_revision(store) == "0003"


def test_migrated_tables_are_those_of_the_schema(store):
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": metadata})
        assert compare_metadata(context, metadata) == []


def test_a_database_of_a_later_version_is_refused(store):
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputRejected) as caught:
        upgrade(store)
    assert caught.value.code is Code.HOME_VERSION
    assert current_revision(store) == "9999"


def test_two_that_start_at_once_migrate_once(empty_database_url):
    stores = [Store(empty_database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, stores))
    for store in stores:
        assert current_revision(store) == HEAD_REVISION
        store.dispose()


def _shape(connection):
    """Return names, kinds of columns, keys, references, uniqueness and indexes of all tables, without dialect words."""
    found = inspect(connection)
    shape = {}
    for table in found.get_table_names():
        columns = {}
        for column in found.get_columns(table):
            kind = metadata.tables[table].c[column["name"]].type if table in metadata.tables else column["type"]
            columns[column["name"]] = (type(kind).__name__, column["nullable"])
        keys = found.get_pk_constraint(table)
        references = {
            (f["name"], tuple(f["constrained_columns"]), f["referred_table"], tuple(f["referred_columns"]))
            for f in found.get_foreign_keys(table)
        }
        shape[table] = {
            "columns": columns,
            "key": (keys["name"], tuple(keys["constrained_columns"])),
            "references": references,
            "unique": {(u["name"], tuple(u["column_names"])) for u in found.get_unique_constraints(table)},
            "indexes": {
                (i["name"], tuple(i["column_names"]), bool(i["unique"]))
                for i in found.get_indexes(table)
                if not i.get("duplicates_constraint")
            },
            "checks": {c["name"] for c in found.get_check_constraints(table)},
        }
    shape.pop("alembic_version")
    return shape


@pytest.mark.postgres
def test_both_databases_have_the_same_tables(tmp_path, sqlite_template, postgres_databases):
    name = postgres_databases.migrated()
    stores = [Store.for_home(Path(shutil.copy(sqlite_template, tmp_path / "x.db"))), Store(postgres_databases.url(name))]
    shapes = []
    for store in stores:
        with store.read() as connection:
            shapes.append(_shape(connection))
        store.dispose()
    postgres_databases.drop(name)
    assert shapes[0] == shapes[1]
    assert set(shapes[0]) == set(metadata.tables)


def test_amounts_and_instants_have_the_column_types_that_keep_them(store):
    want = {
        "sqlite": {"Amount": "TEXT", "UtcInstant": "TEXT"},
        "postgresql": {"Amount": "NUMERIC(78, 0)", "UtcInstant": "TIMESTAMP"},
    }[store.dialect]
    with store.read() as connection:
        found = inspect(connection)
        for table in metadata.tables.values():
            real = {column["name"]: str(column["type"]) for column in found.get_columns(table.name)}
            for column in table.columns:
                kind = type(column.type).__name__
                assert real[column.name] == want.get(kind, real[column.name]), (table.name, column.name)


def test_append_only_tables_have_their_triggers(store):
    query = {
        "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
    }[store.dialect]
    with store.read() as connection:
        found = {tuple(row) for row in connection.execute(text(query))}
    endings = {"sqlite": ("update", "delete", "replace"), "postgresql": ("change", "truncate")}[store.dialect]
    assert found == {(table, f"{table}_no_{ending}") for table in APPEND_ONLY for ending in endings}
