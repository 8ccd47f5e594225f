"""Referrals: whom the customer brought, what came of it, and whether somebody brought them."""

from functools import partial
from typing import Any

from features.feature import Feature, windowed

__all__ = ["FEATURES"]

CONCEPT = "referrals"

# kind: (name, windows, English, Chinese)
STEPS: dict[str, tuple[str, tuple[int | None, ...], str, str]] = {
    "invited": ("invitations", (90, 365, None), "Invitations", "邀请次数"),
    "registered": ("referred_registrations", (365, None), "Registrations of people invited", "被邀请人注册数"),
    "ordered": ("referred_orders", (365, None), "Orders by people invited", "被邀请人下单数"),
}  # fmt: skip


def of_kind(kind: str, past: Any, days: int | None) -> Any:
    return past.referrals.where(kind=kind).count(days)


def since_kind(kind: str, past: Any) -> Any:
    return past.referrals.where(kind=kind).days_since_last()


FEATURES = (
    *(
        feature
        for kind, (name, windows, en, zh) in STEPS.items()
        for feature in windowed(
            f"{name}_{{window}}",
            partial(of_kind, kind),
            windows,
            unit="referrals",
            nothing=0,
            concept=CONCEPT,
            en=f"{en} {{window}}",
            zh=f"{{window}}{zh}",
        )
    ),
    *(
        Feature(
            f"days_since_{name}",
            partial(since_kind, kind),
            unit="days",
            nothing=None,
            concept=CONCEPT,
            en=f"Days since {en}",
            zh=f"距上次{zh}的天数",
        )
        for kind, name, en, zh in (
            ("invited", "invitation", "the last invitation", "邀请"),
            ("ordered", "referred_order", "the last order by somebody invited", "被邀请人下单"),
        )
    ),
    *windowed(
        "people_invited_{window}",
        lambda past, days: past.referrals.distinct("invitee_id", days),
        (None,),
        unit="people",
        nothing=0,
        concept=CONCEPT,
        en="Different people invited {window}",
        zh="{window}邀请人数",
    ),
    *windowed(
        "referred_order_share_{window}",
        lambda past, days: of_kind("ordered", past, days) / of_kind("invited", past, days).nullif(0),
        (None,),
        unit="of invitations",
        nothing=None,
        concept=CONCEPT,
        en="Orders per invitation {window}",
        zh="{window}邀请下单率",
    ),
    *windowed(
        "registrations_by_invitation_{window}",
        lambda past, days: past.referrals.whose("invitee_id").where(kind="registered").count(days),
        (None,),
        unit="referrals",
        nothing=0,
        concept=CONCEPT,
        en="Registrations on another customer's invitation {window}",
        zh="{window}受邀注册次数",
    ),
    Feature(
        "days_since_registration_by_invitation",
        lambda past: past.referrals.whose("invitee_id").where(kind="registered").days_since_last(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since registering on another customer's invitation",
        zh="距受邀注册的天数",
    ),
)
