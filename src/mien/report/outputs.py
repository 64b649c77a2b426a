"""Outcomes to the files that a command is asked for: tables, JSON, a page, or an annotated picture."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from mien.core.batch import Picture
from mien.errors import InputError
from mien.extras import optional
from mien.files import replacing
from mien.report import writers
from mien.report.draw import draw
from mien.report.html import page
from mien.report.tables import ColumnNames
from mien.results.outcome import Outcome

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
ENDINGS = (*writers.ENDINGS, ".html", *PICTURE_ENDINGS)
# The endings of files that have columns.
TABLE_ENDINGS = (".csv", ".parquet")


def check_outputs(outputs: Iterable[Path], inputs: Sequence[Picture], endings: Sequence[str] = ENDINGS) -> None:
    """Reject files that could not be written, before hours of reading: InputError says why.

    endings: those that a command can write.
    """
    read_from = {os.path.realpath(path) for path in inputs if isinstance(path, str | os.PathLike)}
    for output in outputs:
        ending = output.suffix.lower()
        if ending not in endings:
            raise InputError(f"{output}: the ending must be one of {' '.join(endings)}")
        if ending in PICTURE_ENDINGS and len(inputs) > 1:
            raise InputError(f"{output}: a picture shows one input, but there are {len(inputs)}; use .html for many")
        if not output.parent.is_dir():
            raise InputError(f"{output}: the folder {output.parent} does not exist")
        if not os.access(output.parent, os.W_OK):
            raise InputError(f"{output}: the folder {output.parent} cannot be written to")
        if os.path.realpath(output) in read_from:
            raise InputError(f"{output}: is also an input and would be overwritten")
        if ending == ".parquet":
            optional("pyarrow", "parquet")


def check_columns(columns: ColumnNames, outputs: Iterable[Path]) -> None:
    """Reject columns that nothing would show, and JSON beside them, which is the whole report always: InputError."""
    if columns == "mien":
        return
    endings = [output.suffix.lower() for output in outputs]
    for ending in endings:
        if ending in writers.ENDINGS and ending not in TABLE_ENDINGS:
            raise InputError(f"{columns} columns are for {' and '.join(TABLE_ENDINGS)}, not {ending}")
    if not any(ending in TABLE_ENDINGS for ending in endings):
        raise InputError(f"{columns} columns need a table to be in: -o with {' or '.join(TABLE_ENDINGS)}")


def shows_pictures(outputs: Iterable[Path]) -> bool:
    """Whether one of the files shows the pictures themselves."""
    return any(output.suffix.lower() not in writers.ENDINGS for output in outputs)


def write_output(outcomes: Sequence[Outcome], output: Path, columns: ColumnNames = "mien", command: str = "") -> bool:
    """Write all outcomes to one file; its ending says how. False when there is no picture to draw on.

    command: what made a page, in words.
    """
    image, report = outcomes[0].image, outcomes[0].report
    ending = output.suffix.lower()
    if ending in writers.ENDINGS:
        writers.write_table(outcomes, output, columns)
        return True
    if ending in PICTURE_ENDINGS and (image is None or report is None):
        return False
    with replacing(output) as beside:
        if ending == ".html":
            beside.write_text(page(outcomes, command), encoding="utf-8")
        else:
            assert image is not None
            assert report is not None
            Image.fromarray(draw(image, report)).save(beside, quality=92)
    return True
