"""The tasks there are, each a small declaration; `training.task` says what one is made of.

Training takes a task's name; promotion makes the service offer it.
"""

from collections.abc import Iterable

from features.cohorts import (
    active_leads,
    active_owners,
    activity_guests,
    has_ordered,
    insurance_due,
    just_contacted,
    just_renewed,
    just_serviced,
    just_tested,
    new_owners,
    owners,
    young_car_owners,
)
from features.errors import UnknownName
from features.views.orders import placed
from features.views.touchpoints import deeds
from features.views.vehicles import disposals, held
from features.warehouse import Warehouse
from training.assessment import MARKETING, SERVICE
from training.outcomes import Happens
from training.ownership import WHAT_OWNERS_DO
from training.rules import (
    age_of_car,
    dearness,
    fading,
    last_touch,
    latest,
    most,
    newness,
    past_discounts,
    past_redemptions,
    recency,
    rfm,
    silent_7d,
    test_drive_30d,
    touch_rfm,
)
from training.task import Occasions, Task
from training.words import Words
from training.worth import Worth

__all__ = ["TASKS", "offered", "task_named"]

ORDERS = Happens("order", lambda future: placed(future).count() > 0)
SIGN_OF_LIFE = Happens(
    "sign of life", lambda future: (deeds(future).count() > 0) | (future.visits.count() > 0)
)
WEEK = 7

OWNERS, LEADS = Words("owners", "位车主"), Words("leads", "位潜客")
# Orientation, to be replaced by a deployment's own sums: a call by an adviser; a car sold through private channels costs 200
# yuan where a dealer's lead costs 800, and a repeat sale 400 where public channels cost 800.
CALL_YUAN = 20
FIRST_SALE = Worth(CALL_YUAN, 600, Words(
    "a sale through private channels costs 200 yuan, through a dealer's lead 800", "私域成交成本200元，经销商线索800元"))  # fmt: skip
REPEAT_SALE = Worth(CALL_YUAN, 400, Words(
    "a repeat sale through private channels costs 400 yuan, through public ones 800", "私域增换购成本400元，公域800元"))  # fmt: skip
NEW_LEAD = Worth(CALL_YUAN, 500, Words("a lead through public channels costs 500 yuan", "公域线索成本500元"))
OWNER_KEPT = Worth(5, 40, Words(
    "a message; one in ten of those it reaches in time stays, whose next sale costs 400 yuan less", "发送一次关怀；及时触达者十人留一，其增换购成本少400元"))  # fmt: skip

