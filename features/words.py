"""The words around features and scores in both languages: what they are about, and what numbers count."""

from collections.abc import Mapping

__all__ = ["CONCEPTS", "OUTCOMES", "REFUSALS", "TASKS", "UNITS", "UNSAID", "called"]

# What a reason names: features that say the same kind of thing.
CONCEPTS = {
    "order recency": "下单近度",
    "order frequency": "下单频次",
    "order value": "下单金额",
    "order rhythm": "下单节奏",
    "order trend": "下单趋势",
    "order cancellations": "订单取消",
    "order discounts": "订单优惠",
    "customer age": "客户年限",
    "activity recency": "互动近度",
    "activity": "互动频次",
    "activity rhythm": "互动节奏",
    "activity trend": "互动趋势",
    "channels": "触点渠道",
    "content interest": "内容兴趣",
    "community": "社区参与",
    "showroom and test drives": "到店与试驾",
    "configurator": "配置器使用",
    "quotes and finance": "报价与金融",
    "garage": "名下车辆",
    "car age": "车龄",
    "mileage": "行驶里程",
    "warranty and finance end": "质保与金融到期",
    "workshop visits": "进厂服务",
    "workshop spend": "售后消费",
    "repairs and complaints": "维修与投诉",
    "contacts and replies": "触达与回应",
    "points": "积分",
    "membership tier": "会员等级",
    "referrals": "转介绍",
    "charging": "充电",
    "lifecycle stage": "生命周期阶段",
    "region and origin": "地区与来源",
    "dealer": "经销商",
    "personal profile": "个人特征",
    "season": "季节",
}

UNITS = {
    "Wh": "瓦时", "activities": "次活动", "calls": "次", "campaigns": "个活动", "cars": "辆", "cents": "分",
    "changes": "次", "channel": "渠道", "channels": "个渠道", "charges": "次", "class": "级", "classes": "级",
    "complaints": "次", "coupons": "张", "days": "天", "dealer": "经销商", "dealers": "家", "drive": "动力类型", "drives": "次试驾",
    "interactions": "次", "kind": "类型", "kinds": "类", "km": "公里", "leads": "次留资", "messages": "条",
    "model": "车型", "models": "款", "month": "月", "of charges": "占充电次数", "of earned": "占获得积分",
    "of full price": "占原价", "of invitations": "占邀请次数", "of sent": "占触达次数", "opens": "次", "orders": "单", "people": "人",
    "pieces": "件", "plan": "方式", "points": "分", "posts": "帖", "power type": "动力类型", "reads": "次",
    "reasons": "种", "referrals": "次", "region": "大区", "renewals": "次", "replies": "次", "requests": "次",
    "seconds": "秒", "segment": "级别", "sex": "性别", "stage": "阶段", "steps": "步", "streams": "场", "tier": "级",
    "tiers": "个等级", "times": "倍", "topic": "主题", "topics": "个主题", "touchpoints": "次", "uses": "次",
    "versions": "版", "views": "次", "visits": "次", "workshops": "家", "year": "年", "yes or no": "是或否",
}  # fmt: skip

# The number says it all: "Month of the year: 3".
UNSAID = frozenset({"class", "month", "stage", "tier", "year", "yes or no"})

# Why somebody is not asked about, as cohorts and consents say it.
REFUSALS = {
    "holds a car of ours already": "已持有我方车辆",
    "holds no car of ours": "未持有我方车辆",
    "has a car on order": "已有在订车辆",
    "has not ordered yet": "尚未下过单",
    "no touchpoint in 90 days": "90天内无互动",
    "silent for 180 days already": "已静默180天",
    "no car was delivered in the last 30 days": "近30天内无车辆交付",
    "no car was delivered in the last 36 months": "近36个月内无车辆交付",
    "no test drive in the last 30 days": "近30天内无试驾",
    "no maintenance in the last 90 days": "近90天内无保养",
    "renewed no insurance 275 to 365 days ago": "275至365天前未续保",
    "has renewed the insurance already": "已续保",
    "joined no activity in the last 90 days": "近90天内未参加活动",
    "was sent nothing in the last day": "近一天内未收到触达",
    "renewed nothing in the last 30 days": "近30天内无续约",
    "has cancelled already": "已退订",
    "no consent for service is known": "未见其对服务用途的同意",
    "withdrew the consent for service": "已撤回对服务用途的同意",
    "refused service": "已拒绝服务用途",
    "the consent for service has ended": "对服务用途的同意已到期",
    "the consent for service is no yes": "对服务用途的表态不构成同意",
    "no consent for marketing is known": "未见其对营销用途的同意",
    "withdrew the consent for marketing": "已撤回对营销用途的同意",
    "refused marketing": "已拒绝营销用途",
    "the consent for marketing has ended": "对营销用途的同意已到期",
    "the consent for marketing is no yes": "对营销用途的表态不构成同意",
    "no consent for automated profiling is known": "未见其对自动化画像的同意",
    "withdrew the consent for automated profiling": "已撤回对自动化画像的同意",
    "refused automated profiling": "已拒绝自动化画像",
    "the consent for automated profiling has ended": "对自动化画像的同意已到期",
    "the consent for automated profiling is no yes": "对自动化画像的表态不构成同意",
}

# What people call the tasks.
TASKS = {
    "activity_retention": "活动留存",
    "buy_back": "旧车回购",
    "churn": "流失",
    "early_churn": "交付初期流失",
    "finance_take_up": "金融渗透",
    "insurance_renewal": "续保",
    "lapse": "退保",
    "order_after_test_drive": "试驾转订单",
    "purchase_intent": "购车意向",
    "redemption": "领券核销",
    "referral": "转介绍",
    "repurchase": "增购换购",
    "response": "活动响应",
    "service_return": "回厂保养",
    "test_drive": "试驾",
    "upgrade": "升级换购",
}

# What may come about.
OUTCOMES = {
    "activity": "参加活动",
    "additional": "增购",
    "cancellation": "退保",
    "dearer car": "购买更高价车型",
    "defection": "流向其他品牌",
    "financed order": "金融订单",
    "maintenance": "保养",
    "no order": "不下单",
    "order": "下单",
    "redemption": "核销",
    "registration": "被推荐人注册",
    "renewal": "续保",
    "replacement": "换购",
    "silence": "静默",
    "test drive": "试驾",
    "trade-in": "旧车置换",
}


def called(name: str, words: Mapping[str, str]) -> tuple[str, str]:
    """What a task or an outcome is called in English and Chinese; one that a deployment declared itself, by its own name."""
    return name.replace("_", " "), words.get(name, name)
