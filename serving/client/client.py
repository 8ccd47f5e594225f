"""A client for the scoring service."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx
import msgspec

from serving.contract.about import TasksAnswer
from serving.contract.scores import ScoreRequest, ScoresAnswer

__all__ = ["Client", "Gone", "Refusal"]

AGAIN = (429, 503)
LONGEST_WAIT_S = 60.0
Answer = TypeVar("Answer", bound=msgspec.Struct)


class Refusal(Exception):
    """The service does not answer this question, now or ever: its problem document. `errors` point at places of the
    request."""

    def __init__(self, status: int, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(
            f"{status}: {detail}" + "".join(f"; {where or '/'}: {what}" for where, what in errors)
        )
        self.status, self.detail, self.errors = status, detail, list(errors)


class Gone(Exception):
    """The service could not be reached, or was busy, through all tries."""


class _Problem(msgspec.Struct):
    detail: str = ""
    errors: list[dict[str, str]] = []


class Client:
    """Of one service; threads may share it. A question is tried `tries` times: after 429 and 503 when `Retry-After` says, after
    a broken connection when a growing and random while has passed (full jitter). Every question can be asked twice
    without harm; posted events bear an idempotency key for that."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        tries: int = 5,
        timeout_s: float = 30.0,
        first_wait_s: float = 0.2,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout_s, transport=transport)
        self._tries, self._first_wait_s, self._sleep = tries, first_wait_s, sleep

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def tasks(self) -> TasksAnswer:
        """What may be asked."""
        return self.get("/v1/tasks", TasksAnswer)

    def scores(self, customer_ids: Sequence[str], tasks: Sequence[str] | None = None) -> ScoresAnswer:
        """Scores of up to 10,000 customers in one answer. Raises `Refusal` or `Gone`."""
        asked = ScoreRequest(list(customer_ids), list(tasks) if tasks is not None else None)
        return self.post("/v1/scores", asked, ScoresAnswer)

    def scores_of_many(
        self, customer_ids: Iterable[str], tasks: Sequence[str] | None = None, at_once: int = 500
    ) -> Iterator[ScoresAnswer]:
        """Scores of any number of customers, `at_once` in a question, as they come. Each answer is of one model version; two
        answers may be of two, when a champion was promoted between them: they say so in `models`."""
        batch: list[str] = []
        for customer_id in customer_ids:
            batch.append(customer_id)
            if len(batch) == at_once:
                yield self.scores(batch, tasks)
                batch = []
        if batch:
            yield self.scores(batch, tasks)

    def post(self, path: str, asked: msgspec.Struct, answer: type[Answer]) -> Answer:
        """Any question of the document, with the structs of `serving.contract`."""
        body = msgspec.json.encode(_given(asked))
        return self._ask("POST", path, answer, content=body, headers={"content-type": "application/json"})

    def get(self, path: str, answer: type[Answer], **parameters: Any) -> Answer:
        return self._ask("GET", path, answer, params=parameters)

    def _ask(self, method: str, path: str, answer: type[Answer], **options: Any) -> Answer:
        said = "was not reached"
        for attempt in range(self._tries):
            wait_s = random.uniform(0, min(self._first_wait_s * 2**attempt, LONGEST_WAIT_S))
            try:
                got = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                said = f"was not reached ({type(error).__name__})"
            else:
                if got.status_code == 200:
                    return msgspec.json.decode(got.content, type=answer)
                if got.status_code not in AGAIN:
                    raise _refusal(got)
                said = f"was busy ({got.status_code})"
                wait_s += _named_wait_s(got)
            if attempt + 1 < self._tries:
                self._sleep(wait_s)
        raise Gone(f"the service {said} in {self._tries} tries")


def _given(asked: msgspec.Struct) -> dict[str, Any]:
    """The fields that say something: what is left out has its default at the service, whatever its version."""
    return {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}


def _named_wait_s(got: httpx.Response) -> float:
    named = got.headers.get("retry-after", "")
    return min(float(named), LONGEST_WAIT_S) if named.isdigit() else 0.0


def _refusal(got: httpx.Response) -> Refusal:
    try:
        problem = msgspec.json.decode(got.content, type=_Problem)
    except msgspec.MsgspecError:
        return Refusal(got.status_code, "the answer is no problem document; is this the service?")
    return Refusal(
        got.status_code, problem.detail, [(e.get("pointer", ""), e.get("detail", "")) for e in problem.errors]
    )
