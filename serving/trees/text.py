"""LightGBM's text model as arrays: one `Tree` per tree, in the order the booster adds them up.

Only what this product's boosters are made of is read; anything else (linear leaves, averaged forests, zero as missing) raises
`Unread`, and whoever asked stays with LightGBM.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Forest", "Tree", "Unread", "forest"]

CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_NONE, MISSING_NAN = 0, 2


class Unread(Exception):
    """A model of a form that is not covered here, and which."""


@dataclass(frozen=True)
class Tree:
    """Per inner node: the `feature` asked, its `threshold`, how it decides, and its children (a leaf is ~place). `levels` holds, for a
    node that asks for categories, those that go left. Counts are the rows learned from."""

    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    levels: dict[int, frozenset[int]]
    leaf_value: np.ndarray
    leaf_count: np.ndarray
    inner_count: np.ndarray

    @property
    def leaves(self) -> int:
        """How many there are; a tree of one asks nothing."""
        return len(self.leaf_value)

    def count(self, child: int) -> int:
        """Rows learned from below a child."""
        return int(self.inner_count[child] if child >= 0 else self.leaf_count[~child])


@dataclass(frozen=True)
class Forest:
    """`outputs` trees make one round; tree n adds to output n modulo that."""

    trees: list[Tree]
    outputs: int
    features: int


def forest(text: str) -> Forest:
    """Read a model as `Booster.model_to_string` writes it. Raises `Unread`."""
    head, *parts = text.split("\nTree=")
    facts = _pairs(head)
    if "average_output" in head.splitlines():
        raise Unread("its trees are averaged, not added up")
    trees = [_tree(_pairs(part.split("\nend of trees")[0])) for part in parts]
    return Forest(trees, int(facts["num_tree_per_iteration"]), int(facts["max_feature_idx"]) + 1)


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _tree(facts: dict[str, str]) -> Tree:
    if facts.get("is_linear", "0") != "0":
        raise Unread("its leaves hold linear models")
    leaves = int(facts["num_leaves"])
    decision = _numbers(facts, "decision_type", np.int64)
    missing = (decision >> 2) & 3
    if not np.isin(missing, [MISSING_NONE, MISSING_NAN]).all():
        raise Unread("it takes zero for missing")
    threshold = _numbers(facts, "threshold", np.float64)
    levels = {}
    if facts.get("num_cat", "0") != "0":
        ends, words = _numbers(facts, "cat_boundaries", np.int64), _numbers(facts, "cat_threshold", np.int64)
        for node in np.flatnonzero(decision & CATEGORICAL).tolist():
            place = int(threshold[node])
            bits = words[ends[place] : ends[place + 1]].tolist()
            levels[node] = frozenset(
                32 * n + bit for n, word in enumerate(bits) for bit in range(32) if word >> bit & 1
            )
    return Tree(
        feature=_numbers(facts, "split_feature", np.int64),
        threshold=threshold,
        decision=decision,
        left=_numbers(facts, "left_child", np.int64),
        right=_numbers(facts, "right_child", np.int64),
        levels=levels,
        leaf_value=_numbers(facts, "leaf_value", np.float64),
        leaf_count=_numbers(facts, "leaf_count", np.int64) if leaves > 1 else np.ones(1, dtype=np.int64),
        inner_count=_numbers(facts, "internal_count", np.int64),
    )


def _numbers(facts: dict[str, str], name: str, kind: type) -> np.ndarray:
    return np.array([kind(word) for word in facts.get(name, "").split()], dtype=kind)
