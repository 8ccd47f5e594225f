"""The document as a page to read: one file of HTML, nothing from outside, no script."""

import json
from html import escape
from typing import Any

__all__ = ["page"]

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1a1a1a;background:#fff}
h2{margin:2.5rem 0 .3rem;font-size:1.15rem;border-top:1px solid #ddd;padding-top:1rem}
code,pre{font:14px/1.45 ui-monospace,monospace;background:#f5f5f3}pre{padding:.7rem;overflow-x:auto}
.m{font-weight:700;color:#0a5}table{border-collapse:collapse;width:100%}td,th{border-top:1px solid #eee;
padding:.25rem .5rem;text-align:left;vertical-align:top}summary{cursor:pointer;margin:.4rem 0}nav a{margin-right:1rem}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e8e8e8}code,pre{background:#262626}.m{color:#5d9}a{color:#8bf}}
"""


def page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document as `serving.edge.openapi` makes it."""
    info, schemas = document["info"], document["components"]["schemas"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    links = "".join(f'<a href="#{o["operationId"]}">{escape(p)}</a> ' for _, p, o in operations)
    parts = [_operation(*one) for one in operations]
    parts += ["<h2>Forms</h2>", *(_schema(name, schema) for name, schema in schemas.items())]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f"<nav>{links}</nav>{''.join(parts)}</html>"
    )


def _operation(method: str, path: str, told: dict[str, Any]) -> str:
    said = [
        f'<h2 id="{told["operationId"]}"><span class="m">{method}</span> <code>{escape(path)}</code></h2>',
        f"<p><b>{escape(told['summary'])}.</b> {escape(told.get('description', ''))}</p>",
    ]
    for one in told.get("parameters", ()):
        needed = "required" if one["required"] else "optional"
        said.append(
            f"<p><code>{escape(one['name'])}</code> in {one['in']}, {needed}: {_kind(one['schema'])}</p>"
        )
    if body := told.get("requestBody", {}).get("content", {}).get("application/json"):
        said.append(f"<p>Asks {_kind(body['schema'])}</p>")
        for name, example in body.get("examples", {}).items():
            sent = json.dumps(example["value"], ensure_ascii=False)
            command = (
                f'curl -s localhost:3000{path} -H "authorization: Bearer $TOKEN" '
                f"-H 'content-type: application/json' -d '{sent}'"
            )
            said.append(f"<details><summary>{escape(name)}</summary><pre>{escape(command)}</pre></details>")
    (answer,) = told["responses"]["200"]["content"].values()
    refusals = ", ".join(status for status in told["responses"] if status != "200")
    said.append(f"<p>Answers {_kind(answer['schema'])}; or a problem: {refusals}</p>")
    return "".join(said)


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' <i>optional</i>'}</td>"
        f"<td>{_kind(form)}</td><td>{escape(str(form.get('description', '')))}</td></tr>"
        for field, form in schema.get("properties", {}).items()
    )
    text = escape(schema.get("description", ""))
    return (
        f'<details id="form-{escape(name)}"><summary><code>{escape(name)}</code></summary><p>{text}</p>'
        f"<table>{rows}</table></details>"
    )


def _kind(form: dict[str, Any]) -> str:
    """A schema in a few words, with a link to what it refers to."""
    if "$ref" in form:
        name = escape(form["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#form-{name}">{name}</a>'
    if "anyOf" in form:
        return " or ".join(_kind(one) for one in form["anyOf"])
    if "enum" in form:
        return ", ".join(
            f"<code>{escape(json.dumps(one, ensure_ascii=False))}</code>" for one in form["enum"]
        )
    if form.get("type") == "array":
        size = f" ({form.get('minItems', 0):,} to {form['maxItems']:,})" if "maxItems" in form else ""
        return f"list of {_kind(form.get('items', {}))}{size}"
    said = escape(str(form.get("format") or form.get("type", "anything")))
    bounds = [f"{word} {form[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in form]
    if "pattern" in form:
        bounds.append(f"<code>{escape(form['pattern'])}</code>")
    return " ".join([said, *bounds])
