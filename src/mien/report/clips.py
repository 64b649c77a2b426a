"""The frames of clips as rows and in JSON: those of photographs, with frame, timestamp and track."""

from mien.report.tables import COLUMNS, OPENFACE_COLUMNS, ColumnNames, openface_rows, record_rows, rows
from mien.results.frame import FrameReport
from mien.results.outcome import Outcome
from mien.results.record import Record

# What the frames of clips add: the number in the file, from 0, seconds from its first frame, and the track of a face.
FRAME_COLUMNS: dict[str, type] = {"frame": int, "timestamp": float, "track": int}
_PLACE = list(COLUMNS).index("error") + 1
# Those of a table that holds clips, with or without photographs; a photograph has no frame.
CLIP_COLUMNS: dict[str, type] = dict(
    [*list(COLUMNS.items())[:_PLACE], *FRAME_COLUMNS.items(), *list(COLUMNS.items())[_PLACE:]]
)
DECIMALS = 4
# The endings of files that hold clips.
TABLES = (".csv", ".parquet", ".jsonl", ".json")
OUTPUTS = (*TABLES, ".html", ".mp4")


def clip_columns(columns: ColumnNames) -> dict[str, type]:
    """The columns of a table that holds clips, "mien" or "openface", with their types."""
    return CLIP_COLUMNS if columns == "mien" else OPENFACE_COLUMNS


def picture_rows(outcome: Outcome, columns: ColumnNames = "mien") -> list[Record]:
    """The rows of a photograph, or of an input that failed, in such a table."""
    return openface_rows(outcome) if columns == "openface" else [dict.fromkeys(CLIP_COLUMNS) | r for r in rows(outcome)]


def frame_rows(name: str, frame: FrameReport, columns: ColumnNames = "mien") -> list[Record]:
    """The rows of one frame of the clip of that name: one a face, or one that says that there is none."""
    outcome = Outcome(name, frame.report)
    if columns == "openface":
        # OpenFace counts frames from 1, and its face_id is that of a tracker.
        about = {"frame": frame.number + 1, "timestamp": round(frame.time, DECIMALS)}
        ids = frame.tracks or (None,)
        return [row | about | {"face_id": id} for row, id in zip(openface_rows(outcome), ids, strict=True)]
    return clip_record_rows(frame_record(name, frame))


def clip_record_rows(record: Record) -> list[Record]:
    """The same rows from the JSON form of a frame; of a photograph, those that it has in a table with clips."""
    about = {name: record.get(name) for name in ("frame", "timestamp")}
    tracks = [face.get("track") for face in record["faces"]] or [None]
    made = zip(record_rows(record), tracks, strict=True)
    return [dict.fromkeys(CLIP_COLUMNS) | row | about | {"track": track} for row, track in made]


def frame_record(name: str, frame: FrameReport) -> Record:
    """One frame of the clip of that name in JSON."""
    about = Outcome(name, frame.report).to_dict()
    return {"input": about["input"], "status": about["status"], "error": None} | frame.to_dict()
