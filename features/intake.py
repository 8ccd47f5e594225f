"""One source's way into a load: cast, judged row by row, judged against the other rows, kept.

typed        every row as delivered, cast, with the first rule it breaks
once         rows that break none, each once however often delivered
unambiguous  without keys that come twice with other values, known at the same time
kept         of known customers; a row whose correction is there says since when
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from features.contract import SQL_TYPES, Delivery, insert_typed, literal, quoted
from features.sources import Source

__all__ = ["REJECTS", "Intake"]

REJECTS = "CREATE TABLE rejects (source VARCHAR, file VARCHAR, row BIGINT, field VARCHAR, rule VARCHAR)"
CLASH = "the same key twice with other values, known at the same time"


@dataclass(frozen=True)
class Intake:
    """Works on tables of `engine`, where `rejects` collects what is turned away and `customers`, loaded before
    the other sources, says who is known."""

    engine: duckdb.DuckDBPyConnection
    source: Source

    @property
    def kept(self) -> str:
        """The table of accepted rows; that of the customers stays for the others to refer to."""
        return "customers" if self.source.name == "customers" else "kept"

    def take(self, deliveries: Iterable[Delivery], delivered_at: datetime) -> None:
        """Cast all rows of this source and turn away those that break a rule on their own."""
        columns = ", ".join(
            f"{quoted(c.name)} {SQL_TYPES[c.type]}" for c in self.source.columns if c.name != "superseded_at"
        )
        self._table("typed", f"(file VARCHAR, row BIGINT, field_rule VARCHAR[], {columns})")
        for delivery in deliveries:
            insert_typed(self.engine, delivery, delivered_at)
            self._reject(
                "SELECT $file, unnest($numbers), '', 'has another number of fields than the header'",
                file=delivery.file,
                numbers=list(delivery.malformed),
            )
        self._reject("SELECT file, row, field_rule[1], field_rule[2] FROM typed WHERE field_rule IS NOT NULL")

    def judge(self) -> None:
        """Turn away contradictions and rows of strangers; drop what came twice; mark what was corrected."""
        key, columns = quoted(self.source.key), self._columns
        self._table(
            "once",
            f"AS SELECT min(file) AS file, min(row) AS row, {columns} FROM typed WHERE field_rule IS NULL GROUP BY ALL",
        )
        clash = f"(SELECT {key}, known_at FROM once GROUP BY ALL HAVING count(*) > 1) USING ({key}, known_at)"
        self._reject(
            f"SELECT file, row, $field, $rule FROM once SEMI JOIN {clash}", field=self.source.key, rule=CLASH
        )
        self._table("unambiguous", f"AS SELECT * FROM once ANTI JOIN {clash}")
        known = "unambiguous"
        if self.source.name != "customers":
            strangers = "unambiguous ANTI JOIN customers USING (customer_id)"
            self._reject(f"SELECT file, row, 'customer_id', 'no such customer' FROM {strangers}")
            known = "unambiguous SEMI JOIN customers USING (customer_id)"
        corrected = f"lead(known_at) OVER (PARTITION BY {key} ORDER BY known_at) AS superseded_at"
        self._table(self.kept, f"AS SELECT {columns}, {corrected} FROM {known}")

    def write(self, folder: Path) -> None:
        """The accepted rows as Parquet, sorted by customer and time."""
        folder.mkdir()
        ordered = ", ".join(quoted(name) for name in self.source.column_names)
        rows = f"SELECT {ordered} FROM {self.kept} ORDER BY customer_id, happened_at, {quoted(self.source.key)}, known_at"
        target = literal(str(folder / "part-00000.parquet"))
        self.engine.execute(f"COPY ({rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")

    def counts(self) -> dict[str, int]:
        """What became of the rows: read, loaded, delivered twice, corrections, rejected."""
        malformed = self._count("rejects", f"source = '{self.source.name}' AND field = ''")
        return {
            "read": self._count("typed") + malformed,
            "loaded": self._count(self.kept),
            "delivered twice": self._count("typed", "field_rule IS NULL") - self._count("once"),
            "corrections": self._count(self.kept, "superseded_at IS NOT NULL"),
            "rejected": self._count("rejects", f"source = '{self.source.name}'"),
        }

    @property
    def _columns(self) -> str:
        return ", ".join(quoted(c.name) for c in self.source.columns if c.name != "superseded_at")

    def _table(self, name: str, content: str) -> None:
        self.engine.execute(f"CREATE OR REPLACE TABLE {name} {content}")

    def _reject(self, found: str, **values: object) -> None:
        """Add (file, row, field, rule) rows to the rejects of this source."""
        self.engine.execute(f"INSERT INTO rejects SELECT '{self.source.name}', * FROM ({found})", values)

    def _count(self, table: str, which: str = "true") -> int:
        return int(self.engine.execute(f"SELECT count(*) FROM {table} WHERE {which}").fetchall()[0][0])