TASKS: tuple[Task, ...] = (
    Task(
        name="churn",
        question="Will this customer place no order in the next 39 weeks?",
        do=Words("place no order within {days} days", "在{days}天内不下单"),
        cohort=has_ordered,
        outcome=ORDERS,
        silence="no order",
        horizons_days=(13 * WEEK, 26 * WEEK, 39 * WEEK),
        rules=(fading(recency), fading(rfm)),
        assessment=MARKETING,
    ),
    Task(
        name="purchase_intent",
        question="Will this customer place an order in the next 13 weeks?",
        do=Words("place an order within {days} days", "在{days}天内下单"),
        cohort=has_ordered,
        outcome=ORDERS,
        horizons_days=(4 * WEEK, 8 * WEEK, 13 * WEEK),
        rules=(recency, rfm),
        assessment=MARKETING,
    ),
    Task(
        name="churn",
        question="Will this owner show no sign of life, neither a touchpoint nor a workshop visit, in 180 days?",
        who=OWNERS,
        do=Words("show no sign of life within {days} days", "在{days}天内毫无音讯"),
        worth=OWNER_KEPT,
        cohort=active_owners,
        outcome=SIGN_OF_LIFE,
        silence="silence",
        horizons_days=(90, 180),
        rules=(fading(last_touch), fading(silent_7d), fading(touch_rfm)),
        assessment=MARKETING,
    ),
    Task(
        name="early_churn",
        question="Will this owner, whose car came in the last 30 days, show no sign of life in the next 90 days?",
        who=OWNERS,
        do=Words("show no sign of life within {days} days", "在{days}天内毫无音讯"),
        worth=OWNER_KEPT,
        cohort=new_owners,
        outcome=SIGN_OF_LIFE,
        silence="silence",
        horizons_days=(30, 60, 90),
        rules=(fading(last_touch), fading(touch_rfm)),
        assessment=MARKETING,
    ),
    Task(
        name="purchase_intent",
        question="Will this lead order a first car of ours in the next 90 days?",
        who=LEADS,
        do=Words("order a car within {days} days", "在{days}天内订车"),
        worth=FIRST_SALE,
        cohort=active_leads,
        outcome=ORDERS,
        horizons_days=(30, 60, 90),
        rules=(last_touch, silent_7d, test_drive_30d, touch_rfm),
        assessment=MARKETING,
    ),
    Task(
        name="repurchase",
        question="Will this owner order another car of ours, beside the one held or in its stead, in the next 365 days?",
        who=OWNERS,
        do=Words("order another car within {days} days", "在{days}天内增购或换购"),
        worth=REPEAT_SALE,
        cohort=owners,
        outcome=WHAT_OWNERS_DO,
        wanted=("additional", "replacement"),
        horizons_days=(180, 365),
        rules=(age_of_car, last_touch, touch_rfm),
        assessment=MARKETING,
    ),
    Task(
        name="upgrade",
        question="Will this owner order a car of a higher price class than the dearest held, in the next 365 days?",
        who=OWNERS,
        do=Words("order a dearer car within {days} days", "在{days}天内升级换购"),
        worth=REPEAT_SALE,
        cohort=owners,
        outcome=Happens(
            "dearer car",
            event=lambda future: placed(future).max("price_class"),
            beyond=lambda past: held(past).max("price_class"),
        ),
        horizons_days=(365,),
        rules=(age_of_car, last_touch, touch_rfm),
        assessment=MARKETING,
    ),
    Task(
        name="test_drive",
        question="Will this lead take a test drive in the next 60 days?",
        who=LEADS,
        do=Words("take a test drive within {days} days", "在{days}天内试驾"),
        cohort=active_leads,
        outcome=Happens("test drive", lambda future: deeds(future, kind="test_drive").count() > 0),
        horizons_days=(30, 60),
        rules=(last_touch, silent_7d, touch_rfm),
        assessment=MARKETING,
    ),
    Task(
        name="order_after_test_drive",
        question="Will this customer, who took a test drive in the last 30 days, order in the next 90 days?",
        do=Words("order a car within {days} days", "在{days}天内订车"),
        worth=FIRST_SALE,
        cohort=just_tested,
        outcome=ORDERS,
        horizons_days=(30, 60, 90),
        rules=(last_touch, test_drive_30d, touch_rfm),
        assessment=MARKETING,
    ),
    Task(
        name="finance_take_up",
        question="Will this lead order a first car with a loan or a lease in the next 90 days?",
        who=LEADS,
        do=Words("order a car on a loan or lease within {days} days", "在{days}天内贷款或租赁订车"),
        cohort=active_leads,
        outcome=Happens(
            "financed order", lambda future: placed(future).where(finance_plan=("lease", "loan")).count() > 0
        ),
        horizons_days=(90,),
        rules=(
            last_touch,
            most("finance_interest", "finance_content_90d", "who reads most on finance comes first"),
        ),
        assessment=MARKETING,
    ),
    Task(
        name="service_return",
        question="Will this owner, serviced in the last 90 days, come back for the next maintenance within a year?",
        who=OWNERS,
        do=Words("come back for maintenance within {days} days", "在{days}天内回厂保养"),
        cohort=just_serviced,
        outcome=Happens("maintenance", lambda future: future.visits.where(kind="maintenance").count() > 0),
        horizons_days=(180, 365),
        rules=(last_touch, most("habit", "visits_365d", "who came most often in a year comes first")),
        purpose="service",
        assessment=SERVICE,
    ),
    Task(
        name="insurance_renewal",
        question="Will this owner, whose insurance ends in the next 90 days, renew it with us in 120 days?",
        who=OWNERS,
        do=Words("renew their insurance with us within {days} days", "在{days}天内续保"),
        cohort=insurance_due,
        outcome=Happens("renewal", lambda future: deeds(future, kind="insurance_renewal").count() > 0),
        horizons_days=(60, 120),
        rules=(
            last_touch,
            most("habit", "insurance_renewals_ever", "who renewed most often so far comes first"),
        ),
        assessment=MARKETING,
    ),
    Task(
        name="activity_retention",
        question="Will this customer, who joined an activity in the last 90 days, join another in the next 90 days?",
        do=Words("join another activity within {days} days", "在{days}天内再次参加活动"),
        cohort=activity_guests,
        outcome=Happens("activity", lambda future: deeds(future, kind="activity_signin").count() > 0),
        horizons_days=(30, 90),
        rules=(
            latest("recency", "days_since_activity_signin", "who joined an activity last comes first"),
            most("habit", "activity_signins_365d", "who joined most activities in a year comes first"),
        ),
        assessment=MARKETING,
    ),
    Task(
        name="referral",
        question="Will somebody register on this owner's invitation in the next 180 days?",
        who=OWNERS,
        do=Words("bring a new lead within {days} days", "在{days}天内带来新潜客"),
        worth=NEW_LEAD,
        cohort=owners,
        outcome=Happens("registration", lambda future: future.referrals.where(kind="registered").count() > 0),
        horizons_days=(90, 180),
        rules=(
            last_touch,
            most("habit", "referred_registrations_ever", "who brought most people so far comes first"),
        ),
        assessment=MARKETING,
    ),
    Task(
        name="buy_back",
        question="Will this owner of a car of at most 36 months trade one in to us in the next 365 days?",
        who=OWNERS,
        do=Words("trade a car in to us within {days} days", "在{days}天内置换旧车"),
        cohort=young_car_owners,
        outcome=Happens(
            "trade-in", lambda future: disposals(future).where(disposal_kind="trade_in").count() > 0
        ),
        horizons_days=(180, 365),
        rules=(
            age_of_car,
            latest("valuation", "days_since_valuation_request", "who asked last for a valuation comes first"),
        ),
        assessment=MARKETING,
    ),
    Task(
        name="redemption",
        question="Will this customer, just sent a campaign, redeem a coupon in the next 30 days?",
        do=Words("redeem a coupon within {days} days", "在{days}天内核销优惠券"),
        cohort=just_contacted,
        outcome=Happens("redemption", lambda future: deeds(future, kind="coupon_redemption").count() > 0),
        horizons_days=(14, 30),
        rules=(past_redemptions, past_discounts),
        occasions=Occasions("contacts", "kind", "sent"),
        assessment=MARKETING,
    ),
    Task(
        name="response",
        question="Will this customer, just sent a campaign or put on a list of calls, order in the next 30 days?",
        cohort=just_contacted,
        outcome=ORDERS,
        horizons_days=(30,),
        rules=(
            most("past_replies", "contacts_answered_ever", "who answered most often so far comes first"),
            recency,
        ),
        occasions=Occasions("contacts", "kind", "sent"),
        assessment=MARKETING,
    ),
    Task(
        name="lapse",
        question="Will this contract, renewed in the last 30 days, be cancelled by the next renewal?",
        who=Words("contract holders", "位保单持有人"),
        do=Words("cancel within {days} days", "在{days}天内退保"),
        cohort=just_renewed,
        outcome=Happens("cancellation", lambda future: future.orders.where(kind="cancellation").count() > 0),
        horizons_days=(366,),  # a yearly contract's next renewal, in a leap year too
        rules=(newness, dearness),
        assessment=MARKETING,
    ),
)


def offered(warehouse: Warehouse, tasks: Iterable[Task] = TASKS) -> dict[str, Task]:
    """The tasks this warehouse has the sources for, by name; the more demanding one of two namesakes."""
    possible = sorted((task for task in tasks if warehouse.has(task.needs)), key=lambda task: len(task.needs))
    return {task.name: task for task in possible}


def task_named(name: str, warehouse: Warehouse) -> Task:
    """The task of that name. Raises `UnknownName`, listing those there are."""
    found = offered(warehouse)
    if name not in found:
        raise UnknownName("task", name, found)
    return found[name]
