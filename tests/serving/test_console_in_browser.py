"""The console in a headless Chromium: by keyboard, in both languages, on a wide and on a small screen, against a real service."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.browser import CHROMIUM, Browser, browser
from tests.serving.server import ask, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM, reason="NOT TESTED: no chromium is installed here (apt-get install chromium)"
    ),
]

SHOWN = "document.querySelectorAll('#scores .reasons').length"
WIDE = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def console(shop: Path) -> Iterator[str]:
    with serving(shop) as port:
        yield f"http://127.0.0.1:{port}/console"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_a_customer_is_found_by_keyboard_alone(console: str, tab: Browser, tmp_path: Path) -> None:
    tab.open(f"{console}#lang=en")
    tab.until("document.title === 'Propensity console'")
    tab.run("document.getElementById('customer-id').focus()")
    tab.write("C00001")
    tab.press("Enter", "\r")
    tab.until(f"{SHOWN} >= 2")
    port = int(re.findall(r":(\d+)/", console)[0])
    told = json.loads(ask(port, "/v1/scores", {"customer_ids": ["C00001"]})[1])["scores"]
    text = tab.run("document.getElementById('scores').innerText")
    for score in told:
        assert f"{100 * score['probability']:.1f} %" in text
        assert score["reasons"][0]["en"] in text
        assert score["next_step"]["en"] in text
    tab.until("document.querySelectorAll('#scores svg').length >= 3")  # outlooks, and what would have been
    tab.run("document.querySelector('#scores details summary').focus()")
    tab.press("Enter", "\r")
    tab.until("document.querySelector('#scores details').innerText.includes('log-odds')")
    assert tab.picture(tmp_path / "customer.png").stat().st_size > 20_000
    assert tab.logged == []


def test_the_same_in_chinese_and_on_a_small_screen(console: str, tab: Browser) -> None:
    tab.open(f"{console}#lang=zh&customer=C00001", width=360, height=740)
    tab.until(f"{SHOWN} >= 2")
    text = tab.run("document.body.innerText")
    assert "下一步建议" in text
    assert "可能性" in text
    assert tab.run(WIDE)
    assert tab.run("document.documentElement.lang") == "zh"
    tab.run("document.getElementById('language').click()")
    assert "Next step" in tab.run("document.body.innerText")
    for name in ("list", "models"):
        tab.run(f"document.getElementById('tab-{name}').click()")
        tab.until(f"document.querySelector('#{name} .card') !== null")
        assert tab.run(WIDE), name


def test_what_is_not_there_yet_is_asked_for_again(console: str, tab: Browser) -> None:
    tab.open(f"{console}#lang=en")
    tab.until("document.title === 'Propensity console'")
    tab.run(
        "window.asked=[];const real=window.fetch;window.fetch=async(path,given)=>{window.asked.push(path);"
        "return path.includes('/history')&&window.asked.filter(one=>one===path).length<3"
        "?new Response('{}',{status:503,headers:{'retry-after':'1'}}):real(path,given)}"
    )
    tab.run("document.getElementById('customer-id').focus()")
    tab.write("C00001")
    tab.press("Enter", "\r")
    tab.until("document.querySelectorAll('#scores svg').length >= 3")
    assert tab.run("window.asked.filter(path => path.includes('/history')).length") == 3
    assert "The service says" not in tab.run("document.body.innerText")


def test_a_list_follows_its_slider_and_is_exported(console: str, tab: Browser, tmp_path: Path) -> None:
    tab.tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    tab.open(f"{console}#lang=en&tab=list")
    tab.until("document.getElementById('facts') !== null && !document.getElementById('export').disabled")
    port = int(re.findall(r":(\d+)/", console)[0])
    shown = []
    for place in (200, 500, 1000):
        tab.run(
            f"{{const s=document.getElementById('capacity');s.value={place};s.dispatchEvent(new Event('input'));s.dispatchEvent(new Event('change'));}}"
        )
        capacity = int(
            tab.run("document.getElementById('capacity-label').textContent").split(": ")[1].replace(",", "")
        )
        told = json.loads(ask(port, "/v1/lists", {"task": "churn", "capacity": capacity})[1])
        tab.until(
            f"document.getElementById('facts').innerText.includes('{told['outcomes']['expected']:.1f}')"
        )
        assert tab.run("document.getElementById('gains') !== null")
        shown.append(told["listed"])
    assert shown == sorted(set(shown))
    assert shown[-1] == told["eligible"]
    tab.run("document.getElementById('export').click()")
    tab.until("document.getElementById('said').innerText === ''")
    for _ in range(100):
        if files := list(tmp_path.glob("*.csv")):
            break
        tab.until("new Promise(done => setTimeout(() => done(true), 100))")
    (file,) = files
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == told["listed"]
    assert (rows[0]["rank"], rows[0]["task"]) == ("1", "churn")
    assert tab.logged == []


def test_tabs_turn_by_arrow_keys_and_models_show_their_figures(console: str, tab: Browser) -> None:
    tab.open(f"{console}#lang=en")
    tab.until("document.title === 'Propensity console'")
    tab.run("document.getElementById('tab-customer').focus()")
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    assert tab.run("document.activeElement.id") == "tab-models"
    tab.until("document.querySelectorAll('#cards .card').length === 3")
    text = tab.run("document.getElementById('cards').innerText")
    assert "Drift since training" in text
    assert "recency" in text


def test_what_goes_wrong_is_told(console: str, tab: Browser) -> None:
    tab.open(f"{console}#lang=en")
    tab.until("document.title === 'Propensity console'")
    tab.run(
        "document.getElementById('customer-id').value='a b';document.querySelector('#find button').click()"
    )
    assert "422" in tab.until("(document.querySelector('[role=alert]')||{}).innerText")
    tab.logged.clear()  # the browser itself notes the 422
