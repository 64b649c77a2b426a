"""`mien timeline`: tables of clips to baselines, events, a summary, a page, ELAN and BIDS."""

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from mien.cli.shared.outcomes import wrong
from mien.cli.shared.terminal import new_table, say, show
from mien.errors import InputError
from mien.files import replacing
from mien.report.clips import CLIP_COLUMNS
from mien.report.records import CsvFile, ParquetFile
from mien.report.timeline import page
from mien.results.record import Record
from mien.text import one_line
from mien.video import summary
from mien.video.baseline import CHANGES
from mien.video.bids import write_bids
from mien.video.elan import write_elan
from mien.video.events import EVENT_COLUMNS, Event, Thresholds, events
from mien.video.rests import Rests
from mien.video.rows import read_rows
from mien.video.series import EXPRESSIONS, Collector, Recording, leading
from mien.video.thumbnails import thumbnails

TABLE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
_TABLES = (".csv", ".parquet")


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="TABLE...")
@click.option("-o", "--output", type=TABLE, metavar="FILE.html", help="Page with a timeline of each track.")
@click.option("--events", "events_file", type=TABLE, metavar="FILE", help="Table of events (.csv, .parquet).")
@click.option("--summary", "summary_file", type=TABLE, metavar="FILE", help="Table with one row per track.")
@click.option(
    "--changes",
    "changes_file",
    type=TABLE,
    metavar="FILE",
    help="The input rows with AU12_change, happiness_change ...: differences from the value at rest.",
)
@click.option("--elan", type=FOLDER, metavar="FOLDER", help="Folder for the events of each clip, as CLIP.eaf.")
@click.option(
    "--bids",
    type=FOLDER,
    metavar="FOLDER",
    help="Folder for each track, as CLIP_recording-faceN_physio.tsv.gz and .json.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Samples per second for --bids.")
@click.option(
    "--baseline",
    metavar="auto|neutral|FROM-TO",
    help="Baseline of each face: the calmest quarter of its frames (auto), the seconds FROM to TO, or pictures with "
    "neutral in their name. Events of action units then use the change from it.",
)
@click.option(
    "--person",
    metavar="COLUMN|PATTERN",
    help="Person in a photograph: a column of the table, or a pattern in the file name such as 's[0-9]+'. By default, "
    "each track is a person.",
)
@click.option(
    "--expression-thresholds", type=(float, float), default=Thresholds().expression, show_default=True,
    metavar="ENTER LEAVE", help="Probabilities at which an expression's event begins and below which it ends.",
)  # fmt: skip
@click.option(
    "--unit-thresholds", type=(float, float), default=Thresholds().unit, show_default=True, metavar="ENTER LEAVE",
    help="Intensities at which an action unit's event begins and below which it ends.",
)  # fmt: skip
@click.pass_context
def timeline(
    context: click.Context,
    tables: tuple[Path, ...],
    output: Path | None,
    events_file: Path | None,
    summary_file: Path | None,
    changes_file: Path | None,
    elan: Path | None,
    bids: Path | None,
    rate: float | None,
    baseline: str | None,
    person: str | None,
    expression_thresholds: tuple[float, float],
    unit_thresholds: tuple[float, float],
) -> None:
    """Derive baselines, events and a summary from tables of clips, written by mien analyze.

    TABLE is .csv, .parquet, .jsonl or .json, also of earlier versions. Without options: the summary on a terminal, JSON
    lines in a pipe. With --person, photographs count too: each person is compared with their own baseline.
    """
    _check([f for f in (events_file, summary_file, changes_file) if f is not None], output)
    thresholds = _thresholds(expression_thresholds, unit_thresholds)
    clips = _collected(tables)
    if not clips and person is None:
        raise InputError("no rows of a clip: they have frame and timestamp; for photographs say --person")
    rests = Rests(_all(tables), clips, baseline or ("auto" if changes_file else None), person)
    events_of = {clip.input: events(clip, thresholds, rests.of(clip)) for clip in clips}
    summaries = [row for clip in clips for row in summary.summaries(clip, events_of[clip.input])]
    if changes_file:
        _write(changes_file, rests.changed(_all(tables)), None)
    if events_file:
        rows = [event.to_dict() for clip in clips for event in events_of[clip.input]]
        _write(events_file, rows, EVENT_COLUMNS)
    if summary_file:
        _write(summary_file, summaries, summary.COLUMNS)
    names = _stems(clips)
    for clip in clips:
        if elan:
            elan.mkdir(parents=True, exist_ok=True)
            write_elan(elan / f"{names[clip.input]}.eaf", clip.input, events_of[clip.input])
            _wrote(elan / f"{names[clip.input]}.eaf")
        if bids:
            bids.mkdir(parents=True, exist_ok=True)
            for written in write_bids(bids, names[clip.input], clip, rate):
                _wrote(written)
    if output:
        pictures = {clip.input: thumbnails(clip, events_of[clip.input], clip.input) for clip in clips}
        with replacing(output) as beside:
            beside.write_text(
                page(clips, events_of, pictures, thresholds, f"mien {shlex.join(sys.argv[1:])}"), encoding="utf-8"
            )
        _wrote(output)
    if not any((output, events_file, summary_file, changes_file, elan, bids)):
        _show(clips, summaries, events_of)
    for line in rests.remarks:
        say(f"mien: {line}")


