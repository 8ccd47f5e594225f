"""Numbers told with few decimals, to those outside: what a model learned cannot be read off the last digits of its answers.

Whoever asks often enough can rebuild a model from exact probabilities (Tramer et al. 2016, "Stealing machine learning models via
prediction APIs", section 7.1); people and campaigns need no more than four decimals. A token says how many its owner gets.
"""

from typing import Any

import msgspec

__all__ = ["encoded"]


def encoded(answer: msgspec.Struct, decimals: int | None = None) -> bytes:
    """An answer as JSON, each fraction in it rounded to so many decimals; None: to the last bit."""
    if decimals is None:
        return msgspec.json.encode(answer)
    return msgspec.json.encode(_rounded(msgspec.to_builtins(answer), decimals))


def _rounded(said: Any, decimals: int) -> Any:
    if isinstance(said, float):
        return round(said, decimals)
    if isinstance(said, list):
        return [_rounded(one, decimals) for one in said]
    if isinstance(said, dict):
        return {name: _rounded(one, decimals) for name, one in said.items()}
    return said
