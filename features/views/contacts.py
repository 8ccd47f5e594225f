"""Contacts: what the company sent, and whether the customer answered. Sending is the company's deed, never behaviour;
opening and answering are the customer's reaction to it."""

from functools import partial
from typing import Any

from features.feature import Feature, changed, windowed
from features.rows import Rows

__all__ = ["FEATURES"]

CONCEPT = "contacts and replies"

# kind: (name, windows, unit, English, Chinese)
STEPS: dict[str, tuple[str, tuple[int | None, ...], str, str, str]] = {
    "sent": ("contacts_sent", (7, 30, 90, 365), "messages", "Messages sent", "触达次数"),
    "delivered": ("contacts_delivered", (90,), "messages", "Messages delivered", "送达次数"),
    "opened": ("contacts_opened", (30, 90, 365), "messages", "Messages opened", "打开次数"),
    "answered": ("contacts_answered", (90, 365, None), "replies", "Messages answered", "回复次数"),
    "adviser_call": ("adviser_calls", (90, 365), "calls", "Calls by an adviser", "顾问来电次数"),
}

# kind: (name, English, Chinese)
RECENCIES = {
    "sent": ("contact", "the last message sent", "触达"),
    "opened": ("opening", "a message was last opened", "打开消息"),
    "answered": ("reply", "the last reply", "回复"),
    "adviser_call": ("adviser_call", "an adviser last called", "顾问来电"),
    "opted_out": ("opt_out", "contact was refused", "退订"),
}


def step(kind: str, past: Any) -> Rows:
    return past.contacts.where(kind=kind)  # type: ignore[no-any-return]


def counted(kind: str, past: Any, days: int | None) -> Any:
    return step(kind, past).count(days)


def since(kind: str, past: Any) -> Any:
    return step(kind, past).days_since_last()


def share(kind: str, past: Any, days: int | None) -> Any:
    return step(kind, past).count(days) / step("sent", past).count(days).nullif(0)


FEATURES = (
    *(
        feature
        for kind, (name, windows, unit, en, zh) in STEPS.items()
        for feature in windowed(
            f"{name}_{{window}}",
            partial(counted, kind),
            windows,
            unit=unit,
            nothing=0,
            concept=CONCEPT,
            en=f"{en} {{window}}",
            zh=f"{{window}}{zh}",
        )
    ),
    *(
        Feature(
            f"days_since_{name}",
            partial(since, kind),
            unit="days",
            nothing=None,
            concept=CONCEPT,
            en=f"Days since {en}",
            zh=f"距上次{zh}的天数",
        )
        for kind, (name, en, zh) in RECENCIES.items()
    ),
    Feature(
        "contacts_unanswered_in_a_row",
        lambda past: step("sent", past).since_last(kind="answered").count(),
        unit="messages",
        nothing=0,
        concept=CONCEPT,
        en="Messages sent since the last reply",
        zh="连续未回复的触达次数",
    ),
    Feature(
        "contacts_unopened_in_a_row",
        lambda past: step("sent", past).since_last(kind=("answered", "opened")).count(),
        unit="messages",
        nothing=0,
        concept=CONCEPT,
        en="Messages sent since one was last opened or answered",
        zh="连续未打开的触达次数",
    ),
    *windowed(
        "contact_open_share_{window}",
        partial(share, "opened"),
        (90, 365),
        unit="of sent",
        nothing=None,
        concept=CONCEPT,
        en="Openings per message sent {window}",
        zh="{window}触达打开率",
    ),
    *windowed(
        "contact_answer_share_{window}",
        partial(share, "answered"),
        (365,),
        unit="of sent",
        nothing=None,
        concept=CONCEPT,
        en="Replies per message sent {window}",
        zh="{window}触达回复率",
    ),
    *windowed(
        "contact_campaigns_{window}",
        lambda past, days: step("sent", past).distinct("campaign", days),
        (90,),
        unit="campaigns",
        nothing=0,
        concept=CONCEPT,
        en="Different campaigns sent {window}",
        zh="{window}触达的营销活动数",
    ),
    *windowed(
        "opt_outs_{window}",
        partial(counted, "opted_out"),
        (None,),
        unit="times",
        nothing=0,
        concept=CONCEPT,
        en="Refusals of contact {window}",
        zh="{window}退订次数",
    ),
    *changed(
        "contacts_answered_change_{window}",
        partial(counted, "answered"),
        (90,),
        unit="replies",
        concept=CONCEPT,
        en="Messages answered",
        zh="回复次数",
    ),
    Feature(
        "last_reply_channel",
        lambda past: step("answered", past).latest("channel"),
        unit="channel",
        nothing=None,
        concept=CONCEPT,
        en="Channel of the last reply",
        zh="最近一次回复的渠道",
        kind="category",
    ),
)