def _check(tables: Sequence[Path], page_: Path | None) -> None:
    """Reject unwritable outputs before reading."""
    for path in tables:
        if path.suffix.lower() not in _TABLES:
            raise wrong(f"{path}: the ending must be one of {' '.join(_TABLES)}", "table")
    if page_ is not None and page_.suffix.lower() != ".html":
        raise wrong(f"{page_}: the ending must be .html")
    for path in (*tables, *([page_] if page_ else [])):
        if not path.parent.is_dir():
            raise wrong(f"{path}: the folder {path.parent} does not exist", "file")


def _thresholds(expression: tuple[float, float], unit: tuple[float, float]) -> Thresholds:
    for (enter, leave), option in ((expression, "--expression-thresholds"), (unit, "--unit-thresholds")):
        if not 0 <= leave <= enter <= 1:
            raise wrong(f"expected 1 >= ENTER >= LEAVE >= 0, but got {enter:g} {leave:g}", option)
    return Thresholds(expression, unit)


def _all(tables: Sequence[Path]) -> Iterator[Record]:
    return (row for table in tables for row in read_rows(table))


def _collected(tables: Sequence[Path]) -> list[Recording]:
    collector = Collector()
    for row in _all(tables):
        collector.add(row)
    return collector.recordings()


def _write(path: Path, rows: Iterable[Record], columns: dict[str, type] | None) -> None:
    """Write a table as the rows come.   columns: by default those of the first row."""
    rows = iter(rows)
    if columns is None:
        first = next(rows, {})
        known = CLIP_COLUMNS | dict.fromkeys(CHANGES, float)
        columns = {name: known.get(name, str) for name in first}
        rows = (_typed(row, columns) for group in ([first], rows) for row in group)
    make = CsvFile if path.suffix.lower() == ".csv" else ParquetFile
    with make(path, columns) as file:
        for row in rows:
            file.append([row])
    _wrote(path)


def _typed(row: Record, columns: dict[str, type]) -> Record:
    """Convert the text of a CSV row to numbers."""
    return {
        name: None if row.get(name) is None else int(float(row[name])) if kind is int else kind(row[name])
        for name, kind in columns.items()
    }


def _stems(clips: Sequence[Recording]) -> dict[str, str]:
    """Return a file name for each clip: its own, with its folder if two have the same."""
    stems = [Path(clip.input).stem for clip in clips]
    return {
        clip.input: stem if stems.count(stem) == 1 else f"{Path(clip.input).parent.name}-{stem}-{i}"
        for i, (clip, stem) in enumerate(zip(clips, stems, strict=True))
    }


def _wrote(path: Path) -> None:
    say(f"wrote {path}")


def _show(clips: Sequence[Recording], summaries: Sequence[Record], events_of: dict[str, list[Event]]) -> None:
    if not sys.stdout.isatty():
        for row in summaries:
            click.echo(json.dumps(row))
        return

    names = ("clip", "track", "seconds", "shows", "events", "blinks/min")
    table = new_table(*names, right=("track", "seconds", "events", "blinks/min"))
    for row in summaries:
        shows = leading(np.array([row[f"{e}_share"] or 0 for e in EXPRESSIONS]))
        count = sum(event.track == row["track"] for event in events_of[row["input"]])
        cells = (Path(row["input"]).name[-26:], row["track"], f"{row['seconds']:.1f}", shows, count)
        table.add_row(*map(str, cells), f"{row['AU45_per_minute'] or 0:.1f}")
    show(table)
    empty = [clip.input for clip in clips if not clip.tracks]
    for name in empty:
        click.echo(f"{one_line(name)}: no face found")
