"""Load: one at a time per line, a bounded wait, refusals that cost next to nothing and say when to come back."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from serving.edge.line import Line
from serving.edge.problem import Problem


def together(count: int, line: Line, work: Callable[[], Any]) -> list[Any]:
    async def all_() -> list[Any]:
        return await asyncio.gather(*(line.answer(work) for _ in range(count)), return_exceptions=True)

    return asyncio.run(all_())


def test_everybody_is_answered_in_turn_while_the_wait_is_short() -> None:
    order: list[int] = []
    line = Line("t", patience_s=5, most=100, first_guess_s=0.001)

    async def all_() -> None:
        await asyncio.gather(*(line.answer(lambda n=n: order.append(n)) for n in range(50)))  # type: ignore[misc]

    asyncio.run(all_())
    assert order == list(range(50))
    assert len(line) == 0


def test_a_crowd_is_refused_early_and_those_let_in_wait_no_longer_than_promised() -> None:
    line = Line("t", patience_s=0.2, most=1_000, first_guess_s=0.01)
    made = together(500, line, lambda: time.sleep(0.01))
    refused = [one for one in made if isinstance(one, Problem)]
    assert 10 <= len(made) - len(refused) <= 30
    assert {one.status for one in refused} == {503}
    assert all(1 <= int(one.headers["retry-after"]) <= 32 for one in refused)
    assert len(line) == 0


def test_no_more_than_so_many_wait_whatever_is_expected() -> None:
    line = Line("t", patience_s=100, most=5, first_guess_s=0.0)
    made = together(50, line, lambda: time.sleep(0.01))
    assert sum(not isinstance(one, Problem) for one in made) == 6


def test_when_answers_suddenly_take_long_those_who_waited_twice_as_long_are_sent_away() -> None:
    line = Line("t", patience_s=0.1, most=100, first_guess_s=0.0)
    made = together(8, line, lambda: time.sleep(0.15))
    assert 1 <= sum(not isinstance(one, Problem) for one in made) <= 4


def test_whoever_hangs_up_while_waiting_leaves_no_place_behind() -> None:
    async def some_go() -> int:
        line = Line("t", patience_s=10, most=2_000, first_guess_s=0.0)
        waiting: list[asyncio.Task[Any]] = [
            asyncio.create_task(line.answer(lambda: time.sleep(0.001))) for _ in range(1_000)
        ]
        await asyncio.sleep(0.01)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await line.answer(lambda: 7) == 7
        return len(line)

    assert asyncio.run(some_go()) == 0


def test_no_work_is_done_for_those_who_hung_up() -> None:
    async def half_hang_up() -> tuple[list[int], list[Any]]:
        line = Line("t", patience_s=10, most=100, first_guess_s=0.0)
        made: list[int] = []
        hung_up, stays, seen = asyncio.Event(), asyncio.Event(), threading.Event()

        def work(n: int) -> Callable[[], None]:
            return lambda: (seen.wait(60) if n == 0 else None, made.append(n))[1]

        asked = [
            asyncio.create_task(line.answer(work(n), (hung_up if n % 2 else stays).wait))  # type: ignore[arg-type]
            for n in range(20)
        ]
        await asyncio.sleep(0.01)
        hung_up.set()
        await asyncio.gather(*asked[1::2], return_exceptions=True)
        assert len(line) == 10
        seen.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert len(line) == 0
        return made, answers

    made, answers = asyncio.run(half_hang_up())
    assert made == list(range(0, 20, 2))
    assert {one.reason for one in answers[1::2]} == {"hung_up"}


def test_an_answer_that_breaks_frees_the_line() -> None:
    line = Line("t", patience_s=10, most=10, first_guess_s=0.0)
    made = together(3, line, lambda: 1 / 0)
    assert [type(one) for one in made] == [ZeroDivisionError] * 3
    assert together_one(line) == 1


def together_one(line: Line) -> Any:
    async def one() -> Any:
        waiting: Awaitable[Any] = line.answer(lambda: 1)
        return await waiting

    return asyncio.run(one())


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_an_idle_line_admits_whatever_the_last_answer_took(seconds: float) -> None:
    Line("t", patience_s=0.1, most=1, first_guess_s=seconds).admit()
