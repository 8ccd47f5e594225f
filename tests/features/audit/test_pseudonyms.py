"""Pseudonyms: stable under one key, other under another, and the key is nobody else's."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import BadData
from features.pseudonyms import Pseudonyms, key_file


def test_one_key_one_pseudonym_another_key_another() -> None:
    first = Pseudonyms.open(Path("one.key"))
    assert first.of("C00001") == Pseudonyms.open(Path("one.key")).of("C00001")
    assert first.of("C00001") != first.of("C00002")
    assert first.of("C00001") != Pseudonyms.open(Path("other.key")).of("C00001")
    assert re.fullmatch(r"[\w-]{22}", first.of("13800000000"))
    assert first.all(["a", "b"]) == [first.of("a"), first.of("b")]


def test_many_that_make_the_key_at_once_use_the_same() -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: Pseudonyms.open().of("C1"), range(32)))
    assert len(found) == 1
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert [file.name for file in key_file().parent.iterdir()] == [key_file().name]


def test_a_key_that_others_may_read_or_that_is_none_is_refused() -> None:
    Pseudonyms.open()
    key_file().chmod(0o644)
    with pytest.raises(BadData, match="chmod 600"):
        Pseudonyms.open()
    key_file().chmod(0o600)
    key_file().write_text("short")
    with pytest.raises(BadData, match="no key"):
        Pseudonyms.open()
