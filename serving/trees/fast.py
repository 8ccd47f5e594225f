"""A booster that answers from tables: the same bits as `Booster.predict`, the same reasons as its `pred_contrib`, many times faster.

    every distinct question (feature, threshold) is answered once for a block of rows
    ──► a small tree's answers make a number below 2^questions ──► its leaf, and what each feature is worth, are looked up
    ──► a larger tree's answers make one such number per leaf

It is NumPy over columns, no compiler and no further dependency. `faster` hands it out only after it was held against LightGBM on
the rows given (its contributions on the first of them); whatever it does not cover, or does not get equal, stays with LightGBM, and the log says why.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from serving.trees.one_row import OneRow
from serving.trees.shapley import Path, expected, paths, worths
from serving.trees.text import CATEGORICAL, DEFAULT_LEFT, MISSING_NAN, Forest, Unread, forest

__all__ = ["FastBooster", "faster"]

log = logging.getLogger(__name__)

ROWS_PER_BLOCK = 6_000  # answers stay in the cache; in a power of two columns would push one another out
MOST_QUESTIONS = 10
MOST_CELLS = 40_000_000  # 320 MB of tables; a forest with more stays with LightGBM
MOST_LEVELS = 1_024
MOST_FEATURES = 16  # on the way to one leaf
TREES_AT_A_TIME = 50  # worked out together
MOST_EXPLAINED = 128  # of the rows it is held against; LightGBM takes seconds to explain a thousand
FEWEST_ROWS = 64  # below, a block is not worth its calls: rows one by one, or LightGBM's own walk
CLOSE = 1e-9

Question = tuple[int, int, Any]
"""Feature, LightGBM's decision type, and a threshold or the levels that go left."""


class FastBooster:
    """Stands where a `lightgbm.Booster` stands in `training.model.Model`: it answers `predict` for float64 rows, and the rest is
    asked of the booster behind it."""

    def __init__(self, booster: Any) -> None:
        """Raises `Unread` for a model of a form that is not covered."""
        self.booster = booster
        self._forest = forest(booster.model_to_string(num_iteration=-1))
        self._questions = _Questions(self._forest)
        self._trees = _tables(self._forest, self._questions)
        if sum(tree.cells for tree in self._trees) > MOST_CELLS:
            raise Unread("its tables would not fit into memory")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.booster, name)

    @cached_property
    def small(self) -> bool:
        """Whether all trees are looked up whole; of larger ones LightGBM itself finds the leaf sooner."""
        return all(isinstance(tree, _Small) for tree in self._trees)

    def predict(
        self, rows: np.ndarray, raw_score: bool = False, pred_contrib: bool = False, **given: Any
    ) -> np.ndarray:
        """As LightGBM's for raw scores and contributions; anything else is passed on."""
        if pred_contrib and self.small and len(rows) < FEWEST_ROWS:
            return self._one_by_one(rows)
        if pred_contrib and len(rows) >= FEWEST_ROWS:
            return self._in_blocks(
                rows, self._contributions, self._forest.outputs * (self._forest.features + 1)
            )
        if raw_score and self.small and len(rows) >= FEWEST_ROWS:
            found = self._in_blocks(rows, self._margins, self._forest.outputs)
            return found[:, 0] if self._forest.outputs == 1 else found
        return np.asarray(self.booster.predict(rows, raw_score=raw_score, pred_contrib=pred_contrib, **given))

    def _in_blocks(self, rows: np.ndarray, answer: Any, width: int) -> np.ndarray:
        found = np.empty((len(rows), width))
        for place in range(0, len(rows), ROWS_PER_BLOCK):
            block = rows[place : place + ROWS_PER_BLOCK]
            found[place : place + len(block)] = answer(self._questions.answered(block)).T
        return found

    def _one_by_one(self, rows: np.ndarray) -> np.ndarray:
        width = self._forest.features + 1
        found = np.empty((len(rows), self._forest.outputs * width))
        for place, row in enumerate(rows):
            found[place] = self._one_row.sums(self._questions.answered_by(row), found.shape[1])
        found[:, width - 1 :: width] = self._base
        return found

    @cached_property
    def _one_row(self) -> OneRow:
        """The tables of small trees end to end; the trees look into it, too, so that they lie in memory once."""
        small = [tree for tree in self._trees if isinstance(tree, _Small)]
        worth = np.concatenate([np.empty(0), *(tree.worth.reshape(-1) for tree in small)])
        width, begin, told = self._forest.features + 1, 0, []
        for number, tree in enumerate(small):
            output, patterns = number % self._forest.outputs, tree.worth.shape[1]
            told.append([(output * width + f, begin + n * patterns) for n, f in enumerate(tree.features)])
            tree.worth = worth[begin : begin + tree.worth.size].reshape(tree.worth.shape)
            begin += tree.worth.size
        return OneRow([tree.questions for tree in small], told, worth)

    def _margins(self, answers: np.ndarray) -> np.ndarray:
        """(outputs x rows), added up tree by tree, as LightGBM does: that makes the bits the same."""
        found = np.zeros((self._forest.outputs, answers.shape[1]))
        for number, tree in enumerate(self._trees):
            tree.add_leaf(answers, found[number % self._forest.outputs])
        return found

    def _contributions(self, answers: np.ndarray) -> np.ndarray:
        """(outputs * (features + 1) x rows)."""
        width = self._forest.features + 1
        found = np.zeros((self._forest.outputs, width, answers.shape[1]))
        for number, tree in enumerate(self._trees):
            tree.add_worth(answers, found[number % self._forest.outputs])
        found[:, -1] = self._base[:, None]
        return found.reshape(-1, answers.shape[1])

    @cached_property
    def _base(self) -> np.ndarray:
        means = np.zeros(self._forest.outputs)
        for number, tree in enumerate(self._forest.trees):
            means[number % self._forest.outputs] += expected(tree)
        return means


