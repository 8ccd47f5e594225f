"""The BentoML service: `bentoml serve serving.service:Propensity`, or `make serve`.

BentoML hosts, counts and drains; the routes under /v1 are ours, mounted as one ASGI application. The service
is ready only when every champion gives its golden predictions.
"""

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml

from features.errors import PropensityError
from serving.desk import Desk
from serving.http import application

__all__ = ["Propensity"]

app = application()


@bentoml.service(name="propensity", traffic={"timeout": 30})
@bentoml.asgi_app(app, path="/v1")
class Propensity:
    """Propensity scores of a carmaker's customers, with reasons."""

    def __init__(self) -> None:
        app.state.desk = Desk.open()

    async def __is_ready__(self) -> bool:
        try:
            app.state.desk.self_test()
        except PropensityError:
            return False
        return True
