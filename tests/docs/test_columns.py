import re
from pathlib import Path

import pytest

from mien.facs.vocabulary import Expression
from mien.report.clips import CLIP_COLUMNS
from mien.report.tables import COLUMNS, OPENFACE_COLUMNS, SCAN_COLUMNS, SCANNED_BY
from mien.video import summary
from mien.video.baseline import CHANGES
from mien.video.events import EVENT_COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "columns.md"
SCANNED = [name for columns in SCAN_COLUMNS.values() for name in columns]
# Tables that have a column for each of many things name one of them on the page.
FAMILIES = [
    (r"AU\d\d", "AU12"),
    (r"(x|y)_\d+", r"\1_67"),
    (rf"({'|'.join(e.label for e in Expression)})_(?=share|per_minute|change)", "happiness_"),
    (r"(age|gender|race)_(?=confidence|status)", "scan_expression_"),
]


def named() -> set[str]:
    """The columns that the page names, `AU12` for every action unit."""
    return {family(name) for name in re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8"))}


def family(name: str) -> str:
    for pattern, one in FAMILIES:
        name = re.sub(rf"^{pattern}", one, name)
    return name


@pytest.mark.parametrize(
    "columns", [COLUMNS, CLIP_COLUMNS, OPENFACE_COLUMNS, SCANNED, SCANNED_BY, EVENT_COLUMNS, summary.COLUMNS, CHANGES]
)
def test_the_page_of_columns_explains_every_column(columns):
    assert {family(name) for name in columns} - named() == set()
