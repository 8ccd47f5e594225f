"""Paths to rows of the tables: exact ones by one look-up, those with `{names}` by pattern."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from serving.edge.problem import Problem
from serving.edge.system import System
from serving.routes import Route

__all__ = ["PREFIX", "Paths", "full_path"]

PREFIX = "/v1"
Row = Route | System


def full_path(row: Row) -> str:
    return PREFIX + row.path if isinstance(row, Route) else row.path


class Paths:
    """All rows. Raises `ValueError` at start when two rows answer the same method and path."""

    def __init__(self, rows: Iterable[Row]) -> None:
        by_path: dict[str, dict[str, Row]] = {}
        for row in rows:
            by_method = by_path.setdefault(full_path(row), {})
            if row.method in by_method:
                raise ValueError(f"two rows answer {row.method} {full_path(row)}")
            by_method[row.method] = row
        self._exact = {path: rows for path, rows in by_path.items() if "{" not in path}
        self._patterns = [
            (re.compile(re.sub(r"\\?\{(\w+)\\?\}", r"(?P<\1>[^/]+)", re.escape(path))), rows)
            for path, rows in by_path.items()
            if "{" in path
        ]

    def row(self, scope: Mapping[str, Any]) -> tuple[Row, dict[str, str]]:
        """The row of a request, and what its path names. Raises `Problem` 404 or 405."""
        path, method = scope["path"], scope["method"]
        by_method, named = self._exact.get(path), {}
        if by_method is None:
            for pattern, rows in self._patterns:
                if matched := pattern.fullmatch(path):
                    by_method, named = rows, matched.groupdict()
                    break
        if by_method is None or b"%2f" in scope.get("raw_path", b"").lower():
            raise Problem(404, "there is nothing at this path")
        if method not in by_method:
            allowed = ", ".join(sorted(by_method))
            raise Problem(405, f"this path answers {allowed}", headers={"allow": allowed})
        return by_method[method], named
