"""Exact tree SHAP values as tables: what each answer to a tree's questions is worth to each of its features.

A leaf's part of a prediction is its value times a product over the features on its path: 1 or 0, whether the row answers as
the path wants, where the feature is known, and the share of learned rows that did, where it is not. Shapley's formula
for one such product is a short polynomial (Lundberg et al. 2020 walk the tree instead; Yang 2021 and Nadel and
Wettenstein 2026 use the same decomposition). There are only so many patterns of answers, so the sums are done once per tree
and looked up per row.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np

from serving.trees.text import Tree

__all__ = ["Path", "expected", "leaf_values", "paths", "worth"]


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
    size = len(path.features)
    masks = np.arange(1 << size)
    known = ((masks[:, None] >> np.arange(size)) & 1).astype(np.float64)
    weights = np.array([factorial(s) * factorial(size - s - 1) / factorial(size) for s in range(size)])
    found = np.empty((len(masks), size))
    for j in range(size):
        # coefficients by how many others are known, of the product of (share + known * t)
        ways = np.zeros((len(masks), size))
        ways[:, 0] = 1.0
        for i in range(size):
            if i != j:
                more = np.zeros_like(ways)
                more[:, 1:] = ways[:, :-1] * known[:, [i]]
                ways = ways * path.shares[i] + more
        found[:, j] = path.value * (known[:, j] - path.shares[j]) * (ways @ weights)
    return found


def expected(tree: Tree) -> float:
    """The mean of a tree's leaves over the rows learned from."""
    return float((tree.leaf_value * tree.leaf_count).sum() / tree.leaf_count.sum())


def leaf_values(tree: Tree, ways: list[Path]) -> np.ndarray:
    """The value of a whole tree for each pattern of answers (bit n: node n says right)."""
    patterns = np.arange(1 << len(tree.feature))
    found = np.empty(len(patterns))
    for path in ways:
        there = np.ones(len(patterns), dtype=bool)
        for answers in path.answers:
            for node, right in answers:
                there &= ((patterns >> node) & 1).astype(bool) == right
        found[there] = path.value
    return found
