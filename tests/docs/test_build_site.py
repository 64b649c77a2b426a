import importlib
import re
from pathlib import Path

import pytest

import mien

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build_site(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("build_site")


def test_a_link_fits_the_place_of_its_page_on_the_site(build_site, tmp_path):
    docs, method = tmp_path / "docs" / "start.md", tmp_path / "src" / "README.md"
    docs.parent.mkdir()
    method.parent.mkdir()
    docs.write_text("[method](../src/README.md#measured) [there](https://example.org) [gone](gone.md)")
    method.write_text("[start](../docs/start.md)")
    build_site.stage({docs: "start.md", method: "methods/method.md"}, tmp_path / "site")
    assert (tmp_path / "site" / "start.md").read_text() == (
        "[method](methods/method.md#measured) [there](https://example.org) [gone](gone.md)"
    )
    assert (tmp_path / "site" / "methods" / "method.md").read_text() == "[start](../start.md)"


def test_a_file_that_a_page_links_to_comes_along(build_site, tmp_path):
    page, result = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text("[figures](result.json)")
    result.write_text("{}")
    build_site.stage({page: "deep/page.md"}, tmp_path / "site")
    assert (tmp_path / "site" / "deep" / "page.md").read_text() == "[figures](../files/result.json)"
    assert (tmp_path / "site" / "files" / "result.json").read_text() == "{}"


def test_every_page_of_the_site_is_in_its_navigation(build_site):
    listed = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert {place for place in build_site.places().values() if place.endswith(".md")} == listed


def test_every_public_name_is_in_the_reference():
    described = re.findall(r"^::: mien\.(\w+)$", (ROOT / "docs" / "reference" / "python.md").read_text(), re.M)
    assert sorted(described) == sorted(mien.__all__)
