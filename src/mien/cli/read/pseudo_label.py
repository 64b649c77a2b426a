"""`mien pseudo-label`: a teacher's landmarks, action units and head pose for each face of a data set."""

import json
from pathlib import Path

import click

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.terminal import say
from mien.datasets import pseudo_labels
from mien.extras import optional
from mien.progress import shown


@click.command()
@click.option("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
@click.option("--split", help="Split of --data, if it has several.")
@click.option("--teacher", type=click.Choice(["mediapipe"]), default="mediapipe", show_default=True, help="Teacher.")
@click.option(
    "--model", required=True, type=click.Path(path_type=Path, dir_okay=False), help="MediaPipe's face_landmarker.task."
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Pseudo-labels of the training faces, to use their calibration; by default it is fitted on these faces.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Parquet to write."
)
def pseudo_label(
    data: str, split: str | None, teacher: str, model: Path, calibration: Path | None, output: Path
) -> None:
    """Label faces with a teacher model: 68 landmarks, 52 blendshapes, 21 action units with 3 asymmetries, head pose.

    Prints the teacher's success rate by expression. Needs the extra `mediapipe`, in an environment of its own.
    """
    if not output.parent.is_dir():
        raise click.UsageError(f"{output}: the folder {output.parent} does not exist")
    optional("pyarrow", "parquet")  # report a missing library before labelling
    constants = None if calibration is None else pseudo_labels.read(calibration).calibration
    dataset = open_data(data, split)
    with {"mediapipe": pseudo_labels.mediapipe_mesh}[teacher](model) as mesh:
        labels = pseudo_labels.label(
            dataset,
            pseudo_labels.MeshTeacher(mesh),
            constants,
            lambda rows: shown(list(rows), "Labelling"),
        )
    pseudo_labels.write(labels, output, model)
    click.echo(json.dumps(labels.about))
    say(f"wrote {output}")
