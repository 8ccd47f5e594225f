"""Configurator, quotes and finance: how concretely a car is being put together, and how it would be paid."""

from typing import Any

from features.feature import Feature, changed, windowed
from features.rows import Rows
from features.views.orders import placed
from features.views.touchpoints import deeds

__all__ = ["FEATURES"]

FINANCED = ("lease", "loan")


def configurations(past: Any) -> Rows:
    return deeds(past, kind="configurator")


def quotes(past: Any) -> Rows:
    return deeds(past, kind="quote_request")


FEATURES = (
    Feature(
        "days_since_configuration",
        lambda past: configurations(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="configurator",
        en="Days since the configurator was last used",
        zh="距上次使用配置器的天数",
    ),
    *windowed(
        "configurations_{window}",
        lambda past, days: configurations(past).count(days),
        (30, 90, 365),
        unit="times",
        nothing=0,
        concept="configurator",
        en="Uses of the configurator {window}",
        zh="{window}使用配置器次数",
    ),
    *windowed(
        "models_configured_{window}",
        lambda past, days: configurations(past).distinct("model", days),
        (180,),
        unit="models",
        nothing=0,
        concept="configurator",
        en="Different models configured {window}",
        zh="{window}配置的车型数",
    ),
    *windowed(
        "configuration_depth_{window}_steps",
        lambda past, days: configurations(past).max("depth", days),
        (90, 365),
        unit="steps",
        nothing=None,
        concept="configurator",
        en="Furthest step reached in the configurator {window}",
        zh="{window}配置器完成的最多步骤",
    ),
    Feature(
        "last_configuration_depth_steps",
        lambda past: configurations(past).latest("depth"),
        unit="steps",
        nothing=None,
        concept="configurator",
        en="Steps completed in the last configuration",
        zh="最近一次配置完成的步骤",
    ),
    *windowed(
        "configuration_steps_{window}",
        lambda past, days: configurations(past).sum("depth", days),
        (180,),
        unit="steps",
        nothing=0,
        concept="configurator",
        en="Configurator steps completed {window}",
        zh="{window}配置器完成步骤总数",
    ),
    *windowed(
        "configuration_time_{window}_s",
        lambda past, days: configurations(past).sum("duration_s", days),
        (90,),
        unit="seconds",
        nothing=0,
        concept="configurator",
        en="Time spent in the configurator {window}",
        zh="{window}配置器使用时长",
    ),
    *changed(
        "configurations_change_{window}",
        lambda past, days: configurations(past).count(days),
        (30,),
        unit="times",
        concept="configurator",
        en="Uses of the configurator",
        zh="使用配置器次数",
    ),
    Feature(
        "last_model_configured",
        lambda past: configurations(past).latest("model"),
        unit="model",
        nothing=None,
        concept="configurator",
        en="Model last configured",
        zh="最近配置车型",
        kind="category",
    ),
    Feature(
        "days_since_quote_request",
        lambda past: quotes(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="quotes and finance",
        en="Days since the last quote request",
        zh="距上次询价的天数",
    ),
    *windowed(
        "quote_requests_{window}",
        lambda past, days: quotes(past).count(days),
        (30, 90, 365),
        unit="requests",
        nothing=0,
        concept="quotes and finance",
        en="Quotes requested {window}",
        zh="{window}询价次数",
    ),
    *windowed(
        "models_quoted_{window}",
        lambda past, days: quotes(past).distinct("model", days),
        (180,),
        unit="models",
        nothing=0,
        concept="quotes and finance",
        en="Different models quoted {window}",
        zh="{window}询价车型数",
    ),
    *windowed(
        "financed_orders_{window}",
        lambda past, days: placed(past).where(finance_plan=FINANCED).count(days),
        (365, None),
        unit="orders",
        nothing=0,
        concept="quotes and finance",
        en="Orders with a loan or lease {window}",
        zh="{window}贷款或租赁订单数",
    ),
    Feature(
        "last_finance_plan",
        lambda past: placed(past).latest("finance_plan"),
        unit="plan",
        nothing=None,
        concept="quotes and finance",
        en="Payment plan of the last order",
        zh="最近一次订单付款方式",
        kind="category",
    ),
)
