"""Reports to rows: one a face, with columns named as py-feat or as OpenFace has them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from mien.facs.observation import Pose
from mien.facs.units import PRESENT, ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Attribute, Expression
from mien.results.face import FaceReport
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.results.scan import Attributes

# The 68 landmarks, as py-feat and OpenFace both name and order them.
LANDMARKS = tuple(f"{axis}_{i}" for axis in "xy" for i in range(68))
# Column to type; the types also hold where a column has no value at all. The order is: which picture and face, what
# the detector found, the expression, action units, head pose, landmarks, what was hidden, and who read it.
COLUMNS: dict[str, type] = {
    "input": str,
    "face": int,
    "status": str,
    "error": str,
    "FaceRectX": float,
    "FaceRectY": float,
    "FaceRectWidth": float,
    "FaceRectHeight": float,
    "FaceScore": float,
    "landmark_source": str,
    "expression": str,
    "confidence": float,
    **{e.label: float for e in Expression},
    **{unit.column: float for unit in ActionUnit},
    **{f"{unit.column}_asymmetry": float for unit in ASYMMETRIES},
    "Pitch": float,
    "Roll": float,
    "Yaw": float,
    **dict.fromkeys(LANDMARKS, float),
    "readability": float,
    "hidden": str,
    "model": str,
}

# What a scan adds for each attribute that was asked, after all other columns; `expression` is the reader's.
SCANNED = {a: "scan_expression" if a is Attribute.EXPRESSION else a.value for a in Attribute}
SCAN_COLUMNS: dict[Attribute, dict[str, type]] = {
    attribute: {name: str, f"{name}_confidence": float, f"{name}_status": str} for attribute, name in SCANNED.items()
}
SCANNED_BY: dict[str, type] = {"scan_model": str, "scan_prompt": str, "scan_seed": int}

# OpenFace's action units that mien measures too: not AU23, and not AU45, for closed eyes (AU43) need be no blink.
OPENFACE_INTENSITIES = tuple(ActionUnit(n) for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 25, 26))
OPENFACE_PRESENCES = (*OPENFACE_INTENSITIES, ActionUnit.LIP_SUCK)
OPENFACE_COLUMNS: dict[str, type] = {
    "input": str,
    "frame": int,
    "face_id": int,
    "timestamp": float,
    "confidence": float,
    "success": int,
    "pose_Rx": float,
    "pose_Ry": float,
    "pose_Rz": float,
    **dict.fromkeys(LANDMARKS, float),
    **{f"{unit.column}_r": float for unit in OPENFACE_INTENSITIES},
    **{f"{unit.column}_c": int for unit in OPENFACE_PRESENCES},
    # Not OpenFace's: why a picture has no face, so that no row is without a reason.
    "status": str,
    "error": str,
}


def rows(outcome: Outcome) -> list[Record]:
    """One row a face, faces counted from 0; one row without a face for a failed input or a picture without faces.

    Every row has every column; a missing value is None. Rectangles and landmarks are pixels; scores, probabilities and
    intensities 0 to 1; asymmetries -1 to 1, the subject's left minus right; Yaw, Pitch and Roll degrees to the image's
    right, up and clockwise in the image.
    A scan adds the columns of what it asked, and a row without a face for each answer that belongs to none.
    """
    columns = COLUMNS | scan_columns(attributes_of([outcome]))
    unmatched = () if outcome.report is None else outcome.report.unmatched
    about, faces = _about_and_faces(outcome.to_dict(), columns)
    return [*faces, *(about | _scan(answered.to_dict()) for answered in unmatched)] or [about]


def record_rows(record: Record) -> list[Record]:
    """The same rows from the JSON form of an outcome without a scan."""
    about, faces = _about_and_faces(record, COLUMNS)
    return faces or [about]


def _about_and_faces(record: Record, columns: Iterable[str]) -> tuple[Record, list[Record]]:
    about: Record = dict.fromkeys(columns) | {name: record[name] for name in ("input", "status", "error")}
    about["model"] = record.get("model")
    return about, [about | {"face": i} | _face(face) for i, face in enumerate(record["faces"])]


def scan_columns(asked: Collection[Attribute]) -> dict[str, type]:
    """The columns of what is asked about faces, with their types; none when nothing is."""
    columns = {name: kind for a in Attribute if a in asked for name, kind in SCAN_COLUMNS[a].items()}
    return columns | SCANNED_BY if asked else {}


def attributes_of(outcomes: Iterable[Outcome]) -> set[Attribute]:
    """Everything that was asked about any face."""
    return {a for outcome in outcomes for answered in _scans(outcome) for a in answered.answers}


def _scans(outcome: Outcome) -> list[Attributes]:
    report = outcome.report
    if report is None:
        return []
    return [*report.unmatched, *(face.attributes for face in report.faces if face.attributes is not None)]


def _scan(values: Record) -> Record:
    row: Record = {"scan_model": values["model"], "scan_prompt": values["prompt"], "scan_seed": values["seed"]}
    for attribute, answer in values["answers"].items():
        name = SCANNED[Attribute(attribute)]
        row |= {name: answer["value"], f"{name}_confidence": answer["confidence"], f"{name}_status": answer["status"]}
    return row


def _face(values: Record) -> Record:
    """What a row says of a face, from its JSON form."""
    x1, y1, x2, y2 = values["box"]
    return {
        "FaceRectX": x1,
        "FaceRectY": y1,
        "FaceRectWidth": round(x2 - x1, 2),
        "FaceRectHeight": round(y2 - y1, 2),
        "FaceScore": values["score"],
        "landmark_source": values["landmark_source"],
        "expression": values["expression"]["top"],
        "confidence": values["expression"]["confidence"],
        **values["expression"]["probabilities"],
        **(values["action_units"] or {}),
        **{f"{unit}_asymmetry": value for unit, value in (values["asymmetries"] or {}).items()},
        **{angle.capitalize(): value for angle, value in (values["pose"] or {}).items()},
        **_landmarks(values["landmarks"]),
        "readability": values["readability"],
        "hidden": "; ".join(f"{half['side']}: {half['reason']}" for half in values["hidden"]) or None,
        **({} if values["attributes"] is None else _scan(values["attributes"])),
    }


def _landmarks(pixels: Sequence[Sequence[float]] | None) -> Record:
    return {} if pixels is None else dict(zip(LANDMARKS, [point[k] for k in (0, 1) for point in pixels], strict=True))


def openface_rows(outcome: Outcome) -> list[Record]:
    """The same rows in OpenFace's columns, as far as mien measures what they hold; a missing value is None.

    A picture is frame 1 at 0 seconds. confidence: the face detector's.   success: 0 where there is no face.
    pose_R*: radians with OpenFace's signs: Rx down, Ry to the image's left, Rz clockwise in the image.
    AU*_r: intensity, 0 to 5.   AU*_c: 1 when it is PRESENT. Both come from mien's reader: the range is OpenFace's, but
    they were not learned from its data. status and error, at the end, are mien's own.
    """
    about: Record = dict.fromkeys(OPENFACE_COLUMNS) | {"input": outcome.name, "success": 0, "status": outcome.status}
    if outcome.report is None:
        return [about | {"error": outcome.reason}]
    about |= {"frame": 1, "timestamp": 0.0}
    faces = outcome.report.faces
    return [about | {"face_id": i, "success": 1} | _openface(face) for i, face in enumerate(faces)] or [about]


def _openface(face: FaceReport) -> Record:
    units = face.action_units
    return {
        "confidence": round(face.face.score, 4),
        **({} if face.pose is None else _openface_pose(face.pose)),
        **_landmarks(face.to_dict()["landmarks"]),
        **({} if units is None else _openface_units(units)),
    }


def _openface_units(units: ActionUnits) -> Record:
    # Rounded first, so that both columns, and mien's own, tell of one value.
    intensities = {unit: round(units[unit], 3) for unit in OPENFACE_PRESENCES}
    return {
        **{f"{unit.column}_r": round(5 * intensities[unit], 3) for unit in OPENFACE_INTENSITIES},
        **{f"{unit.column}_c": int(intensities[unit] >= PRESENT) for unit in OPENFACE_PRESENCES},
    }


def _openface_pose(pose: Pose) -> Record:
    """OpenFace turns a head by Rz, then Ry, then Rx (R = Rx Ry Rz), x to the image's right, y down and z away from us.

    So its wiki and RotationHelpers.h have it. Solved for the angles that make the face and its top point where ours do.
    """
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    forward = np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)])  # right, up, to us
    ry = -np.arcsin(np.clip(forward[0], -1, 1))
    rx = -np.arctan2(forward[1], forward[2])
    rz = np.arctan2(np.sin(roll) * np.cos(rx), np.cos(roll) * np.cos(ry) + np.sin(roll) * np.sin(rx) * np.sin(ry))
    return {"pose_Rx": round(float(rx), 4), "pose_Ry": round(float(ry), 4), "pose_Rz": round(float(rz), 4)}


class Layout(NamedTuple):
    """The columns of a table, with their types, which depend on what a scan asked, and what fills them."""

    columns: Callable[[Collection[Attribute]], dict[str, type]]
    rows: Callable[[Outcome], list[Record]]


# Whose names a table's columns have: mien's own, which are py-feat's where it has them, or OpenFace's.
ColumnNames: TypeAlias = Literal["mien", "openface"]
LAYOUTS: dict[ColumnNames, Layout] = {
    "mien": Layout(lambda asked: COLUMNS | scan_columns(asked), rows),
    "openface": Layout(lambda asked: OPENFACE_COLUMNS, openface_rows),
}
