"""What must be settled before a score about persons is used: on what legal basis, for how long, at what risk, with which columns.

A task declares it; the card keeps it; a model whose card does not say all of it, or that reads a column which it did not declare, is
not promoted (`training.gates.lawful`).
"""

from dataclasses import dataclass

from training.words import Words

__all__ = ["MARKETING", "SERVICE", "Assessment", "Fairness"]


@dataclass(frozen=True)
class Assessment:
    """`legal_basis` of using the score; `retention_days` that scores and what explains them are kept; `risk` to the person, and
    what bounds it."""

    legal_basis: str
    retention_days: int
    risk: Words


@dataclass(frozen=True)
class Fairness:
    """Limits that a task declares for groups of these segments: how far below that of everybody the share `found` may lie, and how far
    `off` a promise may be on average, both as shares of one and both beyond chance."""

    groups: tuple[str, ...]
    found_behind: float = 0.15
    off: float = 0.02


MARKETING = Assessment(
    "consent (PIPL art. 13 (1), 24; GDPR art. 6 (1) (a)); to refuse is one call, and holds at once",
    1_096,
    Words(
        "somebody is called in vain, or not told of an offer; no price and no service depends on the score, and a person decides "
        "what is offered",
        "客户可能被无谓打扰或错过活动；价格与服务不取决于评分，由人工决定提供内容",
    ),
)
SERVICE = Assessment(
    "contract of service, with consent to profiling (PIPL art. 13 (1) and (2); GDPR art. 6 (1) (a) and (b))",
    1_096,
    Words(
        "somebody is reminded in vain, or not reminded of a maintenance that is due; the car's own reminder does not depend on it",
        "客户可能被无谓提醒或未被提醒保养；车辆自身的提醒不受影响",
    ),
)
