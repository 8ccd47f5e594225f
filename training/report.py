"""The report of a run: in words first, then lists, pictures, tables, segments and examples; one page without links, and
every picture and table as a file of its own."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from features.words import CONCEPTS
from training.card import Card, in_segments
from training.comparison import REPLICATES_OF_A_CELL, REPLICATES_OF_A_GROUP
from training.examples import Example
from training.figures import draw
from training.findings import Report
from training.resampling import REPLICATES, Estimate
from training.segments import FEWEST_OUTCOMES, FEWEST_ROWS
from training.task import Task
from training.words import Words

__all__ = ["Seen", "in_words", "published"]


@dataclass(frozen=True)
class Seen:
    """What a page shows besides figures: the tested moments (customer_id, as_of, outcome), what the model promises them,
    the share of each concept in its contributions, a few examples, who was not asked, and in words which test it is."""

    tested: pd.DataFrame
    probability: np.ndarray
    concepts: Mapping[str, float]
    examples: Sequence[Example]
    excluded: pd.DataFrame
    test: str


def in_words(task: Task, report: Report) -> Words:
    """The finding as sentences: what the CRM's list holds, what the best rule's, and what that is worth."""
    if report.outcomes < FEWEST_OUTCOMES:
        return Words(f"Too few outcomes to judge: {report.outcomes:,} in {report.rows:,} moments.",
                     f"样本不足，无法判断：{report.rows:,}个时点中仅{report.outcomes:,}个结果。")  # fmt: skip
    campaign, does = report.campaign, task.does
    found = report.scorers["model"]["precision_at_capacity"]
    model = [campaign.listed * number for number in (found.value, found.low, found.high)]
    by_chance = campaign.listed * report.outcomes / report.rows
    rule_en, rule_zh = _rule_in_words(report)
    yuan = _yuan_in_words(task, report)
    en = (
        f"Of the {campaign.listed:,} {task.who.en} we would call (the first {campaign.share:.0%} of {campaign.asked:,}), about "
        f"{_about(model[0])} ({_about(model[1])} to {_about(model[2])}) will {does.en}; {rule_en}"
        f"a list drawn at random {_about(by_chance)}.{yuan.en}"
    )
    zh = (
        f"在拟联系的{campaign.listed:,}{task.who.zh}（{campaign.asked:,}中排名前{campaign.share:.0%}）中，约"
        f"{_about(model[0])}（{_about(model[1])}至{_about(model[2])}）将{does.zh}；{rule_zh}"
        f"随机名单为{_about(by_chance)}。{yuan.zh}"
    )
    return Words(en, zh)


def published(folder: Path, task: Task, card: Card, report: Report, seen: Seen) -> list[Path]:
    """Write page, pictures and tables into a folder; returns the files, the page first."""
    pictures = draw(folder, report, seen.tested, seen.probability, seen.concepts)
    page = folder / f"{task.name}.html"
    page.write_text(_render(task, card, report, seen, pictures))
    tables = {"scorers": report.table(), "lists": report.of_lists(), "segments": report.by_group()}
    files = [page, *pictures.values()]
    for name, table in tables.items():
        files.append(folder / f"{name}.csv")
        table.to_csv(files[-1], index=name != "segments")
    files.append(folder / "figures.json")
    files[-1].write_bytes(msgspec.json.format(msgspec.json.encode(_figures(report)), indent=1))
    return files


def _figures(report: Report) -> dict[str, object]:
    """All figures as numbers: what the page says, for whoever reads it by machine."""
    campaign = report.campaign
    told: dict[str, object] = {
        "task": report.task,
        "rows": report.rows,
        "outcomes": report.outcomes,
        "list": {"asked": campaign.asked, "listed": campaign.listed},
        "scorers": {name: _three(row) for name, row in report.scorers.items()},
        "leads_in_auc": _three(report.leads),
        "multiples": _three(report.multiples or {}),
        "segments": in_segments(report.segments),
        "months": in_segments(report.months),
        "shares": campaign.shares.tolist(),
        "found": {name: curve.tolist() for name, curve in (report.lists or {}).items()},
    }
    if (gains := report.gains) is not None:
        summed = {"best_share": gains.best, "at_best": gains.at_best} | (
            {"ahead_of_best_rule": gains.ahead} if gains.ahead else {}
        )
        told["yuan"] = {**_three(summed), "by_share": {n: c.tolist() for n, c in gains.curves.items()}}
    return told


def _render(task: Task, card: Card, report: Report, seen: Seen, pictures: Mapping[str, Path]) -> str:
    """The page as HTML, pictures inside."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters["day"] = lambda moment: (
        format(moment, "%Y-%m-%d") if isinstance(moment, datetime) else str(moment)
    )
    by_reason = seen.excluded.groupby("excluded")["customers"].sum()
    concepts = [(name, CONCEPTS.get(name, ""), share) for name, share in seen.concepts.items()]
    return environment.get_template("report.html").render(
        card=card,
        task=task,
        report=report,
        test=seen.test,
        tested_at=sorted(date.to_pydatetime() for date in seen.tested["as_of"].unique()),
        replicates=(REPLICATES, REPLICATES_OF_A_CELL, REPLICATES_OF_A_GROUP),
        fewest=(FEWEST_ROWS, FEWEST_OUTCOMES),
        pictures={name: base64.b64encode(file.read_bytes()).decode() for name, file in pictures.items()},
        concepts=concepts,
        examples=seen.examples,
        excluded="; ".join(f"{count:,} moments: {reason}" for reason, count in by_reason.items()) or "nobody",
    )


