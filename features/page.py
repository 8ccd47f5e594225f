"""The catalogue as a page of documentation: grouped by concept, one table each."""

from collections.abc import Iterable, Mapping

from features.feature import Feature
from features.words import CONCEPTS

__all__ = ["page"]

OPENING = """# Features

{count} features, as of any moment: what was known strictly before it. **Window** is how far back a feature looks,
**Nothing** is its value for a customer without any rows, **Source** is where it reads, and **Purpose** is the consent
it needs. Categories are strings and stay out of a model's matrix of numbers; sensitive features take part only where a
task names them and declares why.

This page is made from the definitions: `python -m features --page docs/features.md`.
"""
HEAD = "| feature | meaning | 含义 | unit | window | Nothing | source | purpose |\n|---|---|---|---|---|---|---|---|"


def page(features: Mapping[str, Feature]) -> str:
    """Markdown; the same features give the same page to the byte."""
    by_concept: dict[str, list[Feature]] = {concept: [] for concept in CONCEPTS}
    for feature in features.values():
        by_concept[feature.concept].append(feature)
    chapters = [_chapter(concept, members) for concept, members in by_concept.items() if members]
    return "\n".join([OPENING.format(count=len(features)), *chapters])


def _chapter(concept: str, members: Iterable[Feature]) -> str:
    title = f"## {concept.capitalize()} · {CONCEPTS[concept]}"
    return "\n".join([title, "", HEAD, *map(_line, members), ""])


def _line(feature: Feature) -> str:
    marks: list[str] = [feature.kind] if feature.kind == "category" else []
    marks += ["**sensitive**"] if feature.sensitive else []
    cells = (
        f"`{feature.name}`",
        feature.en,
        feature.zh,
        ", ".join([feature.unit, *marks]),
        feature.window_text,
        feature.nothing_text,
        _listed(feature.sources) or "the date itself",
        _listed(feature.purposes) or "none",
    )
    return f"| {' | '.join(cells)} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
