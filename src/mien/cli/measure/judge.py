"""`mien judge`: measure generated faces with networks that did not guide them, one row per folder."""

from pathlib import Path

import click
from rich.console import Group

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.result import check, interval, measured, publish, to_file
from mien.cli.shared.runs import RUN_HELP, open_run
from mien.cli.shared.terminal import new_table
from mien.datasets import Synthetic
from mien.datasets.pseudo_labels import read
from mien.datasets.synthetic import LABELED, read_lines
from mien.evaluation.result import Result
from mien.methods.feranno import labeler as feranno
from mien.methods.registry import need
from mien.methods.synfer.flow.requests import NAMES


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--judge", "by", required=True, metavar="METHOD:RUN", help=f"Of expressions. {RUN_HELP}")
@click.option("--au-judge", required=True, metavar="METHOD:RUN", help="Judge of action units: a run with heads.")
@click.option("--guide", metavar="METHOD:RUN", help="Also report the guide's own answers about the faces it guided.")
@click.option(
    "--train", "training", required=True, metavar="KIND:PATH", help=f"Training faces of the generator. {DATA_HELP}"
)
@click.option("--real", required=True, metavar="KIND:PATH", help="Photographs unseen by the generator.")
@click.option(
    "--real-labels",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A teacher's labels of --real, written by mien pseudo-label, to choose the "
    "action units that the judge reads well.",
)
@click.option("--size", default=48, show_default=True, help="Side in pixels of the faces as the judges read them.")
@to_file
def judge(
    folders: tuple[Path, ...],
    by: str,
    au_judge: str,
    guide: str | None,
    training: str,
    real: str,
    real_labels: Path,
    size: int,
    output: Path | None,
) -> None:
    """Measure folders of generated faces: agreement with the requests, response to action units, distance from
    photographs, and copies of training faces. Each folder is compared with the one before it, face by face if both have
    the same requests.

    Fails if a judge shares weights, architecture, seed or training faces with a network that guided the faces, or if a
    shipped model of its method voted on their labels.
    """
    check(output, False)
    need("train")  # report a missing library before reading
    from mien.methods.synfer.judge import judging

    (expressions, first), (units, second) = open_run(by, "expressions"), open_run(au_judge, "action_units")
    albums = {str(folder): Synthetic(folder, annotated=False) for folder in folders}
    judging.refuse_guides(albums.values(), [first, second])
    votes = {name: read_lines(Path(name) / LABELED) for name in albums if (Path(name) / LABELED).is_file()}
    for name, lines in votes.items():
        judging.refuse_voters(name, lines, first)
    judges = judging.Judges(expressions.network, units.network)
    against = judging.photographs(open_data(training), open_data(real), read(real_labels), judges, size)
    guiding = None if guide is None else open_run(guide, "expressions")[0].network
    rows: list[Result] = []
    steps: list[Result] = []
    before: tuple[str, judging.JudgedFolder] | None = None

    def add(
        name: str, seen: judging.JudgedFolder, over: tuple[str, judging.JudgedFolder] | None
    ) -> tuple[str, judging.JudgedFolder]:
        rows.append({"folder": name} | judging.measured(seen, against))
        if over is not None and (gained := judging.step(over[1], seen, against)) is not None:
            steps.append({"folder": name, "over": over[0]} | gained)
        return name, seen

    for name, album in albums.items():
        before = add(name, judging.look(album, judges, size, guiding), before)
        if name in votes:
            add(f"{name}, labelled", judging.look(Synthetic(name), judges, size, guiding), before)
            rows[-1]["decisions"] = feranno.counts([row for row in votes[name] if "decision" in row])
    unit_r = {n: None if r != r else round(float(r), 4) for n, r in zip(NAMES, against.unit_r, strict=True)}
    entries: Result = {
        "judges": {"expression": first.to_json(), "units": second.to_json()},
        "unit_r_of_judge": unit_r,
    }
    entries |= {"train": training, "real": real, "rows": rows, "steps": steps}
    result = measured(entries)
    publish(result, summary(result), output, width=100)


def summary(result: Result) -> Group:
    """Return one row per folder for the terminal, and its gain over the one before."""
    controlled = list(result["rows"][0]["control"])
    numbers = ("n", "judge %", "AU r", *controlled, "distance", "copied %")
    table = new_table("folder", *numbers, right=numbers)
    for row in result["rows"]:
        ranks = [_number(row["control"][name]["value"]) for name in controlled]
        ratio = "" if row["distance_ratio"] is None else f" ({row['distance_ratio']:.1f}x)"
        table.add_row(
            row["folder"],
            str(row["n"]),
            interval(row["accuracy"]),
            _number(row["unit_r"]),
            *ranks,
            "-" if row["distance"] is None else f"{row['distance']:.3g}{ratio}",
            interval(row["memorised"]),
        )
    over = [row["folder"] for row in result["rows"] if row.get("over_guided")]
    table.caption = "columns of action units: Spearman's rank correlation of requested and judged; distance: of the "
    table.caption += "judge's features to photographs, and times that of as many training photographs"
    if over:
        table.caption += f"; followed the guide too far: {', '.join(over)}"
    gains = new_table("gain", "judge, points", "", "AU r")
    for step in result["steps"]:
        r = step["unit_r"]
        moved = "-" if r["value"] is None else f"{r['value']:+.3f} [{r['low']:+.3f}, {r['high']:+.3f}]"
        accuracy = interval(step["accuracy"], signed=True)
        gains.add_row(f"{step['folder']} over {step['over']}", accuracy, step["accuracy"].get("answer", ""), moved)
    return Group(table, "", gains) if result["steps"] else Group(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
