"""Promotion: a challenger beside the champion on the same closed moments, a verdict with reasons, one step of history.

    python -m training.promote --task churn [--run RUN | --version 7] [--force "why"]
    python -m training.promote --task churn --back          the champion before this one, to the same bits
    python -m training.promote --task churn --history

The moments are those the challenger was tested at, asked of the warehouse anew; where the champion has learned from them,
it has the advantage, and the table says so. A refusal is written down too, and ends with 1.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from features import audit
from features.command import run
from features.errors import BadModel, ChampionMoved, NotPromoted
from features.feature_set import FEATURES
from features.home import data_folder, tracking_uri, without_secrets
from features.matrix import matrix
from features.warehouse import Warehouse, connect
from training import history, registry
from training.artefact import Loaded
from training.card import Card
from training.dataset import dataset
from training.gates import Evidence, Verdict, judged
from training.history import Alias, Step
from training.kept import register_kept
from training.plan import Plan
from training.preflight import up_to
from training.task import Task
from training.tasks import task_named

__all__ = ["back", "judge", "moments_tested", "moved", "promote", "promoted_if_fit", "table"]

STYLES = {"passed": "green", "reserved": "yellow", "refused": "red"}


def judge(task: Task, rows: pd.DataFrame, challenger: Loaded) -> Verdict:
    """Every gate's finding on `rows`: moments of the challenger's test with outcome and features as the warehouse gives
    them, categories as text."""
    card, champion = challenger.card, registry.champion_version(task.name)
    served, unfit, unlike, note = None, "", "", ""
    if champion:
        try:
            serving = registry.fetched(task.name, champion)
            unfit, unlike = _unfit(champion, serving.card), _unlike(champion, serving.card, card)
            served = _promised(serving, rows) if not unfit and not unlike else None
            note = _known_before(serving.card, card)
        except BadModel as error:
            unfit = f"champion {champion} cannot serve: {error}"
    return judged(
        Evidence(
            card=card,
            rows=rows,
            probability=_promised(challenger, rows),
            ranks={rule.name: rule.score(rows) for rule in task.rules},
            served=served,
            champion=champion,
            unfit=unfit,
            unlike=unlike,
            note=note,
            broken=_broken(challenger),
        )
    )


def promote(challenger: Loaded, version: str, verdict: Verdict, force: str = "") -> Step:
    """Make a version the champion and write it down with every finding; `force` is the reason to do so in spite of them, all
    but the lawful one.

    Raises `NotPromoted` when a gate refuses (written down too) and `ChampionMoved` when the champion is no longer
    the one of the verdict.
    """
    task, refused = challenger.card.task, verdict.refused
    if version == verdict.champion:
        raise NotPromoted(f"{task} version {version} is the champion already")
    force = "" if verdict.unlawful else force  # no reason makes it lawful
    deed = "promoted" if not refused else "forced" if force else "refused"
    reserved = [f"with a reservation: {words}" for words in verdict.reserved]
    why = "; ".join([*([force] if force else []), *refused, *reserved]) or "every gate passed"
    step = _step(task, deed, version, verdict.champion, challenger.digest, why, verdict)
    if deed == "refused":
        _note(step, challenger.card, "refused")
        history.append(_file(task), step)
        raise NotPromoted(f"{task} version {version} is not promoted: {why}")
    return _moved(step, challenger.card)


def promoted_if_fit(challenger: Loaded, version: str, verdict: Verdict) -> bool:
    """Promote unless a gate refuses or another promotion came first; says whether it did."""
    try:
        promote(challenger, version, verdict)
    except (NotPromoted, ChampionMoved):
        return False
    return True


def back(task: str) -> Step:
    """Let the version serve again that the champion replaced. Raises `NotPromoted` when there is none."""
    serving = registry.champion_version(task)
    earlier = history.before(_file(task), serving) if serving else None
    if serving is None or earlier is None:
        raise NotPromoted(
            f"{task}: the history knows no version that served before; `--version N` promotes any other"
        )
    loaded = registry.fetched(task, earlier.version)
    if loaded.digest != earlier.digest:
        raise BadModel(
            f"{task} version {earlier.version} is not what served as such (SHA-256 differs); promote another version"
        )
    step = _step(task, "back", earlier.version, serving, loaded.digest, f"back from version {serving}")
    return _moved(step, loaded.card)


def moments_tested(
    task: Task, warehouse: Warehouse, card: Card, held_out: Iterable[str] | None = None
) -> pd.DataFrame:
    """The moments of a card's test, with outcome and features, as the warehouse knows them today.

    `held_out` names the customers of the test where they were listed; a card keeps no such list.
    """
    if (card.tested == "listed") != (held_out is not None):
        wants = (
            "was tested on customers of a list: give it with" if held_out is None else "knows no list, drop"
        )
        raise NotPromoted(f"this {card.task} model {wants} --held-out")
    planned = Plan(
        tuple(card.fit_at), tuple(card.calibrate_at), tuple(card.test_at), card.cut,
        frozenset(held_out) if held_out is not None else None, card.tested == "everyone",
    )  # fmt: skip
    frame = dataset(task, warehouse, card.test_at).frame
    return frame[planned.parts(frame["customer_id"], frame["as_of"]) == "test"]


def table(task: str, version: str, verdict: Verdict) -> Table:
    """The verdict as one would show it: what was measured, what is allowed, what follows."""
    against = f"champion {verdict.champion}" if verdict.champion else "no champion"
    shown = Table("gate", "measured", "allowed", "verdict", "in words", title_justify="left",
                  title=f"{task} version {version}, against {against}")  # fmt: skip
    for f in verdict.findings:
        shown.add_row(f.gate, f.measured, f.allowed, f.verdict, f.words, style=STYLES[f.verdict])
    return shown


def _promised(loaded: Loaded, rows: pd.DataFrame) -> np.ndarray:
    names = list(loaded.card.features)
    read = matrix(pa.Table.from_pandas(rows[names], preserve_index=False), names, loaded.card.levels)
    return loaded.model.probabilities(read)


def moved(card: Card) -> list[str]:
    """Features that are gone, or defined otherwise today."""
    today = {name: FEATURES[name].fingerprint for name in card.features if name in FEATURES}
    return [name for name, mark in card.features.items() if today.get(name) != mark]


def _broken(challenger: Loaded) -> str:
    try:
        challenger.self_test()
    except BadModel as error:
        return str(error)
    away = moved(challenger.card)
    return f"defined otherwise today: {', '.join(away[:5])}; train it again" if away else ""


def _unfit(version: str, card: Card) -> str:
    away = moved(card)
    return f"champion {version} cannot serve: {', '.join(away[:5])} defined otherwise today" if away else ""


def _unlike(version: str, champion: Card, challenger: Card) -> str:
    """How two models' questions differ; empty when they are one."""
    for name in ("horizon_days", "gap_days", "wanted", "cohort", "silence"):
        theirs, ours = getattr(champion, name), getattr(challenger, name)
        if theirs != ours:
            return f"champion {version} answers another question: {name} {theirs}, here {ours}"
    return ""


