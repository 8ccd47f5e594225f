"""One source's way into a load: cast, judged row by row, judged against the other rows, kept.

    typed       every row as delivered, cast, with the number of the first rule it breaks
    repeated    what the keys that come more than once have in common: the only rows that others can contradict
    versions    those rows, each once however often delivered, without contradictions, each saying since when a
                correction of it is there
    kept        rows of known customers: the single ones and the versions

All of it lies in a scratch file and may outgrow memory. The engine sees its own folder and nothing else: files are
read and written outside it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa

from features.contract import SQL_TYPES, cast, literal, quoted, rules
from features.delivery import ROW, Delivery, Opened
from features.errors import BadData
from features.progress import followed
from features.sources import Column, Source

__all__ = ["MEMORY", "SCRATCH", "Intake", "workbench"]

MEMORY = "3GB"
SCRATCH = "scratch"
ROWS_AT_ONCE = 65_536
KEYS_PER_TURN = 2_000_000
BLOCKS_AT_ONCE = 8  # half a million rows are cast in one statement
CLASH = "the same key twice with other values, known at the same time"
RAGGED = "has another number of fields than the header"


def workbench(folder: Path, memory: str = MEMORY) -> duckdb.DuckDBPyConnection:
    """An engine that works in a new folder `SCRATCH` in `folder`, spills there beyond `memory`, and can touch no file
    elsewhere. Raises `BadData` when `memory` is no size."""
    (folder / SCRATCH).mkdir()
    engine = duckdb.connect(str(folder / SCRATCH / "scratch.duckdb"))
    try:
        engine.execute("SET memory_limit = ?", [memory])
    except duckdb.Error as error:
        raise BadData(f"{memory!r} is no amount of memory: say 2GB, for instance") from error
    inside = literal(str((folder / SCRATCH).absolute()))
    engine.execute(
        "SET TimeZone = 'UTC'; SET preserve_insertion_order = false; SET enable_progress_bar = false"
    )
    engine.execute(f"SET temp_directory = '{inside}/spill'; SET allowed_directories = ['{inside}/']")
    engine.execute("SET enable_external_access = false; SET lock_configuration = true")
    engine.execute(
        "CREATE TABLE rejects (source VARCHAR, file VARCHAR, row BIGINT, field VARCHAR, rule VARCHAR)"
    )
    engine.execute("CREATE TABLE known_customers (customer_id VARCHAR)")
    return engine


@dataclass(frozen=True)
class Intake:
    """Works on tables of `engine`, where `rejects` collects what is turned away and `known_customers`, filled by
    the customers, who come first, says of whom rows may be."""

    engine: duckdb.DuckDBPyConnection
    source: Source

    def take(self, deliveries: Iterable[tuple[Delivery, Opened]], delivered_at: datetime) -> None:
        """Cast all rows of this source and turn away those that break a rule on their own."""
        files = list(deliveries)
        columns = ", ".join(f"{quoted(c.name)} {SQL_TYPES[c.type]}" for c in self._delivered)
        self.engine.execute(
            f"CREATE OR REPLACE TABLE typed (file_number INTEGER, row BIGINT, broken INTEGER, {columns})"
        )
        self._name_files_and_rules(files, delivered_at)
        total = sum(opened.rows for _, opened in files)
        title = f"reading {self.source.name}"
        for number, rows in followed(_together(files), title, total, lambda read: len(read[1])):
            self._insert(number, files[number][1], rows, delivered_at)
        for number, (_, opened) in enumerate(files):
            ragged = "SELECT {'file': $file, 'row': unnest($rows)}, '', $rule"
            self._reject(ragged, file=number, rows=opened.malformed, rule=RAGGED)
        self._reject(
            "SELECT {'file': typed.file_number, 'row': row}, field, rule FROM typed JOIN broken_rules "
            "ON broken_rules.file_number = typed.file_number AND broken_rules.number = broken"
        )

    def forget(self, erased: Callable[[list[str]], Collection[str]]) -> int:
        """Drop the rows of those whom `erased` names of all customers in them, and the mention of them in rows of others; returns how
        many rows. A delivery of an old file does not bring anybody back."""
        dropped = 0
        for owner in self.source.naming_customers:
            column = quoted(owner)
            asked = self.engine.execute(f"SELECT DISTINCT {column} FROM typed WHERE {column} IS NOT NULL")
            if gone := sorted(erased([one for (one,) in asked.fetchall()])):
                whose = f"WHERE {column} IN (SELECT unnest($gone))"
                if owner == "customer_id":
                    dropped = self._count("typed", f"{column} IN (SELECT unnest($gone))", gone=gone)
                    self.engine.execute(f"DELETE FROM typed {whose}", {"gone": gone})
                else:
                    self.engine.execute(f"UPDATE typed SET {column} = NULL {whose}", {"gone": gone})
        return dropped

    def judge(self) -> None:
        """Turn away contradictions and rows of strangers; drop what came twice; mark what was corrected."""
        key, columns = quoted(self.source.key), self._columns
        # By hash, which is a fraction of the memory: a key taken for repeated by chance is judged like one.
        self._in_turns(
            "repeated",
            f"SELECT hash({key}) AS mark FROM typed WHERE broken IS NULL AND hash({key}) % $turns = $turn "
            "GROUP BY mark HAVING count(*) > 1",
        )
        found_at = "{'file': file_number, 'row': row} AS found_at"
        numbered = f"SELECT {found_at}, {columns} FROM typed"
        repeats = f"JOIN repeated ON mark = hash({key}) WHERE broken IS NULL"
        self._in_turns(
            "once",
            f"SELECT min(found_at) AS found_at, {columns} FROM ({numbered} SEMI {repeats} "
            f"AND hash({key}) % $turns = $turn) GROUP BY ALL",
        )
        clash = f"(SELECT {key}, known_at FROM once GROUP BY ALL HAVING count(*) > 1) USING ({key}, known_at)"
        self._reject(
            f"SELECT found_at, $field, $rule FROM once SEMI JOIN {clash}", field=self.source.key, rule=CLASH
        )
        self._table("unambiguous", f"SELECT * FROM once ANTI JOIN {clash}")
        self.engine.execute(f"CREATE OR REPLACE VIEW single AS {numbered} ANTI {repeats}")
        self._turn_strangers_away()
        corrected = f"lead(known_at) OVER (PARTITION BY {key} ORDER BY known_at) AS superseded_at"
        self._table("versions", f"SELECT {columns}, {corrected} FROM unambiguous {self._of_the_known}")
        singles = f"SELECT {columns}, NULL::TIMESTAMP AS superseded_at FROM single {self._of_the_known}"
        # A table, not a view: joins and the sort that comes next would share the memory.
        self._table("kept", f"{singles} UNION ALL FROM versions")
        if self._is_customers:
            self.engine.execute("INSERT INTO known_customers SELECT DISTINCT customer_id FROM kept")

    def rows(self) -> Iterator[pa.RecordBatch]:
        """The accepted rows, sorted by customer and time, block by block."""
        ordered = ", ".join(quoted(name) for name in self.source.column_names)
        by = f"customer_id, happened_at, {quoted(self.source.key)}, known_at"
        found = self.engine.execute(f"SELECT {ordered} FROM kept ORDER BY {by}")
        yield from found.fetch_record_batch(ROWS_AT_ONCE)

    def counts(self) -> dict[str, int]:
        """What became of the rows: read, loaded, delivered twice, corrections, rejected."""
        ragged = self._count("rejects", f"source = '{self.source.name}' AND field = ''")
        repeats = f"(FROM typed SEMI JOIN repeated ON mark = hash({quoted(self.source.key)}))"
        return {
            "read": self._count("typed") + ragged,
            "loaded": self._count("kept"),
            "delivered twice": self._count(repeats, "broken IS NULL") - self._count("once"),
            "corrections": self._count("versions", "superseded_at IS NOT NULL"),
            "rejected": self._count("rejects", f"source = '{self.source.name}'"),
        }

    @property
    def _is_customers(self) -> bool:
        return self.source.name == "customers"

    @property
    def _of_the_known(self) -> str:
        return "" if self._is_customers else "SEMI JOIN known_customers USING (customer_id)"

    @property
    def _delivered(self) -> list[Column]:
        return [column for column in self.source.columns if column.name != "superseded_at"]

    @property
    def _columns(self) -> str:
        return ", ".join(quoted(c.name) for c in self._delivered)

    def _name_files_and_rules(self, files: Sequence[tuple[Delivery, Opened]], delivered_at: datetime) -> None:
        """What the numbers in `typed` stand for: `files`, and per file `broken_rules`."""
        named = pa.table({"number": range(len(files)), "file": [delivery.file for delivery, _ in files]})
        broken = [
            {"file_number": number, "number": place, "field": name, "rule": rule}
            for number, (_, opened) in enumerate(files)
            for place, (name, rule, _) in enumerate(rules(self.source, _types(opened), delivered_at))
        ]
        for name, rows in (("files", named), ("broken_rules", pa.Table.from_pylist(broken))):
            self.engine.register("named", rows)
            self._table(name, "FROM named")
            self.engine.unregister("named")

    def _insert(self, number: int, opened: Opened, rows: pa.Table, delivered_at: datetime) -> None:
        """Cast rows of one file and mark each with the first rule it breaks."""
        found = _types(opened)
        broken = " ".join(
            f"WHEN {test} THEN {place}"
            for place, (_, _, test) in enumerate(rules(self.source, found, delivered_at))
        )
        typed = ", ".join(f"{cast(c, found)} AS {quoted(c.name)}" for c in self._delivered)
        raw = ", ".join(
            f"{quoted(c.name)} AS {quoted('raw ' + c.name)}" for c in self._delivered if c.name in found
        )
        self.engine.register("delivered", rows)
        self.engine.execute(
            f"INSERT INTO typed BY NAME WITH cast_rows AS (SELECT {quoted(ROW)} AS row, {typed}, {raw} FROM delivered) "
            f"SELECT {number} AS file_number, row, CASE {broken} END AS broken, {self._columns} FROM cast_rows"
        )
        self.engine.unregister("delivered")

    def _turn_strangers_away(self) -> None:
        if self._is_customers:
            return
        for rows in ("single", "unambiguous"):
            strangers = f"{rows} ANTI JOIN known_customers USING (customer_id)"
            self._reject(f"SELECT found_at, 'customer_id', 'no such customer' FROM {strangers}")

    def _reject(self, found: str, **values: object) -> None:
        """Add (place, field, rule) rows to the rejects of this source."""
        self.engine.execute(
            f"INSERT INTO rejects SELECT '{self.source.name}', file, found_at.row, field, rule "
            f"FROM ({found}) AS found(found_at, field, rule) JOIN files ON files.number = found_at.file",
            values,
        )

    def _table(self, name: str, rows: str) -> None:
        self.engine.execute(f"CREATE OR REPLACE TABLE {name} AS {rows}")

    def _in_turns(self, name: str, rows: str) -> None:
        """A table filled a share of the keys at a time, so that grouping them never needs more memory than there is."""
        turns = 1 + self._count("typed") // KEYS_PER_TURN
        for turn in range(turns):
            into = f"INSERT INTO {name}" if turn else f"CREATE OR REPLACE TABLE {name} AS"
            self.engine.execute(f"{into} {rows}", {"turn": turn, "turns": turns})

    def _count(self, table: str, which: str = "true", **values: object) -> int:
        found = self.engine.execute(f"SELECT count(*) FROM {table} WHERE {which}", values)
        return int(found.fetchall()[0][0])


def _together(files: Sequence[tuple[Delivery, Opened]]) -> Iterator[tuple[int, pa.Table]]:
    """The files' rows, a few blocks at a time, with the number of the file."""
    for number, (_, opened) in enumerate(files):
        blocks = opened.blocks()
        while some := list(islice(blocks, BLOCKS_AT_ONCE)):
            yield number, pa.Table.from_batches(some)


def _types(opened: Opened) -> dict[str, pa.DataType]:
    return dict(zip(opened.schema.names, opened.schema.types, strict=True))
