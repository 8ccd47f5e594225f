"""Consent: what a customer allows, as of a moment, for each purpose; whoever has not said yes is asked about for nothing.

    needed_for("marketing")              ("marketing", "service", "profiling"): all of these must have been granted
    consented("marketing")               a cohort like any other: those who granted it and did not take it back

The latest row known at a moment decides. A consent that was never given, was withdrawn, was refused, has ended, or is of a state
nobody declared counts as no. Profiling is a purpose of its own: to refuse it is to object to automated decisions.

A deployment whose persons gave their consent elsewhere (a public data set, customers under contract only) says so once, with the
reason, when it loads; the reason stands on every card. Without either nobody is asked about.

A child under 14 cannot consent for itself (PIPL, article 31). Who may still be one, by the year of birth where it is known, is asked
about for nothing, whatever was said and wherever.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features import cohorts
from features.cohorts import COHORTS, Cohort, Condition, excluded_column
from features.errors import BadData, NoConsents
from features.rows import Definition
from features.sources import CANONICAL
from features.warehouse import Warehouse

__all__ = [
    "CHILD",
    "CONSENTS",
    "NO_CONSENT",
    "PROFILING",
    "PURPOSES",
    "cohorts_of",
    "columns_of",
    "consented",
    "consents_of",
    "in_chinese",
    "needed_for",
    "population",
    "refusals",
    "require_consents",
    "said_elsewhere",
    "words_for",
]

SOURCE = "consents"
PROFILING = "profiling"
BASIS = "service"
AGE_OF_CONSENT = 14
PURPOSES = CANONICAL[SOURCE]["purpose"].values or ()
USES = {
    "service": ("service", "服务"),
    "marketing": ("marketing", "营销"),
    PROFILING: ("automated profiling", "自动化画像"),
}
SAID = {
    "unknown": ("no consent for {} is known", "未见其同意用于{}"),
    "withdrawn": ("withdrew the consent for {}", "已撤回用于{}的同意"),
    "refused": ("refused {}", "已拒绝用于{}"),
    "ended": ("the consent for {} has ended", "用于{}的同意已到期"),
    "other": ("the consent for {} is no yes", "其表态不构成用于{}的同意"),
}
CHILD = "may be under 14"
NO_CONSENT = {CHILD: "可能未满14周岁"} | {
    en.format(use): zh.format(use_zh) for en, zh in SAID.values() for use, use_zh in USES.values()
}
"""Every reason that is about consent, in English and in Chinese."""


def needed_for(purpose: str) -> tuple[str, ...]:
    """The purposes that a score used for `purpose` needs consent for: that one, the one under which the sources were
    collected, and profiling. A task reads only features of sources whose purpose is among them."""
    return tuple(dict.fromkeys((purpose, BASIS, PROFILING)))


def consented(purpose: str) -> Cohort:
    """Those who allow `purpose` at a moment."""

    def said(past: Any, column: str) -> Any:
        return past.consents.where(purpose=purpose).latest(column)

    def unless(state: str, holds: Definition) -> Condition:
        why = words_for(state, purpose)
        return Condition(holds, why, NO_CONSENT[why])

    return Cohort(
        f"consent for {purpose}",
        (
            *((OF_AGE,) if purpose == BASIS else ()),
            unless("unknown", lambda past: said(past, "state").notnull()),
            unless("withdrawn", lambda past: said(past, "state") != "withdrawn"),
            unless("refused", lambda past: said(past, "state") != "refused"),
            unless("ended", lambda past: said(past, "expires_at").fill_null(1) > 0),
            unless("other", lambda past: said(past, "state") == "granted"),
        ),
    )


def of_age() -> Condition:
    """Whoever turned 14 in an earlier year, and of whom no year of birth was ever told."""

    def holds(past: Any) -> Any:
        born = past.customers.telling("birth_year").latest("birth_year")
        return (past.today.year - born > AGE_OF_CONSENT).fill_null(True)

    return Condition(holds, CHILD, NO_CONSENT[CHILD])


def words_for(state: str, purpose: str) -> str:
    """Why a customer is not asked about, where consent for a purpose is in this state."""
    return SAID[state][0].format(USES[purpose][0])


def in_chinese(reason: str) -> str:
    """Why a customer is not asked about, a consent's reason or a cohort's, in Chinese."""
    return NO_CONSENT.get(reason) or cohorts.in_chinese(reason)


OF_AGE = of_age()
CONSENTS = {purpose: consented(purpose) for purpose in PURPOSES}


def require_consents(warehouse: Warehouse) -> None:
    """Raise `NoConsents` unless the warehouse holds consents, or the reason why it needs none."""
    if SOURCE not in warehouse.tables and not warehouse.without_consents:
        raise NoConsents(
            "the warehouse holds no consents, so nobody may be asked about: deliver the table `consents`, or, where "
            'consent is kept elsewhere, load with --without-consents "why"'
        )


def said_elsewhere(warehouse: Warehouse) -> bool:
    """Whether consent is kept elsewhere, as was declared. Raises `NoConsents` when nothing was."""
    require_consents(warehouse)
    return SOURCE not in warehouse.tables


def consents_of(warehouse: Warehouse) -> list[Cohort]:
    """Who allows each purpose here: where consent was declared to be kept elsewhere, all but children. Raises `NoConsents`."""
    if not said_elsewhere(warehouse):
        return list(CONSENTS.values())
    return [
        replace(cohort, conditions=(OF_AGE,) if purpose == BASIS else ())
        for purpose, cohort in CONSENTS.items()
    ]


def cohorts_of(warehouse: Warehouse) -> list[Cohort]:
    """Every cohort that can be asked here, the consents first. Raises `NoConsents`."""
    return consents_of(warehouse) + [cohort for cohort in COHORTS.values() if warehouse.has(cohort.sources)]


def population(cohort: Cohort, purpose: str, warehouse: Warehouse) -> Cohort:
    """A task's cohort among those who allow its purpose; what they allow is asked first. Raises `NoConsents`."""
    allowing = dict(zip(CONSENTS, consents_of(warehouse), strict=True))
    conditions = [condition for one in needed_for(purpose) for condition in allowing[one].conditions]
    return Cohort(cohort.name, (*conditions, *cohort.conditions))


def refusals(rows: pa.Table, purpose: str, cohort: str) -> pa.ChunkedArray:
    """Why each of these feature rows may not be scored for a purpose, null where it may: what its customer does not allow, then
    what the cohort demands. Raises `BadData` for rows that do not say."""
    names = columns_of(purpose, cohort)
    if missing := [name for name in names if name not in rows.column_names]:
        raise BadData(
            f"these feature rows do not say {missing[0]!r}: compute them again with `python -m features.nightly`"
        )
    return pc.coalesce(*(rows[name] for name in names))


def columns_of(purpose: str, cohort: str) -> Sequence[str]:
    """The columns of feature rows that say whether one may ask, in the order that decides."""
    return [*(excluded_column(CONSENTS[one].name) for one in needed_for(purpose)), excluded_column(cohort)]
