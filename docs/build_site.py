"""Build the documentation site: `make docs` writes site/.

The pages stay where their readers look for them: docs/ holds the guides, a method's README lies beside its code. This
script copies them into one tree, points the links at the copies, and hands the tree to Zensical, which fails on a page,
an anchor or a name that does not exist.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGE = ROOT / "build" / "site"
# Pages that lie outside docs/, and their place on the site.
ELSEWHERE = {
    "src/mien/methods/README.md": "methods/index.md",
    "src/mien/weights/CARDS.md": "results/cards.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "README.md": "readme.md",
    "NOTICE": "notice.txt",
    "LICENSE": "license.txt",
    "CITATION.cff": "citation.cff.txt",
}
_LINK = re.compile(r"(\]\(|src=\")(?!https?:|mailto:|#)([^)#\"\s]+)")


def places() -> dict[Path, str]:
    """Each file of the site and its place there."""
    pages = {path: path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*") if _shown(path)}
    pages |= {ROOT / source: target for source, target in ELSEWHERE.items() if (ROOT / source).is_file()}
    for readme in (ROOT / "src" / "mien" / "methods").glob("*/README.md"):
        pages[readme] = f"methods/{readme.parent.name.replace('_', '-')}.md"
    return pages


def _shown(path: Path) -> bool:
    return path.is_file() and path.suffix in {".md", ".png", ".jpg", ".svg", ".css"}


def stage(pages: dict[Path, str], stage: Path) -> None:
    """Copy every page into the folder `stage`, with links that fit. Files that a page links to come along."""
    shutil.rmtree(stage, ignore_errors=True)
    linked: dict[Path, str] = {}
    for source, target in pages.items():
        place = stage / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            place.write_text(_with_links(source, target, pages, linked), encoding="utf-8")
        else:
            shutil.copy(source, place)
    for source, target in linked.items():
        (stage / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, stage / target)


def _with_links(source: Path, target: str, pages: dict[Path, str], linked: dict[Path, str]) -> str:
    """A page's text, its links relative to its place on the site. Linked files that are no page go into `linked`."""

    def fit(match: re.Match[str]) -> str:
        to = (source.parent / match[2]).resolve()
        if to not in pages and to.is_file():
            linked[to] = f"files/{to.name}"
        place = pages.get(to) or linked.get(to)
        # What is not there keeps its link, so that the build names it.
        return match[0] if place is None else match[1] + "../" * target.count("/") + place

    return _LINK.sub(fit, source.read_text(encoding="utf-8"))


def main() -> None:
    """Stage the pages and build; exit with the builder's code."""
    stage(places(), STAGE)
    sys.exit(subprocess.call(["zensical", "build", "--strict", "-f", str(ROOT / "zensical.toml")], cwd=ROOT))


if __name__ == "__main__":
    main()
