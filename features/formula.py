"""What definitions make of their needs, computed with NumPy: the same expressions that engines run.

    formulas = Formulas({"days_since_order": table["min age_s orders"] // 86_400})
    formulas({"min age_s orders": (np.array([90_000]), None)})["days_since_order"]      (array([1]), None)

An expression is taken apart once, into steps in order; what several expressions share is one step. Each step gives
the very bits that DuckDB gives: division is of doubles, a floor too, comparisons with nothing are neither true nor
false, and the greatest of several passes over nothing.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np

from features.errors import UnknownOperation
from features.timeline import seconds

__all__ = ["Formulas", "Values"]

# Values, and where there are none; None instead when there is one everywhere. What stands where there is none is
# of no consequence. Either may be a scalar that stands for every moment.
Values = tuple[Any, Any]
Step = Callable[..., Values]


class Formulas:
    """Expressions over the columns of one table, prepared at start-up, computed as often as wanted.

    Raises `UnknownOperation`, naming the expression, when one holds an operation that is not known here.
    """

    def __init__(self, expressions: Mapping[str, ir.Value]) -> None:
        self._places: dict[ops.Node, int] = {}
        self._start: list[Values | None] = []
        self._given: list[tuple[int, str]] = []
        self._steps: list[tuple[int, Step, list[int]]] = []
        self._found = {name: self._prepared(name, value.op()) for name, value in expressions.items()}

    def __call__(self, given: Mapping[str, Values]) -> dict[str, Values]:
        """Each expression's values, from those of the table's columns."""
        held: list[Any] = list(self._start)
        for place, name in self._given:
            held[place] = given[name]
        with np.errstate(all="ignore"):
            for place, step, read in self._steps:
                held[place] = step(*[held[other] for other in read])
        return {name: held[place] for name, place in self._found.items()}

    def _prepared(self, name: str, node: ops.Node) -> int:
        """Where the node's values will stand, after those it reads."""
        if node in self._places:
            return self._places[node]
        constant = None
        if isinstance(node, ops.Literal):
            constant = _constant(node)
        elif not isinstance(node, ops.Field):
            step, read = _step(name, node)
            places = [self._prepared(name, other) for other in read]
        place = self._places[node] = len(self._start)
        self._start.append(constant)
        if isinstance(node, ops.Field):
            self._given.append((place, node.name))
        elif constant is None:
            self._steps.append((place, step, places))
        return place


def _constant(node: ops.Literal) -> Values:
    if node.value is None:
        return np.array(None if node.dtype.is_string() else 0), np.True_
    if node.dtype.is_integer():
        return np.int64(node.value), None
    return (np.array(node.value, dtype=object) if node.dtype.is_string() else node.value), None


def _step(name: str, node: Any) -> tuple[Step, list[ops.Node]]:
    """How a node's values come from those of other nodes, and which."""
    match node:
        case ops.Cast(arg=arg, to=to) if _exact(arg.dtype, to):
            kind = np.float64 if to.is_floating() else np.int64
            return _strict(lambda values: np.asarray(values, dtype=kind)), [arg]
        case ops.InValues(value=value, options=options):
            return _strict(_any_of), [value, *options]
        case ops.SearchedCase(cases=cases, results=results, default=default):
            return _first_case, [*cases, *results, default]
        case ops.Coalesce(arg=args) | ops.Greatest(arg=args) | ops.Least(arg=args):
            return _FOLDED[type(node)], list(args)
    if type(node) in _STRICT:
        return _strict(_STRICT[type(node)]), [arg for arg in node.args if isinstance(arg, ops.Node)]
    if type(node) in _WITH_NOTHING:
        return _WITH_NOTHING[type(node)], [arg for arg in node.args if isinstance(arg, ops.Node)]
    raise UnknownOperation(
        f"{name} uses the operation {type(node).__name__}, which live rows cannot compute yet: write the definition "
        "with others, or add the operation to features/formula.py with a test that it equals the engine's"
    )


def _exact(held: Any, wanted: Any) -> bool:
    """Whether a cast takes nothing away, so that there is nothing to round."""
    whole: bool = held.is_integer() or held.is_boolean()
    if wanted.is_floating():
        return whole or bool(held.is_floating())
    return whole and bool(wanted.is_int64())


# Operations that give nothing where any argument is nothing.


