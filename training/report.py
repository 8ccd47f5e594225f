"""The report page of a run: words first, then the table, the figures and how it was made; one file, no links out."""

import base64
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.card import Card
from training.evaluate import REPLICATES, Report

__all__ = ["in_words", "render"]


def in_words(card: Card, report: Report) -> str:
    """The finding as a sentence: what a list of the top tenth finds, and what the best rule's finds."""
    model = report.scorers["model"]["lift_10"]
    listed = report.rows / 10
    per_lift = listed * report.outcomes / report.rows
    rule = max(card.rules, key=lambda name: report.scorers[name]["lift_10"].value)
    found = f"{model.value * per_lift:,.0f} ({model.low * per_lift:,.0f} to {model.high * per_lift:,.0f})"
    return (
        f"Of the {listed:,.0f} customers at the top of the list, {found} had the outcome; the best rule, {rule}, finds "
        f"{report.scorers[rule]['lift_10'].value * per_lift:,.0f}, and a random list {per_lift:,.0f}."
    )


def render(
    card: Card,
    report: Report,
    pictures: Mapping[str, Path],
    concepts: Mapping[str, float],
    excluded: pd.DataFrame,
) -> str:
    """The page as HTML, pictures inside."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters["day"] = lambda moment: (
        format(moment, "%Y-%m-%d") if isinstance(moment, datetime) else str(moment)
    )
    by_reason = excluded.groupby("excluded")["customers"].sum()
    return environment.get_template("report.html").render(
        card=card,
        words=in_words(card, report),
        table=report.table(),
        by_cell=report.by_cell(),
        replicates=REPLICATES,
        pictures={name: base64.b64encode(file.read_bytes()).decode() for name, file in pictures.items()},
        concepts=concepts,
        excluded="; ".join(f"{count:,} moments: {reason}" for reason, count in by_reason.items()) or "nobody",
    )
