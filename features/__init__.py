"""Customer features as of any moment: one definition for training, batch and service.

import features
db = features.connect()
features.at(moments, db)          # one row per (customer_id, as_of), a column per feature: a query
features.rows_of(moments, db)     # the same rows as Arrow batches, the fastest way there is
"""

from features.bulk import rows_of
from features.feature_set import FEATURES, at, available, catalogue
from features.home import tracking_uri
from features.timeline import midnight, months
from features.warehouse import Warehouse, connect

__all__ = [
    "FEATURES",
    "Warehouse",
    "at",
    "available",
    "catalogue",
    "connect",
    "midnight",
    "months",
    "rows_of",
    "tracking_uri",
]
