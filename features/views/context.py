"""Context: where a customer lives, how they found us, what they say they prefer, which dealer they keep to.

Profiles have versions; the newest one known at the moment counts, as it was then. Year of birth and sex are
sensitive: they are here for a task that declares why it needs them, and in no default selection.
"""

from typing import Any

from features.feature import Feature, windowed
from features.views.orders import placed
from features.views.touchpoints import deeds

__all__ = ["FEATURES"]

ELECTRIC = ("BEV", "PHEV")
THIRD_PARTIES = ("broker", "marketplace", "media", "partner")


def serviced_where_bought(past: Any) -> Any:
    return (past.visits.latest("dealer_id") == placed(past).latest("dealer_id")).cast("int64")


FEATURES = (
    Feature(
        "city_tier",
        lambda past: past.customers.latest("city_tier"),
        unit="tier",
        nothing=None,
        concept="region and origin",
        en="Tier of the home city, 1 is the largest",
        zh="所在城市级别，1为最高",
    ),
    Feature(
        "profile_versions",
        lambda past: past.customers.count(),
        unit="versions",
        nothing=0,
        concept="region and origin",
        en="Versions of the profile so far",
        zh="资料更新次数",
    ),
    Feature(
        "days_since_profile_change",
        lambda past: past.customers.days_since_last(),
        unit="days",
        nothing=None,
        concept="region and origin",
        en="Days since the profile last changed",
        zh="距上次资料更新的天数",
    ),
    Feature(
        "prefers_electric",
        lambda past: past.customers.latest("preferred_power_type").isin(ELECTRIC).cast("int64"),
        unit="yes or no",
        nothing=None,
        concept="region and origin",
        en="States a preference for electric drive (1 yes, 0 no)",
        zh="偏好新能源动力（1是，0否）",
    ),
    Feature(
        "came_through_third_party",
        lambda past: past.customers.latest("acquisition_channel").isin(THIRD_PARTIES).cast("int64"),
        unit="yes or no",
        nothing=None,
        concept="region and origin",
        en="First contact was through a third party, not a channel or agent of the brand (1 yes, 0 no)",
        zh="是否经第三方获客（1是，0否）",
    ),
    Feature(
        "region",
        lambda past: past.customers.latest("region"),
        unit="region",
        nothing=None,
        concept="region and origin",
        en="Sales region of the home city",
        zh="所在销售大区",
        kind="category",
    ),
    Feature(
        "acquisition_channel",
        lambda past: past.customers.latest("acquisition_channel"),
        unit="channel",
        nothing=None,
        concept="region and origin",
        en="Channel of first contact",
        zh="获客渠道",
        kind="category",
    ),
    Feature(
        "preferred_power_type",
        lambda past: past.customers.latest("preferred_power_type"),
        unit="drive",
        nothing=None,
        concept="region and origin",
        en="Drive the customer says they prefer",
        zh="偏好动力类型",
        kind="category",
    ),
    *windowed(
        "dealers_met_{window}",
        lambda past, days: deeds(past).distinct("dealer_id", days),
        (365,),
        unit="dealers",
        nothing=0,
        concept="dealer",
        en="Different dealers met {window}",
        zh="{window}接触的经销商数",
    ),
    Feature(
        "serviced_where_bought",
        serviced_where_bought,
        unit="yes or no",
        nothing=None,
        concept="dealer",
        en="Last workshop visit was at the dealer of the last order (1 yes, 0 no)",
        zh="最近一次进厂是否在购车经销商（1是，0否）",
    ),
    Feature(
        "order_dealer",
        lambda past: placed(past).latest("dealer_id"),
        unit="dealer",
        nothing=None,
        concept="dealer",
        en="Dealer of the last order",
        zh="最近一次下单的经销商",
        kind="category",
    ),
    Feature(
        "workshop_dealer",
        lambda past: past.visits.latest("dealer_id"),
        unit="dealer",
        nothing=None,
        concept="dealer",
        en="Dealer of the last workshop visit",
        zh="最近一次进厂的经销商",
        kind="category",
    ),
    Feature(
        "birth_year",
        lambda past: past.customers.latest("birth_year"),
        unit="year",
        nothing=None,
        concept="personal profile",
        en="Year of birth",
        zh="出生年份",
    ),
    Feature(
        "sex",
        lambda past: past.customers.latest("sex"),
        unit="sex",
        nothing=None,
        concept="personal profile",
        en="Sex as stated",
        zh="性别",
        kind="category",
    ),
)
