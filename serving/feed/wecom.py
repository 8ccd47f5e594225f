"""The change feed as WeCom tags: per customer which tags to add and which to remove.

    {"customer_id": "C00001", "add_tag": ["churn:A"], "remove_tag": ["churn:B"], "expires_at": "...", "key": "..."}

The names are those of WeCom's `externalcontact/mark_tag`; which external user and which tag id stand for them, the adviser's side
knows. Adding what is there and removing what is not changes nothing, so sending a line twice does no harm.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec

from serving.feed.changes import Change

__all__ = ["TagChange", "tags"]


class TagChange(msgspec.Struct, frozen=True):
    """What to do to one customer's tags (`task:grade`), until when that holds, and the key by which a repeated line is known."""

    customer_id: str
    add_tag: list[str]
    remove_tag: list[str]
    expires_at: datetime
    key: str


def tags(changes: Iterable[Change]) -> Iterator[TagChange]:
    """One line per customer whose grade changed in any task; changes come in the order of customers."""
    for customer_id, of_customer in groupby(changes, key=lambda change: change.customer_id):
        some = [change for change in of_customer if change.grade != change.previous_grade]
        if some:
            add = [f"{change.task}:{change.grade}" for change in some if change.grade]
            remove = [f"{change.task}:{change.previous_grade}" for change in some if change.previous_grade]
            yield TagChange(customer_id, add, remove, some[0].expires_at, some[0].key)
