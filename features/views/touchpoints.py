"""Touchpoints: what customers do of their own accord, how often, where, in what rhythm, which way it is going."""

from functools import partial
from typing import Any

from features.feature import Feature, changed, windowed
from features.rows import Rows

__all__ = ["FEATURES", "deeds"]

CHANNELS = {
    "app": ("app", "App"),
    "mini_program": ("mini-program", "小程序"),
    "official_account": ("official account", "公众号"),
    "wecom": ("WeCom", "企业微信"),
    "site": ("web site", "官网"),
    "dealer": ("dealer", "经销商"),
    "social": ("social media", "社交媒体"),
    "phone": ("phone", "电话"),
}


def deeds(past: Any, **equal: str | tuple[str, ...]) -> Rows:
    """Touchpoints the customer initiated; what the company did to them says nothing about them."""
    return past.touchpoints.where(initiated_by="customer", **equal)  # type: ignore[no-any-return]


def on_channel(channel: str, past: Any, days: int | None) -> Any:
    return deeds(past, channel=channel).count(days)


FEATURES = (
    Feature(
        "days_since_touchpoint",
        lambda past: deeds(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="activity recency",
        en="Days since the last touchpoint",
        zh="距上次互动的天数",
    ),
    Feature(
        "days_since_first_touchpoint",
        lambda past: deeds(past).days_since_first(),
        unit="days",
        nothing=None,
        concept="customer age",
        en="Days since the first touchpoint",
        zh="距首次互动的天数",
    ),
    *windowed(
        "touchpoints_{window}",
        lambda past, days: deeds(past).count(days),
        (7, 30, 90, 180, 365, None),
        unit="touchpoints",
        nothing=0,
        concept="activity",
        en="Touchpoints {window}",
        zh="{window}互动次数",
    ),
    *windowed(
        "active_days_{window}",
        lambda past, days: deeds(past).distinct_days(days),
        (30, 90, 365),
        unit="days",
        nothing=0,
        concept="activity",
        en="Days with a touchpoint {window}",
        zh="{window}有互动的天数",
    ),
    *windowed(
        "touchpoint_time_{window}_s",
        lambda past, days: deeds(past).sum("duration_s", days),
        (30, 180),
        unit="seconds",
        nothing=0,
        concept="activity",
        en="Time spent on touchpoints {window}",
        zh="{window}互动时长",
    ),
    *changed(
        "touchpoints_change_{window}",
        lambda past, days: deeds(past).count(days),
        (7, 30, 90),
        unit="touchpoints",
        concept="activity trend",
        en="Touchpoints",
        zh="互动次数",
    ),
    *changed(
        "active_days_change_{window}",
        lambda past, days: deeds(past).distinct_days(days),
        (30, 90),
        unit="days",
        concept="activity trend",
        en="Days with a touchpoint",
        zh="有互动的天数",
    ),
    Feature(
        "mean_days_between_touchpoints",
        lambda past: deeds(past).mean_gap_days(),
        unit="days",
        nothing=None,
        concept="activity rhythm",
        en="Mean days between touchpoints",
        zh="平均互动间隔天数",
    ),
    Feature(
        "sd_days_between_touchpoints",
        lambda past: deeds(past).sd_gap_days(),
        unit="days",
        nothing=None,
        concept="activity rhythm",
        en="Spread of the days between touchpoints",
        zh="互动间隔天数的波动",
    ),
    Feature(
        "longest_days_between_touchpoints",
        lambda past: deeds(past).longest_gap_days(),
        unit="days",
        nothing=None,
        concept="activity rhythm",
        en="Longest time between touchpoints, in days",
        zh="最长互动间隔天数",
    ),
    Feature(
        "touchpoint_overdue_ratio",
        lambda past: deeds(past).days_since_last() / deeds(past).mean_gap_days(),
        unit="times",
        nothing=None,
        concept="activity rhythm",
        en="Days since the last touchpoint, as a multiple of the usual time between touchpoints",
        zh="距上次互动的天数与平时互动间隔之比",
    ),
    *windowed(
        "touchpoint_channels_{window}",
        lambda past, days: deeds(past).distinct("channel", days),
        (90, 365),
        unit="channels",
        nothing=0,
        concept="channels",
        en="Different channels used {window}",
        zh="{window}使用的渠道数",
    ),
    *windowed(
        "touchpoint_kinds_{window}",
        lambda past, days: deeds(past).distinct("kind", days),
        (90,),
        unit="kinds",
        nothing=0,
        concept="activity",
        en="Different kinds of touchpoints {window}",
        zh="{window}互动类型数",
    ),
    *windowed(
        "touchpoint_campaigns_{window}",
        lambda past, days: deeds(past).distinct("campaign", days),
        (180,),
        unit="campaigns",
        nothing=0,
        concept="contacts and replies",
        en="Campaigns that led to a touchpoint {window}",
        zh="{window}带来互动的营销活动数",
    ),
    *(
        feature
        for channel, (en, zh) in CHANNELS.items()
        for feature in windowed(
            f"{channel}_touchpoints_{{window}}",
            partial(on_channel, channel),
            (90, 365),
            unit="touchpoints",
            nothing=0,
            concept="channels",
            en=f"Touchpoints by {en} {{window}}",
            zh=f"{{window}}{zh}互动次数",
        )
    ),
    Feature(
        "last_touchpoint_channel",
        lambda past: deeds(past).latest("channel"),
        unit="channel",
        nothing=None,
        concept="channels",
        en="Channel of the last touchpoint",
        zh="最近一次互动的渠道",
        kind="category",
    ),
    Feature(
        "last_touchpoint_kind",
        lambda past: deeds(past).latest("kind"),
        unit="kind",
        nothing=None,
        concept="activity",
        en="Kind of the last touchpoint",
        zh="最近一次互动的类型",
        kind="category",
    ),
)