class _Questions:
    """Every distinct question of a forest; trees that ask the same share the answer. Those of one column and kind come one after the
    other, so that all of them are answered at once."""

    def __init__(self, given: Forest) -> None:
        of_tree = [[_question(tree, node) for node in range(len(tree.feature))] for tree in given.trees]
        distinct = dict.fromkeys(question for some in of_tree for question in some)
        self._asked = sorted(distinct, key=lambda asked: asked[:2])
        numbers = {question: number for number, question in enumerate(self._asked)}
        self.of_tree = [[numbers[question] for question in some] for some in of_tree]
        self._groups = list(_grouped(self._asked))
        self._feature = np.array([feature for feature, _, _ in self._asked], dtype=np.intp)
        decision = np.array([decision for _, decision, _ in self._asked], dtype=np.int64)
        category = (decision & CATEGORICAL) != 0
        self._category = np.flatnonzero(category).tolist()
        self._threshold = np.array(
            [0.0 if c else what for (_, _, what), c in zip(self._asked, category, strict=True)]
        )
        self._none_is_zero = ((decision >> 2) & 3) != MISSING_NAN
        self._none_is_right = ~self._none_is_zero & ((decision & DEFAULT_LEFT) == 0)

    def answered(self, rows: np.ndarray) -> np.ndarray:
        """(questions x rows) of 0 and 1: whether the row goes right."""
        found = np.empty((len(self._asked), len(rows)), dtype=np.uint8)
        begin = 0
        for feature, decision, what in self._groups:
            into = found[begin : begin + len(what)].view(bool)
            column = np.ascontiguousarray(rows[:, feature])
            if decision & CATEGORICAL:
                levels = _levels(column)
                for line, right in zip(into, what, strict=True):
                    right.take(levels, out=line)
            elif (decision >> 2) & 3 != MISSING_NAN:  # it saw nothing missing and takes it for a zero
                np.greater(np.where(np.isnan(column), 0.0, column), what, out=into)
            elif decision & DEFAULT_LEFT:
                np.greater(column, what, out=into)
            else:
                np.less_equal(column, what, out=into)
                np.invert(into, out=into)
            begin += len(what)
        return found

    def answered_by(self, row: np.ndarray) -> np.ndarray:
        """The same of a single row: 0 or 1 for each question."""
        values = row[self._feature]
        missing = np.isnan(values)
        values = np.where(missing & self._none_is_zero, 0.0, values)
        found: np.ndarray = (values > self._threshold) | (missing & self._none_is_right)
        for number in self._category:
            feature, _, levels = self._asked[number]
            value = float(row[feature])
            level = int(value) if -1 < value < MOST_LEVELS else MOST_LEVELS
            found[number] = _right_of(levels)[level]
        return found


def _question(tree: Any, node: int) -> Question:
    feature, decision = int(tree.feature[node]), int(tree.decision[node])
    return feature, decision, tree.levels[node] if decision & CATEGORICAL else float(tree.threshold[node])


def _grouped(asked: Sequence[Question]) -> Iterator[tuple[int, int, np.ndarray]]:
    """By feature and decision, in their order: the thresholds, one below the other, or by place whether a level goes right."""
    for (feature, decision), some in groupby(asked, key=lambda one: one[:2]):
        told = [_right_of(what) if decision & CATEGORICAL else what for _, _, what in some]
        yield feature, decision, np.array(told).reshape(len(told), -1)


def _levels(column: np.ndarray) -> np.ndarray:
    """The place of each value among `MOST_LEVELS`; the last is for what is no level: nothing, or a number beyond."""
    known = (column > -1) & (column < MOST_LEVELS)
    return np.where(known, np.trunc(np.where(known, column, 0.0)), MOST_LEVELS).astype(np.intp)


@lru_cache(maxsize=4096)
def _right_of(levels: frozenset[int]) -> np.ndarray:
    """By place, whether a node that sends these levels left sends it right."""
    if max(levels, default=0) >= MOST_LEVELS:
        raise Unread(f"a category has more than {MOST_LEVELS} levels")
    found = np.ones(MOST_LEVELS + 1, dtype=bool)
    found[list(levels)] = False
    return found


