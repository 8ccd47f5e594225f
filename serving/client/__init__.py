"""Ask the service from Python: typed answers, batches of ids, retries that come when the service says.

>>> from serving.client import Client
>>> with Client("http://127.0.0.1:3000", token="propensity_...") as service:   # doctest: +SKIP
...     answer = service.scores(["C00001", "C00002"], ["churn"])
"""

from serving.client.client import Client, Gone, Refusal

__all__ = ["Client", "Gone", "Refusal"]
