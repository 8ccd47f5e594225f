"""The words around a feature in both languages: what it is about, and what its number counts."""

__all__ = ["CONCEPTS", "UNITS", "UNSAID"]

# What a reason names: features that say the same kind of thing.
CONCEPTS = {
    "order recency": "下单近度",
    "order frequency": "下单频次",
    "order value": "下单金额",
    "order rhythm": "下单节奏",
    "order trend": "下单趋势",
    "order cancellations": "订单取消",
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
    "of invitations": "占邀请次数", "of sent": "占触达次数", "opens": "次", "orders": "单", "people": "人",
    "pieces": "件", "plan": "方式", "points": "分", "posts": "帖", "power type": "动力类型", "reads": "次",
    "reasons": "种", "referrals": "次", "region": "大区", "renewals": "次", "replies": "次", "requests": "次",
    "seconds": "秒", "segment": "级别", "sex": "性别", "stage": "阶段", "steps": "步", "streams": "场", "tier": "级",
    "tiers": "个等级", "times": "倍", "topic": "主题", "topics": "个主题", "touchpoints": "次", "uses": "次",
    "versions": "版", "views": "次", "visits": "次", "workshops": "家", "year": "年", "yes or no": "是或否",
}  # fmt: skip

# The number says it all: "Month of the year: 3".
UNSAID = frozenset({"class", "month", "stage", "tier", "year", "yes or no"})
