"""The text of a page: templates of this folder filled in, and any text or JSON made safe to stand in HTML."""

import base64
import json
import re
import shlex
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

import mien
from mien.report import draw
from mien.text import printable

# Of a command with more words than these, as of a folder that a shell spells out, the middle is left out.
MOST_WORDS = 16


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


def file_name(name: str) -> str:
    """Return the last name of a path: a page that is sent on does not tell the sender's folders."""
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] or name


def command_line(command: str) -> str:
    """Return a command with the last names of its paths alone; of a long one, its two ends."""
    try:
        words = shlex.split(command)
    except ValueError:  # no shell would take it
        return file_name(command)
    plain = [word if "://" in word else re.sub(r"[^=:]*[/\\](?=.)", "", word.rstrip("/\\")) for word in words]
    plain = [shlex.quote(word) for word in plain]
    if len(plain) > MOST_WORDS:
        plain = [*plain[: MOST_WORDS - 4], f"… {len(plain) - MOST_WORDS} more …", *plain[-4:]]
    return " ".join(plain)


def head(title: str, mark: str, style: str, script: str) -> str:
    """Return the start of a page up to its heading; the page may run this style and script and load nothing.

    title: HTML.   mark: what the page shows, beside mien's name.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source_hash(style)}; script-src {_source_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    opening = fill("head.html", policy=policy, title=title, mark=mark, style=style, version=mien.__version__)
    return opening.rstrip("\n")


def _source_hash(source: str) -> str:
    """Return the name of an inline style or script in a content security policy."""
    return f"'sha256-{base64.b64encode(sha256(source.encode('utf-8')).digest()).decode('ascii')}'"


def fill(name: str, /, **values: object) -> str:
    """Return a template of this folder with its $names replaced by these values."""
    return Template(template(name)).substitute(values)


@cache
def template(name: str) -> str:
    """Return the text of a file of this folder."""
    return (files("mien") / "report" / name).read_text(encoding="utf-8")
