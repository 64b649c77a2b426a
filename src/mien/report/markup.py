"""The text of a page: templates of this folder filled in, and any text or JSON made safe to stand in HTML."""

import base64
import json
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

from mien.report import draw
from mien.text import printable


def percent(probability: float) -> str:
    """As on the drawn picture, where "<" needs no escaping."""
    return escape(draw.percent(probability))


def json_data(value: object) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element or open another."""
    compact = json.dumps(value, separators=(",", ":"))
    return compact.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text(value: str) -> str:
    """Any text, a file name above all, as HTML; what would be not seen but do something becomes U+FFFD."""
    return escape(printable(value))


def source_hash(source: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(sha256(source.encode('utf-8')).digest()).decode('ascii')}'"


def fill(name: str, /, **values: object) -> str:
    """Return a template of this folder with its $names replaced by these values."""
    return Template(template(name)).substitute(values)


@cache
def template(name: str) -> str:
    """Return the text of a file of this folder."""
    return (files("mien") / "report" / name).read_text(encoding="utf-8")
