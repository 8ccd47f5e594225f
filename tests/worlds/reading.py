"""Questions to the tables of a world on disk."""

from pathlib import Path

import duckdb

from features.sources import CANONICAL

__all__ = ["ask", "none"]


def ask(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query over the world's tables."""
    base = duckdb.connect()
    for name in CANONICAL:
        base.execute(
            f"CREATE VIEW {name} AS FROM read_parquet('{folder}/{name}/*.parquet', union_by_name = true)"
        )
    return base.execute(sql).fetchall()


def none(folder: Path, sql: str) -> bool:
    """Whether a query finds nothing."""
    return ask(folder, f"SELECT count(*) FROM ({sql})") == [(0,)]