def _rule_in_words(report: Report) -> Words:
    rule = report.best_rule
    if rule is None or report.multiples is None:
        return Words("", "")
    holds = _about(report.campaign.listed * report.scorers[rule]["precision_at_capacity"].value)
    times = report.multiples[rule]
    if times.low <= 1 <= times.high:
        en, zh = "a difference within chance", "差异未超出随机波动"
    else:
        en = f"the model {times.value:.2f} times as many, {times.low:.2f} to {times.high:.2f}"
        zh = f"模型为其{times.value:.2f}倍，{times.low:.2f}至{times.high:.2f}"
    return Words(f"the best rule, {rule}, finds {holds} ({en}), ", f"最好的规则{rule}找到{holds}（{zh}），")


def _yuan_in_words(task: Task, report: Report) -> Words:
    gains, worth = report.gains, task.worth
    if gains is None or worth is None:
        return Words("", "")
    ours, more, best = report.scorers["model"]["gain_yuan"], gains.ahead, gains.best
    en = (
        f" At {worth.contact_yuan:g} yuan a contact and {worth.outcome_yuan:g} yuan an outcome the list brings "
        f"{ours.value:,.0f} yuan ({ours.low:,.0f} to {ours.high:,.0f}) each time"
    )
    zh = (
        f"按每次联系{worth.contact_yuan:g}元、每个结果{worth.outcome_yuan:g}元计，该名单每次带来{ours.value:,.0f}元"
        f"（{ours.low:,.0f}至{ours.high:,.0f}）"
    )
    if more is not None:
        en += f", {more.value:+,.0f} ({more.low:+,.0f} to {more.high:+,.0f}) against the rule's"
        zh += f"，与规则名单相比{more.value:+,.0f}元（{more.low:+,.0f}至{more.high:+,.0f}）"
    if best.value == 0:
        return Words(f"{en}; no list pays.", f"{zh}；任何名单都不划算。")
    return Words(
        f"{en}; the best list holds the first {best.value:.0%} ({best.low:.0%} to {best.high:.0%}) and brings "
        f"{gains.at_best.value:,.0f}.",
        f"{zh}；最佳名单为前{best.value:.0%}（{best.low:.0%}至{best.high:.0%}），带来{gains.at_best.value:,.0f}元。",
    )


def _about(number: float) -> str:
    """A count as one says it: to the ten beyond a thousand."""
    return f"{number:,.0f}" if number < 1000 else f"{round(number, -1):,.0f}"


def _three(figures: Mapping[str, Estimate]) -> dict[str, tuple[float, float, float]]:
    return {name: (e.value, e.low, e.high) for name, e in figures.items()}
