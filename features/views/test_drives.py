"""Showroom and test drives: the steps between interest and order."""

from typing import Any

import ibis

from features.feature import Feature, changed, windowed
from features.rows import Rows
from features.views.orders import placed
from features.views.touchpoints import deeds

__all__ = ["FEATURES", "test_drives"]

CONCEPT = "showroom and test drives"


def test_drives(past: Any) -> Rows:
    return deeds(past, kind="test_drive")


def showroom_visits(past: Any) -> Rows:
    return deeds(past, kind="showroom_visit")


def unordered(past: Any) -> Any:
    """Days since the last test drive, unless an order followed it."""
    driven, ordered = test_drives(past).days_since_last(), placed(past).days_since_last()
    return ibis.ifelse(ordered.isnull() | (ordered > driven), driven, ibis.null("int64"))


FEATURES = (
    Feature(
        "days_since_test_drive",
        lambda past: test_drives(past).days_since_last(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since the last test drive",
        zh="距上次试驾的天数",
    ),
    Feature(
        "days_since_first_test_drive",
        lambda past: test_drives(past).days_since_first(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since the first test drive",
        zh="距首次试驾的天数",
    ),
    Feature(
        "days_since_test_drive_without_order",
        unordered,
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since a test drive that no order followed",
        zh="试驾后未下单的天数",
    ),
    *windowed(
        "test_drives_{window}",
        lambda past, days: test_drives(past).count(days),
        (30, 90, 365, None),
        unit="drives",
        nothing=0,
        concept=CONCEPT,
        en="Test drives {window}",
        zh="{window}试驾次数",
    ),
    *windowed(
        "models_driven_{window}",
        lambda past, days: test_drives(past).distinct("model", days),
        (180, None),
        unit="models",
        nothing=0,
        concept=CONCEPT,
        en="Different models driven {window}",
        zh="{window}试驾车型数",
    ),
    *windowed(
        "test_drive_time_{window}_s",
        lambda past, days: test_drives(past).sum("duration_s", days),
        (180,),
        unit="seconds",
        nothing=0,
        concept=CONCEPT,
        en="Time spent on test drives {window}",
        zh="{window}试驾时长",
    ),
    Feature(
        "longest_test_drive_s",
        lambda past: test_drives(past).max("duration_s"),
        unit="seconds",
        nothing=None,
        concept=CONCEPT,
        en="Length of the longest test drive",
        zh="最长试驾时长",
    ),
    Feature(
        "last_model_driven",
        lambda past: test_drives(past).latest("model"),
        unit="model",
        nothing=None,
        concept=CONCEPT,
        en="Model of the last test drive",
        zh="最近试驾车型",
        kind="category",
    ),
    Feature(
        "days_since_showroom_visit",
        lambda past: showroom_visits(past).days_since_last(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since the last showroom visit",
        zh="距上次到店的天数",
    ),
    *windowed(
        "showroom_visits_{window}",
        lambda past, days: showroom_visits(past).count(days),
        (30, 90, 365),
        unit="visits",
        nothing=0,
        concept=CONCEPT,
        en="Showroom visits {window}",
        zh="{window}到店次数",
    ),
    *changed(
        "showroom_visits_change_{window}",
        lambda past, days: showroom_visits(past).count(days),
        (90,),
        unit="visits",
        concept=CONCEPT,
        en="Showroom visits",
        zh="到店次数",
    ),
    *windowed(
        "showrooms_visited_{window}",
        lambda past, days: deeds(past, kind=("showroom_visit", "test_drive")).distinct("dealer_id", days),
        (365,),
        unit="dealers",
        nothing=0,
        concept="dealer",
        en="Different showrooms visited {window}",
        zh="{window}到访展厅数",
    ),
)
