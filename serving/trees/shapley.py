"""Exact tree SHAP values as tables: what each answer to a tree's questions is worth to each of its features.

A leaf's part of a prediction is its value times a product over the features on its path: 1 or 0, whether the row answers as
the path wants, where the feature is known, and the share of learned rows that did, where it is not. Shapley's formula
for one such product is a short polynomial (Lundberg et al. 2020 walk the tree instead; Yang 2021 and Nadel and
Wettenstein 2026 use the same decomposition). There are only so many patterns of answers, so the sums are done once per tree
and looked up per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np

from serving.trees.text import Tree

__all__ = ["Path", "expected", "paths", "worth", "worths"]

MOST_CELLS = 1_000_000  # of the tables that are worked out at once


@dataclass(frozen=True)
class Path:
    """One leaf: its value, and per feature on the way the share of rows that took it and the answers it wants, as (node, whether
    right)."""

    leaf: int
    value: float
    features: tuple[int, ...]
    shares: tuple[float, ...]
    answers: tuple[tuple[tuple[int, bool], ...], ...]


def paths(tree: Tree) -> list[Path]:
    """The way to each leaf."""
    if tree.leaves == 1:
        return [Path(0, float(tree.leaf_value[0]), (), (), ())]
    found: list[Path] = []
    _walk(tree, 0, {}, found)
    return found


def _walk(
    tree: Tree, node: int, way: dict[int, tuple[float, tuple[tuple[int, bool], ...]]], found: list[Path]
) -> None:
    if node < 0:
        shares, answers = zip(*way.values(), strict=True)
        found.append(Path(~node, float(tree.leaf_value[~node]), tuple(way), shares, answers))
        return
    feature, below = int(tree.feature[node]), tree.count(node)
    for right, child in ((False, int(tree.left[node])), (True, int(tree.right[node]))):
        share, answers = way.get(feature, (1.0, ()))
        step = {feature: (share * tree.count(child) / below, (*answers, (node, right)))}
        _walk(tree, child, way | step, found)


def worth(path: Path) -> np.ndarray:
    """(2^features x features): for each set of features that answer as wanted (bit j: the j-th does), what each is worth."""
    return worths([path])[0]


def worths(ways: Sequence[Path]) -> list[np.ndarray]:
    """The same of many paths, those of one length at once."""
    found: list[np.ndarray] = [np.empty(0)] * len(ways)
    for size in {len(path.features) for path in ways}:
        places = [place for place, path in enumerate(ways) if len(path.features) == size]
        at_once = max(MOST_CELLS // (max(size, 1) << size), 1)
        for begin in range(0, len(places), at_once):
            some = places[begin : begin + at_once]
            shares = np.array([ways[place].shares for place in some]).reshape(len(some), size)
            values = np.array([ways[place].value for place in some])
            for place, table in zip(some, _worths(shares, values), strict=True):
                found[place] = table
    return found


def _worths(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(paths x 2^features x features) of the (paths x features) shares that took each feature's way."""
    many, size = shares.shape
    known = ((np.arange(1 << size)[:, None] >> np.arange(size)) & 1).astype(np.float64)
    weights = [factorial(s) * factorial(size - s - 1) / factorial(size) for s in range(size)]
    found = np.empty((many, 1 << size, size))
    for j in range(size):
        # coefficients by how many others are known, of the product of (share + known * t)
        ways = np.zeros((size, many, 1 << size))
        ways[0] = 1.0
        for i in range(size):
            if i != j:
                more = ways[:-1] * known[:, i]
                ways *= shares[:, i, None]
                ways[1:] += more
        summed = sum(
            (weight * way for weight, way in zip(weights, ways, strict=True)), np.zeros(ways.shape[1:])
        )
        found[:, :, j] = values[:, None] * (known[:, j] - shares[:, j, None]) * summed
    return found


def expected(tree: Tree) -> float:
    """The mean of a tree's leaves over the rows learned from."""
    return float((tree.leaf_value * tree.leaf_count).sum() / tree.leaf_count.sum())