def _strict(operation: Callable[..., Any]) -> Step:
    def step(*args: Values) -> Values:
        missing = None
        for _, nothing in args:
            if nothing is not None:
                missing = nothing if missing is None else missing | nothing
        return operation(*[values for values, _ in args]), missing

    return step


def _floor_divide(left: Any, right: Any) -> Any:
    return np.floor(np.true_divide(left, right)).astype(np.int64)


def _any_of(value: Any, *options: Any) -> Any:
    return reduce(np.logical_or, [np.equal(value, option) for option in options])


def _month(instants: np.ndarray) -> np.ndarray:
    return instants.astype("datetime64[M]").astype(np.int64) % 12 + 1


def _year(instants: np.ndarray) -> np.ndarray:
    return instants.astype("datetime64[Y]").astype(np.int64) + 1970


_STRICT: dict[type, Callable[..., Any]] = {
    ops.Add: np.add,
    ops.Subtract: np.subtract,
    ops.Multiply: np.multiply,
    ops.Divide: np.true_divide,
    ops.FloorDivide: _floor_divide,
    ops.Modulus: np.fmod,  # the sign is the dividend's
    ops.Negate: np.negative,
    ops.Sqrt: np.sqrt,
    ops.Equals: np.equal,
    ops.NotEquals: np.not_equal,
    ops.Greater: np.greater,
    ops.GreaterEqual: np.greater_equal,
    ops.Less: np.less,
    ops.LessEqual: np.less_equal,
    ops.Not: np.logical_not,
    ops.ExtractMonth: _month,
    ops.ExtractYear: _year,
    ops.ExtractEpochSeconds: seconds,
}


# Operations that may know an answer beside nothing.


def _and(left: Values, right: Values) -> Values:
    missing = _either(left[1], right[1])
    held = _or_else(left, True) & _or_else(right, True)  # false when either is known to be
    return held, None if missing is None else missing & held


def _or(left: Values, right: Values) -> Values:
    missing = _either(left[1], right[1])
    held = _or_else(left, False) | _or_else(right, False)
    return held, None if missing is None else missing & ~held


def _either(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    return left | right


def _or_else(values: Values, answer: bool) -> Any:
    """Booleans with an answer where there is none."""
    held, missing = values
    if missing is None:
        return held
    return held | missing if answer else held & ~missing


def _is_null(values: Values) -> Values:
    return (np.False_ if values[1] is None else values[1]), None


def _not_null(values: Values) -> Values:
    return (np.True_ if values[1] is None else ~values[1]), None


def _null_if(values: Values, other: Values) -> Values:
    same = np.equal(values[0], other[0])
    if other[1] is not None:
        same = same & ~other[1]
    return values[0], same if values[1] is None else values[1] | same


def _coalesce(first: Values, *others: Values) -> Values:
    values, missing = first
    for held, nothing in others:
        if missing is None:
            break
        values = np.where(missing, held, values)
        missing = None if nothing is None else missing & nothing
    return values, missing


def _if_else(condition: Values, true: Values, false: Values) -> Values:
    held = _or_else(condition, False)
    values = np.where(held, true[0], false[0])
    if true[1] is None and false[1] is None:
        return values, None
    return values, np.where(held, _nothing(true), _nothing(false))


def _nothing(values: Values) -> Any:
    return np.False_ if values[1] is None else values[1]


def _first_case(*args: Values) -> Values:
    """Conditions, as many results, and what is given when none holds."""
    count, found = len(args) // 2, args[-1]
    for condition, result in zip(args[count - 1 :: -1], args[-2 : count - 1 : -1], strict=True):
        found = _if_else(condition, result, found)
    return found


def _passing_over(better: Callable[..., Any]) -> Step:
    def pair(left: Values, right: Values) -> Values:
        if left[1] is None and right[1] is None:
            return better(left[0], right[0]), None
        no_left, no_right = _nothing(left), _nothing(right)
        values = np.where(no_left, right[0], np.where(no_right, left[0], better(left[0], right[0])))
        return values, no_left & no_right

    return lambda *args: reduce(pair, args)


_WITH_NOTHING: dict[type, Step] = {
    ops.And: _and,
    ops.Or: _or,
    ops.IsNull: _is_null,
    ops.NotNull: _not_null,
    ops.NullIf: _null_if,
    ops.IfElse: _if_else,
}
_FOLDED: dict[type, Step] = {
    ops.Coalesce: _coalesce,
    ops.Greatest: _passing_over(np.maximum),
    ops.Least: _passing_over(np.minimum),
}
