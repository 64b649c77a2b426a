"""Action units in known doses: does what a tool says of a unit follow the dose, in a person and between people?

python benchmarks/doses.py make FOLDER OUT [--units 1,4,12] [--doses 0.25,0.5,0.75,1]
python benchmarks/doses.py score FOLDER [--model NAME|FILE.onnx] [-o FILE.json]
python benchmarks/doses.py score FOLDER --mediapipe FILE.task --calibration LABELS.parquet [-o FILE.json]

`make` warps neutral photographs, one person a file, by the morphable head that mien/facs/head.py describes,
from landmarks that mien finds. It draws no teeth, no eyeball and no furrow, so units that open the mouth are not made.
mien's reader learned from pairs of faces made with the same head: a result on these pictures must be borne out by
others. `score` takes that folder or another with a doses.csv (file, person, unit, dose; no unit at dose 0; a unit such
as 1+2 is the mean of both). Dose 0 of a person is needed. Intervals are 95 %, from a bootstrap over people.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.images import ENDINGS, read_image
from mien.core.pipeline import Pipeline
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.facs.vocabulary import ActionUnit
from publish import publish

SIDE = 320
Read = Callable[[NDArray[np.uint8]], NDArray[np.floating] | None]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = arguments.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make")
    make.add_argument("folder", type=Path)
    make.add_argument("out", type=Path)
    make.add_argument("--units")
    make.add_argument("--doses", default="0.25,0.5,0.75,1")
    score = commands.add_parser("score")
    score.add_argument("folder", type=Path)
    score.add_argument("--model", default="reader")
    score.add_argument("--mediapipe", type=Path)
    score.add_argument("--calibration", type=Path)
    score.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    if given.command == "make":
        units = None if given.units is None else [int(unit) for unit in given.units.split(",")]
        made(given.folder, given.out, units, [float(dose) for dose in given.doses.split(",")])
        return
    with (given.folder / "doses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if given.mediapipe is None:
        result = table(rows, values(rows, given.folder, by_mien(given.model)))
    else:
        from mien.datasets import pseudo_labels

        calibration = pseudo_labels.read(given.calibration).calibration
        with pseudo_labels.mediapipe_mesh(given.mediapipe) as mesh:
            result = table(rows, values(rows, given.folder, by_mediapipe(pseudo_labels.MeshTeacher(mesh), calibration)))
    publish({"tool": given.model if given.mediapipe is None else "mediapipe"} | result, given.output)


# ---- pictures ----


def made(folder: Path, out: Path, units: Sequence[int] | None, doses: Sequence[float]) -> None:
    """Write each person's photograph, cropped, and its doses, and doses.csv."""
    import torch

    from mien.facs.head import REACH, load
    from mien.training.unit_pairs import cameras, warp

    shapes, pipeline, rows = load(), Pipeline(), []
    rest, still = torch.from_numpy(shapes.rest), torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS):
        image = read_image(path)
        faces = [face for face in pipeline(image).faces if face.landmarks is not None]
        if not faces:
            continue
        picture, landmarks = cut(image, faces[0].landmarks)
        face = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        points68 = torch.from_numpy(landmarks)[None]
        camera = cameras(rest[:68], points68)
        points = rest @ camera[:, :, :3].mT + camera[:, None, :, 3]
        points[:, :68] = points68
        reach = REACH * (points68[:, 36] - points68[:, 45]).norm(dim=1)

        def save(name: str, view: Any, unit: str, dose: float, person: str = path.stem) -> None:
            pixels = (view[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            cv2.imwrite(str(out / name), pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            rows.append({"file": name, "person": person, "unit": unit, "dose": f"{dose:g}"})

        save(f"{path.stem}_0.jpg", face, "", 0)
        for unit, move in zip(shapes.units.tolist(), torch.from_numpy(shapes.moves), strict=True):
            for dose in doses if units is None or unit in units else ():
                view = warp(face, still, points, dose * move[None] @ camera[:, :, :3].mT, reach)
                save(f"{path.stem}_{unit}_{round(100 * dose):03d}.jpg", view, str(unit), dose)
    with (out / "doses.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "person", "unit", "dose"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} pictures of {len({row['person'] for row in rows})} people")


def cut(image: NDArray[np.uint8], landmarks: Any) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The square around a face, (SIDE, SIDE, 3), and its landmarks, (68, 2), as shares of the side."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = 1.7 * float((high - low).max())
    corner = (low + high) / 2 - side * np.array([0.5, 0.6])
    matrix = np.array([[SIDE / side, 0, -corner[0] * SIDE / side], [0, SIDE / side, -corner[1] * SIDE / side]])
    picture = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8), ((landmarks - corner) / side).astype(np.float32)


# ---- what a tool says ----


def by_mien(model: str) -> Read:
    """A reader's intensities of a picture, (21,), or None without a face."""
    pipeline = Pipeline(model=model)

    def read(image: NDArray[np.uint8]) -> NDArray[np.floating] | None:
        faces = pipeline(image).faces
        units = max(faces, key=lambda face: face.face.score).action_units if faces else None
        return None if units is None else np.asarray(units.intensities)

    return read


def by_mediapipe(teacher: Any, calibration: Any) -> Read:
    """What mien makes of MediaPipe's blendshapes, (21,)."""
    from mien.facs.blendshapes import action_units

    def read(image: NDArray[np.uint8]) -> NDArray[np.floating] | None:
        answer = teacher(image)
        if answer is None:
            return None
        return np.asarray(action_units(calibration(answer.shapes[None].astype(float)))[0, : len(ActionUnit)])

    return read


def values(rows: Sequence[dict[str, str]], folder: Path, read: Read) -> dict[str, NDArray[np.floating] | None]:
    """By file; None where no face was found."""
    return {row["file"]: read(read_image(folder / row["file"])) for row in rows}


# ---- the table ----


def table(rows: Sequence[dict[str, str]], seen: dict[str, NDArray[np.floating] | None]) -> dict[str, Any]:
    """One entry a unit, and their mean."""
    zero = {row["person"]: seen[row["file"]] for row in rows if not row["unit"]}
    lines = {unit: line(unit, rows, seen, zero) for unit in dict.fromkeys(row["unit"] for row in rows if row["unit"])}
    found = {unit: entry for unit, entry in lines.items() if entry is not None}
    single = [entry for unit, entry in found.items() if "+" not in unit]
    return {
        "people": len(zero),
        "no_face": sum(value is None for value in seen.values()),
        "units": found,
        "mean_auc": float(np.mean([entry["auc"]["value"] for entry in single])),
        "at_least_slight_at_the_top": sum(entry["median_top"] >= 0.1 for entry in single),
    }


def line(
    unit: str,
    rows: Sequence[dict[str, str]],
    seen: dict[str, NDArray[np.floating] | None],
    zero: dict[str, NDArray[np.floating] | None],
) -> dict[str, Any] | None:
    """Order within a person, size, and how well the top dose is told from none between people."""
    known = [int(u) for u in ActionUnit]
    own = [known.index(int(u)) for u in unit.split("+") if u.isdigit() and int(u) in known]
    orders, rises, at_zero, at_top, others = [], [], [], [], []
    for person in sorted({row["person"] for row in rows if row["unit"] == unit}):
        mine = sorted((r for r in rows if r["unit"] == unit and r["person"] == person), key=lambda r: float(r["dose"]))
        answers = [zero.get(person), *(seen[row["file"]] for row in mine)]
        if not own or any(answer is None for answer in answers):
            continue
        vectors = np.stack([answer for answer in answers if answer is not None])
        levels = vectors[:, own].mean(axis=1)
        orders.append(spearman([0, *(float(row["dose"]) for row in mine)], levels))
        rises.append(bool((np.diff(levels) > 0).all()))
        at_zero.append(levels[0])
        at_top.append(levels[-1])
        others.append(vectors[-1] - vectors[0])
    if not orders:
        return None
    moved = np.median(others, axis=0)
    moved[own] = 0
    most = sorted(range(len(known)), key=lambda k: -abs(moved[k]))[:2]
    pairs = np.stack([at_zero, at_top], axis=1)
    picks = np.random.default_rng(0).integers(0, len(pairs), (1000, len(pairs)))
    low, high = np.percentile([auc(pairs[i, 1], pairs[i, 0]) for i in picks], [2.5, 97.5])
    order = percentile_interval(bootstrap(np.array(orders), 1000) / len(orders))
    return {
        "n": len(orders),
        "spearman": {"value": float(np.mean(orders)), "low": float(order[0]), "high": float(order[1])},
        "rises": float(np.mean(rises)),
        "median_zero": float(np.median(at_zero)),
        "median_top": float(np.median(at_top)),
        "auc": {"value": auc(pairs[:, 1], pairs[:, 0]), "low": float(low), "high": float(high)},
        "moves_with_it": {f"AU{known[k]}": round(float(moved[k]), 3) for k in most},
    }


def spearman(doses: Sequence[float], levels: NDArray[np.floating]) -> float:
    """Rank correlation; 0 where all levels are equal."""
    a, b = ranks(np.array(doses)), ranks(np.asarray(levels))
    return 0.0 if b.std() == 0 else float(np.corrcoef(a, b)[0, 1])


def ranks(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Ranks from 0; equal values share the mean of theirs."""
    return np.array([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])


def auc(high: NDArray[np.floating], low: NDArray[np.floating]) -> float:
    """How often a value of the first is above one of the second, equal ones half."""
    return float(((high[:, None] > low) + (high[:, None] == low) / 2).mean())


if __name__ == "__main__":
    main()
