"""The OpenAPI 3.1 document, made from the table of routes and the structs it names.

python -m serving.edge.openapi > docs/openapi.json
"""

import json
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from serving.edge.problem import TITLES, ProblemBody
from serving.edge.system import SYSTEM, Ready
from serving.edge.table import PREFIX
from serving.routes import ROUTES, Nothing, Route

__all__ = ["as_text", "document"]

REFUSALS = (400, 401, 403, 404, 408, 413, 415, 422, 429, 431, 500, 503)
RETRY = {"schema": {"type": "integer", "minimum": 1}, "description": "seconds to wait before asking again"}
ABOUT = (
    "How likely a customer is to buy, to lapse or to change, with the reasons. Ask with a bearer token; every error is "
    "problem+json (RFC 9457) and points at each place that is wrong. After 429 and 503 ask again when `Retry-After` says."
)


def document(routes: Iterable[Route] = ROUTES) -> dict[str, Any]:
    """The whole document as plain values."""
    routes = tuple(routes)
    structs = list(
        dict.fromkeys([*(r.answers for r in routes), *(r.asks for r in routes), ProblemBody, Ready])
    )
    schemas, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    names = dict(zip(structs, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, names, components)
    for path, operation in _system_operations(names).items():
        paths[path] = {"get": operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Car propensity",
            "version": version("car-propensity"),
            "summary": "Propensity scores of a carmaker's customers",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(components.items())),
        },
    }


def _operation(route: Route, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "description": f"{route.description} Roles: {', '.join(sorted(route.may))}.".strip(),
    }
    if route.method == "POST":
        examples = {name: {"value": dict(example)} for name, example in route.examples.items()}
        content = {"schema": schemas[route.asks], **({"examples": examples} if examples else {})}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    elif route.asks is not Nothing:
        told["parameters"] = _parameters(route, components)
    content = {"application/json": {"schema": schemas[route.answers]}}
    told["responses"] = {"200": {"description": "the answer", "content": content}} | _refusals(schemas)
    return told


def _parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    form = components[route.asks.__name__]
    in_path = set(re.findall(r"\{(\w+)\}", route.path))
    first = next(iter(route.examples.values()), {})
    return [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in form.get("required", ()),
            "schema": schema,
            **({"example": first[name]} if name in first else {}),
        }
        for name, schema in form["properties"].items()
    ]


def _refusals(schemas: dict[Any, Any], statuses: Iterable[int] = REFUSALS) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": schemas[ProblemBody]}}
    return {
        str(status): {
            "description": TITLES[status].lower(),
            **({"headers": {"Retry-After": RETRY}} if status in (429, 503) else {}),
            "content": content,
        }
        for status in statuses
    }


def _system_operations(schemas: dict[Any, Any]) -> dict[str, Any]:
    anything: dict[str, Any] = {"type": "object"}
    said = {
        "/livez": ("Whether the process lives; open to all", "application/json", anything),
        "/healthz": ("The same under another name", "application/json", anything),
        "/readyz": ("Whether every model gives its golden predictions", "application/json", schemas[Ready]),
        "/metrics": ("Figures for Prometheus. Roles: operator.", "text/plain", {"type": "string"}),
        "/openapi.json": ("This document", "application/json", anything),
        "/docs": ("This document as a page", "text/html", {"type": "string"}),
        "/console": ("A page for people: customers, lists, models", "text/html", {"type": "string"}),
    }
    operations = {}
    for row in SYSTEM:
        summary, kind, schema = said[row.path]
        statuses = (431, 500) if row.may is None else (401, 403, 431, 500, 503)
        operations[row.path] = {
            "operationId": f"get_{row.path.strip('/').replace('.', '_')}",
            "summary": summary,
            **({"security": []} if row.may is None else {}),
            "responses": {"200": {"description": "the answer", "content": {kind: {"schema": schema}}}}
            | _refusals(schemas, statuses),
        }
    return operations


def as_text(told: dict[str, Any]) -> str:
    """As it is kept in docs/openapi.json."""
    return json.dumps(told, indent=1, ensure_ascii=False, sort_keys=False) + "\n"


if __name__ == "__main__":
    print(as_text(document()), end="")