class _Small:
    """A tree looked up whole: a pattern of answers gives the leaf and what each feature is worth."""

    def __init__(self, questions: Sequence[int], ways: Sequence[Path], worths: Sequence[np.ndarray]) -> None:
        self.questions = list(questions)
        self.features = sorted({feature for path in ways for feature in path.features})
        patterns = np.arange(1 << len(self.questions))
        right = (patterns >> np.arange(len(self.questions))[:, None]) & 1
        said = (1 - right, right)
        self.values, self.worth = np.empty(len(patterns)), np.zeros((len(self.features), len(patterns)))
        for path, table in zip(ways, worths, strict=True):
            mask = np.zeros(len(patterns), dtype=np.int64)
            for j, ((node, way), *more) in enumerate(path.answers):
                as_wanted = said[way][node]
                for other, its_way in more:
                    as_wanted = as_wanted & said[its_way][other]
                mask += as_wanted << j
            self.worth[[self.features.index(feature) for feature in path.features]] += table.T[:, mask]
            self.values[mask == (1 << len(path.features)) - 1] = path.value
        self.cells = self.worth.size + self.values.size

    def _patterns(self, answers: np.ndarray) -> np.ndarray:
        kind = np.uint8 if len(self.questions) <= 8 else np.uint16
        found = np.zeros(answers.shape[1], dtype=kind)
        for question in reversed(self.questions):
            np.add(found, found, out=found)
            np.bitwise_or(found, answers[question], out=found)
        return found.astype(np.intp)

    def add_leaf(self, answers: np.ndarray, into: np.ndarray) -> None:
        into += self.values.take(self._patterns(answers), mode="clip")

    def add_worth(self, answers: np.ndarray, into: np.ndarray) -> None:
        patterns = self._patterns(answers)
        for feature, table in zip(self.features, self.worth, strict=True):
            into[feature] += table.take(patterns, mode="clip")


class _Large:
    """A tree looked up leaf by leaf: which features answer as the leaf wants gives what each is worth to it."""

    def __init__(self, questions: Sequence[int], ways: Sequence[Path], worths: Sequence[np.ndarray]) -> None:
        self.ways = [
            (path.features, np.ascontiguousarray(table.T), [[(questions[n], r) for n, r in a] for a in path.answers])
            for path, table in zip(ways, worths, strict=True)
        ]  # fmt: skip
        self.cells = sum(table.size for _, table, _ in self.ways)

    def add_leaf(self, answers: np.ndarray, into: np.ndarray) -> None:
        raise NotImplementedError("LightGBM finds the leaf of a large tree")

    def add_worth(self, answers: np.ndarray, into: np.ndarray) -> None:
        for features, table, wanted in self.ways:
            mask = np.zeros(answers.shape[1], dtype=np.uint16)
            for j, asked in enumerate(wanted):
                as_wanted = np.ones(answers.shape[1], dtype=np.uint8)
                for question, right in asked:
                    as_wanted &= answers[question] if right else answers[question] ^ 1
                mask |= as_wanted.astype(np.uint16) << np.uint16(j)
            patterns = mask.astype(np.intp)
            for feature, told in zip(features, table, strict=True):
                into[feature] += told.take(patterns, mode="clip")


def _tables(given: Forest, questions: _Questions) -> list[_Small | _Large]:
    """The tables of every tree; what its leaves are worth is worked out for many trees at once."""
    ways = [paths(tree) for tree in given.trees]
    if max(len(path.features) for of_tree in ways for path in of_tree) > MOST_FEATURES:
        raise Unread(f"a leaf lies behind more than {MOST_FEATURES} features")
    found: list[_Small | _Large] = []
    for begin in range(0, len(ways), TREES_AT_A_TIME):
        some = ways[begin : begin + TREES_AT_A_TIME]
        told = iter(worths([path for of_tree in some for path in of_tree]))
        for number, of_tree in enumerate(some, begin):
            asked, mine = questions.of_tree[number], [next(told) for _ in of_tree]
            small = len(asked) <= MOST_QUESTIONS
            found.append(_Small(asked, of_tree, mine) if small else _Large(asked, of_tree, mine))
    return found


def faster(booster: Any, rows: np.ndarray) -> Any:
    """The booster answering from tables if on these rows it gives LightGBM's bits and contributions, else the booster itself."""
    try:
        found = FastBooster(booster)
    except (Unread, KeyError, ValueError) as error:
        log.info("scores come from LightGBM itself, which is slower: %s", error)
        return booster
    many = np.tile(rows, (FEWEST_ROWS // max(len(rows), 1) + 1, 1))
    bits = np.array_equal(found.predict(many, raw_score=True), booster.predict(many, raw_score=True))
    few = many[:MOST_EXPLAINED]
    parts = found.predict(few, pred_contrib=True)
    same = np.allclose(parts, booster.predict(few, pred_contrib=True), rtol=0, atol=CLOSE)
    alone = np.allclose(found.predict(few[:1], pred_contrib=True), parts[:1], rtol=0, atol=CLOSE)
    if bits and same and alone:
        return found
    log.warning("the tables of a booster do not give what LightGBM gives; LightGBM itself answers")
    return booster
