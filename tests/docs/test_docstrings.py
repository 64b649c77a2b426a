import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def listed(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    # The site has an environment of its own; what is tested here needs nothing from it.
    griffe = SimpleNamespace(Extension=object, Function=object, Class=object, Object=object)
    monkeypatch.setitem(sys.modules, "griffe", griffe)
    return importlib.import_module("docstrings").listed


def test_what_a_docstring_says_of_parameters_becomes_a_list_and_what_it_raises_a_paragraph(listed):
    text = """Read one picture.

    path: of the file.   size, side: in pixels,
    both of them. Raise InputError if there is none."""
    assert listed(text, {"path", "size", "side"}) == (
        "Read one picture.\n\n- `path`: of the file.\n- `size, side`: in pixels, both of them.\n\n"
        "Raise InputError if there is none."
    )


def test_a_word_with_a_colon_that_names_no_parameter_stays_as_it_is(listed):
    text = "Note: it reads one picture.\n\n    path: of the file, an example: a.png"
    assert listed(text, {"path"}) == "Note: it reads one picture.\n\n- `path`: of the file, an example: a.png"
