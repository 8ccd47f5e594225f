"""Content and community: what customers read, watch, write, ask and take part in, kind by kind and topic by topic."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from features.feature import Feature, changed, windowed
from features.views.touchpoints import deeds

__all__ = ["FEATURES"]

# name: (kind, windows, concept, unit, English, Chinese)
KINDS: dict[str, tuple[str, tuple[int | None, ...], str, str, str, str]] = {
    "page_views": ("page_view", (30, 90), "content interest", "views", "Page views", "页面浏览次数"),
    "content_reads": ("content_read", (30, 90, 365), "content interest", "reads", "Articles read", "内容阅读次数"),
    "model_page_views": ("model_page", (7, 30, 90), "content interest", "views", "Model pages viewed", "车型页浏览次数"),
    "app_opens": ("app_open", (7, 30, 90), "activity", "opens", "App opens", "App打开次数"),
    "mini_program_uses": ("mini_program", (30, 90), "activity", "uses", "Mini-program uses", "小程序使用次数"),
    "wecom_messages": ("wecom_message", (30, 90), "activity", "messages", "WeCom messages written", "企业微信发消息次数"),
    "live_streams": ("live_stream", (90, 365), "community", "streams", "Live streams watched", "直播观看次数"),
    "posts": ("post", (90, 365), "community", "posts", "Community posts", "社区发帖数"),
    "social_interactions": ("social", (90,), "community", "interactions", "Social interactions", "社交互动次数"),
    "activity_signins": ("activity_signin", (90, 365, None), "community", "activities", "Activities joined", "活动签到次数"),
    "complaints": ("complaint", (90, 365, None), "repairs and complaints", "complaints", "Complaints", "投诉次数"),
    "roadside_calls": ("roadside_assistance", (365,), "repairs and complaints", "calls", "Roadside assistance calls", "道路救援次数"),
    "valuation_requests": ("valuation_request", (90, 365), "garage", "requests", "Used-car valuations requested", "二手车估价次数"),
    "insurance_renewals": ("insurance_renewal", (365, None), "warranty and finance end", "renewals", "Insurance renewals", "续保次数"),
    "site_leads": ("site_lead", (90, None), "quotes and finance", "leads", "Enquiries left on the site", "官网留资次数"),
    "coupon_redemptions": ("coupon_redemption", (90, 365, None), "contacts and replies", "coupons", "Coupons redeemed", "优惠券核销次数"),
}  # fmt: skip

# name: (kind, concept, English, Chinese)
RECENCIES = {
    "content_read": ("content_read", "content interest", "the last article read", "上次阅读内容"),
    "model_page_view": ("model_page", "content interest", "the last model page viewed", "上次浏览车型页"),
    "app_open": ("app_open", "activity recency", "the app was last opened", "上次打开App"),
    "wecom_message": ("wecom_message", "activity recency", "the last WeCom message written", "上次发企业微信消息"),
    "live_stream": ("live_stream", "community", "the last live stream watched", "上次观看直播"),
    "post": ("post", "community", "the last community post", "上次社区发帖"),
    "activity_signin": ("activity_signin", "community", "the last activity joined", "上次参加活动"),
    "complaint": ("complaint", "repairs and complaints", "the last complaint", "上次投诉"),
    "roadside_call": ("roadside_assistance", "repairs and complaints", "the last roadside assistance", "上次道路救援"),
    "valuation_request": ("valuation_request", "garage", "the last used-car valuation", "上次二手车估价"),
    "insurance_renewal": ("insurance_renewal", "warranty and finance end", "the last insurance renewal", "上次续保"),
    "site_lead": ("site_lead", "quotes and finance", "the last enquiry on the site", "上次官网留资"),
    "coupon_redemption": ("coupon_redemption", "contacts and replies", "a coupon was last redeemed", "上次核销优惠券"),
}  # fmt: skip

TOPICS = {
    "safety": ("safety", "安全"),
    "price": ("prices", "价格"),
    "finance": ("finance", "金融"),
    "maintenance": ("maintenance", "养护"),
    "technology": ("technology", "技术"),
    "lifestyle": ("lifestyle", "生活方式"),
}


def of_kind(kind: str, past: Any, days: int | None) -> Any:
    return deeds(past, kind=kind).count(days)


def since_kind(kind: str, past: Any) -> Any:
    return deeds(past, kind=kind).days_since_last()


def on_topic(topic: str, past: Any, days: int | None) -> Any:
    return deeds(past, topic=topic).count(days)


def since_topic(topic: str, past: Any) -> Any:
    return deeds(past, topic=topic).days_since_last()


def counts() -> Iterator[Feature]:
    for name, (kind, windows, concept, unit, en, zh) in KINDS.items():
        yield from windowed(
            f"{name}_{{window}}",
            partial(of_kind, kind),
            windows,
            unit=unit,
            nothing=0,
            concept=concept,
            en=f"{en} {{window}}",
            zh=f"{{window}}{zh}",
        )


def recencies() -> Iterator[Feature]:
    for name, (kind, concept, en, zh) in RECENCIES.items():
        yield Feature(
            f"days_since_{name}",
            partial(since_kind, kind),
            unit="days",
            nothing=None,
            concept=concept,
            en=f"Days since {en}",
            zh=f"距{zh}的天数",
        )


def topics() -> Iterator[Feature]:
    for topic, (en, zh) in TOPICS.items():
        yield from windowed(
            f"{topic}_content_{{window}}",
            partial(on_topic, topic),
            (90, 365),
            unit="reads",
            nothing=0,
            concept="content interest",
            en=f"Content on {en} {{window}}",
            zh=f"{{window}}{zh}类内容互动次数",
        )
        yield Feature(
            f"days_since_{topic}_content",
            partial(since_topic, topic),
            unit="days",
            nothing=None,
            concept="content interest",
            en=f"Days since content on {en}",
            zh=f"距上次{zh}类内容互动的天数",
        )


FEATURES = (
    *counts(),
    *recencies(),
    *topics(),
    *windowed(
        "content_topics_{window}",
        lambda past, days: deeds(past).distinct("topic", days),
        (90, 365),
        unit="topics",
        nothing=0,
        concept="content interest",
        en="Different topics of content {window}",
        zh="{window}关注的内容主题数",
    ),
    *windowed(
        "models_viewed_{window}",
        lambda past, days: deeds(past, kind="model_page").distinct("model", days),
        (30, 180),
        unit="models",
        nothing=0,
        concept="content interest",
        en="Different models viewed {window}",
        zh="{window}浏览的车型数",
    ),
    *windowed(
        "live_stream_time_{window}_s",
        lambda past, days: deeds(past, kind="live_stream").sum("duration_s", days),
        (180,),
        unit="seconds",
        nothing=0,
        concept="community",
        en="Time spent watching live streams {window}",
        zh="{window}直播观看时长",
    ),
    *changed(
        "app_opens_change_{window}",
        partial(of_kind, "app_open"),
        (30, 90),
        unit="opens",
        concept="activity trend",
        en="App opens",
        zh="App打开次数",
    ),
    *changed(
        "model_page_views_change_{window}",
        partial(of_kind, "model_page"),
        (30,),
        unit="views",
        concept="activity trend",
        en="Model pages viewed",
        zh="车型页浏览次数",
    ),
    *changed(
        "activity_signins_change_{window}",
        partial(of_kind, "activity_signin"),
        (180,),
        unit="activities",
        concept="activity trend",
        en="Activities joined",
        zh="活动签到次数",
    ),
    Feature(
        "mean_days_between_activity_signins",
        lambda past: deeds(past, kind="activity_signin").mean_gap_days(),
        unit="days",
        nothing=None,
        concept="community",
        en="Mean days between activities joined",
        zh="平均参加活动间隔天数",
    ),
    Feature(
        "last_content_topic",
        lambda past: deeds(past, topic=tuple(TOPICS)).latest("topic"),
        unit="topic",
        nothing=None,
        concept="content interest",
        en="Topic of the last content",
        zh="最近一次内容主题",
        kind="category",
    ),
)