def _known_before(champion: Card, challenger: Card) -> str:
    if champion.trained_through <= min(challenger.test_at):
        return ""
    return f"; it learned outcomes through {champion.trained_through:%Y-%m-%d}, so it may know these moments"


def _moved(step: Step, card: Card) -> Step:
    """Take a step: recorded before it is taken, and once more when it could not be."""
    _note(step, card, step.deed)
    try:
        history.move(_file(step.task), step, _alias(step.task))
    except Exception:
        _note(step, card, "not carried out")
        raise
    return step


def _note(step: Step, card: Card, result: str) -> None:
    audit.noted(
        audit.Entry(
            who=step.by,
            action="rollback" if step.deed == "back" else "promotion",
            purpose=card.purpose,
            result=result,
            models={step.task: step.version},
        )
    )


def _step(
    task: str, deed: str, version: str, was: str | None, digest: str, why: str, verdict: Verdict | None = None
) -> Step:
    return Step(
        at=datetime.now(UTC).replace(microsecond=0),
        task=task,
        deed=deed,
        version=version,
        was=was,
        digest=digest,
        by=audit.whoever(),
        why=why,
        registry=without_secrets(tracking_uri()),
        findings=list(verdict.findings) if verdict else [],
    )


def _file(task: str) -> Path:
    return data_folder() / "promotions" / f"{task}.jsonl"


def _alias(task: str) -> Alias:
    return Alias(partial(registry.champion_version, task), _carry_out)


def _carry_out(step: Step) -> None:
    registry.set_champion(step.task, step.version, _in_words(step))


def _in_words(step: Step) -> str:
    return f"{step.deed} {step.at:%Y-%m-%d %H:%M} by {step.by}: {step.why}"


def _told(task: str) -> Table:
    shown = Table("when (UTC)", "deed", "version", "before", "by", "why", title=f"{task}: every decision")
    for step in history.steps(_file(task)):
        at = f"{step.at:%Y-%m-%d %H:%M}"
        shown.add_row(at, step.deed, step.version, step.was or "-", step.by, step.why)
    return shown


def _card_of_champion(task: str) -> str:
    """The champion's page, and how it came to serve."""
    serving = registry.champion(task)
    made = [s for s in history.steps(_file(task)) if s.moves and s.version == serving.version]
    how = _in_words(made[-1]) if made else "not by this history"
    return f"{serving.loaded.card}\npromotion       version {serving.version}, {how}"


app = typer.Typer(add_completion=False)


@app.command()
def main(
    task: Annotated[str, typer.Option(help="name of the task")],
    run_id: Annotated[str, typer.Option("--run", help="the MLflow run that made the challenger")] = "",
    version: Annotated[str, typer.Option(help="the challenger's version, or latest")] = "latest",
    force: Annotated[str, typer.Option(help="promote whatever the gates say, for this reason")] = "",
    held_out: Annotated[
        Path | None, typer.Option(help="the customer ids it was tested on, if listed")
    ] = None,
    kept: Annotated[
        Path | None, typer.Option(help="register first what could not be, from its folder")
    ] = None,
    back_: Annotated[bool, typer.Option("--back", help="let the version before serve again")] = False,
    history_: Annotated[bool, typer.Option("--history", help="show every decision")] = False,
) -> None:
    """Compare a registered model with the champion, and promote it if every gate lets it pass."""
    console = Console(width=None if Console().is_terminal else 130)
    if history_:
        console.print(_told(task))
        print(_card_of_champion(task))
        return
    if back_:
        step = back(task)
        print(f"{task} version {step.version} is the champion again, after version {step.was}")
        return
    warehouse = connect()
    chosen = task_named(task, warehouse)
    if kept:
        version = register_kept(task, kept)
    elif run_id or version == "latest":
        version = registry.version_of(task, run_id)
    challenger = registry.fetched(task, version)
    ids = held_out.read_text().split() if held_out else None
    asked = up_to(chosen, challenger.card.horizon_days)
    verdict = judge(asked, moments_tested(asked, warehouse, challenger.card, ids), challenger)
    console.print(table(task, version, verdict))
    step = promote(challenger, version, verdict, force)
    print(f"{task} version {version} is the champion now: {step.deed}, {step.why}")


if __name__ == "__main__":
    run(app)
