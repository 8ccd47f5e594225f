"""Which columns everybody computes: those of the views of touchpoints and content, by what they ask for."""

from features.feature import Feature
from features.views import content, touchpoints
from features.views.content import KINDS, RECENCIES, TOPICS
from features.views.touchpoints import CHANNELS

__all__ = ["CHANGES", "COUNTS", "FEATURES", "LAST_SEEN", "TOTAL_WINDOWS", "ZERO_WHEN_NOTHING", "named"]

FEATURES: tuple[Feature, ...] = (*touchpoints.FEATURES, *content.FEATURES)
ZERO_WHEN_NOTHING = [feature.name for feature in FEATURES if feature.nothing == 0]
TOTAL_WINDOWS = (7, 30, 90, 180, 365, None)

# Counts of the rows in which a column holds a value: column, value, windows by name of the feature.
COUNTS: list[tuple[str, str, str, tuple[int | None, ...]]] = [
    *(("kind", kind, name, windows) for name, (kind, windows, *_) in KINDS.items()),
    *(("channel", channel, f"{channel}_touchpoints", (90, 365)) for channel in CHANNELS),
    *(("topic", topic, f"{topic}_content", (90, 365)) for topic in TOPICS),
]
# Days since the last row in which a column holds a value.
LAST_SEEN: list[tuple[str, str, str]] = [
    *(("kind", kind, f"days_since_{name}") for name, (kind, *_) in RECENCIES.items()),
    *(("topic", topic, f"days_since_{topic}_content") for topic in TOPICS),
]
# What the last days hold beyond as many days before: column, value (None: all rows), name, windows.
CHANGES: list[tuple[str, str | None, str, tuple[int, ...]]] = [
    ("kind", None, "touchpoints_change", (7, 30, 90)),
    ("kind", "app_open", "app_opens_change", (30, 90)),
    ("kind", "model_page", "model_page_views_change", (30,)),
    ("kind", "activity_signin", "activity_signins_change", (180,)),
]


def named(name: str, days: int | None) -> str:
    """The column of a measure over a window."""
    return f"{name}_{'ever' if days is None else f'{days}d'}"
