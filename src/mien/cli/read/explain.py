"""mien explain: pictures to a written chain of thought about each face, checked against its action units."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from mien.cli.shared.options import finding, safe, to_files
from mien.cli.shared.outcomes import gather, given, has_clips, to_pipe, wrong
from mien.cli.shared.terminal import usage_errors
from mien.core.batch import Picture, named, read_outcome
from mien.core.detect import Rotations
from mien.core.pipeline import Pipeline, PipelineOptions
from mien.methods.expllm.small.generate import MODES, Explainer
from mien.methods.expllm.small.generate import explain as explain_face
from mien.methods.expllm.tested import tested
from mien.report.draw import percent
from mien.report.outputs import ENDINGS
from mien.report.whatif import TEST
from mien.results.explanation import Effect, Explanation, Mode
from mien.results.face import FaceReport
from mien.results.outcome import Outcome
from mien.text import one_line, printable
from mien.video.apexes import at_apexes

WIDTH = 80


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@to_files(ENDINGS, "A page (.html) and JSON hold the explanations.")
@safe
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=MODES[0],
    show_default=True,
    help="Answer the label first and then explain it, or write the text first and conclude the label.",
)
@click.option(
    "--unverified",
    is_flag=True,
    help="Keep every sentence as the model writes it; mark claims that the measured action units contradict.",
)
@click.option(
    "--effects/--no-effects",
    default=True,
    show_default=True,
    help="Remove each movement that the text names from the picture, and read the face again.",
)
@click.option(
    "--model",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder written by mien export expllm. Default: the model that comes with mien.",
)
@finding
@click.option("--threads", default=2, show_default=True, help="Threads for the model that writes.")
@click.pass_context
def explain(
    context: click.Context,
    inputs: tuple[str, ...],
    outputs: tuple[Path, ...],
    safe_csv: bool,
    mode: Mode,
    unverified: bool,
    effects: bool,
    folder: Path | None,
    threshold: float,
    max_side: int,
    rotations: Rotations,
    assume_crop: bool,
    threads: int,
) -> None:
    """Explain in words why each face shows its expression: key observations, overall interpretation, conclusion.

    Faces are read as by mien analyze. A small language model that sees the same face writes the text. Each sentence is
    checked against the measured action units and rewritten if it contradicts them; JSON lists the removed sentences and
    the reasons. Then each movement that the text names is removed from the picture and the face read again: this tests
    the model, not the person. In a clip, faces are explained at the apex of each expression. Without -o: the text on a
    terminal, as it is written, JSON lines in a pipe.
    """
    pictures = given(inputs, outputs, clips=True)
    clips = has_clips(pictures)
    if clips and any(output.suffix.lower() == ".mp4" for output in outputs):
        raise wrong("explanations go into a page (.html) or JSON, not into a clip")
    options = PipelineOptions(threshold=threshold, max_side=max_side, rotations=rotations, assume_crop=assume_crop)
    with usage_errors():
        pipeline = Pipeline(**options)
        explainer = Explainer(folder, threads)
    show = _silent if to_pipe(outputs) else _on(sys.stdout.isatty())
    read = (each for picture in pictures for each in _read(picture, pipeline, options))
    todo = ToDo(explainer, mode, not unverified, pipeline if effects else None)
    outcomes = (_explained(each, todo, show) for each in read)
    if not gather(outcomes, len(pictures) + clips, outputs, safe_csv=safe_csv).good:
        context.exit(1)


def _read(picture: Picture, pipeline: Pipeline, options: PipelineOptions) -> Iterator[Outcome]:
    """Yield the outcome of a picture, or those at the apexes of a clip."""
    if not has_clips([picture]):
        yield read_outcome(picture, pipeline)
        return
    try:
        yield from at_apexes(str(picture), **options)
    except Exception as error:
        yield Outcome(str(picture), error=named(error, str(picture)))


class ToDo(NamedTuple):
    """How to explain each face.   tests: pipeline that reads it again without each movement; None for no such test."""

    explainer: Explainer
    mode: Mode
    verified: bool
    tests: Pipeline | None


def _explained(outcome: Outcome, todo: ToDo, show: Callable[[str], None]) -> Outcome:
    """An outcome with explanations, shown while they are written; one with an error when the model fails."""
    try:
        return _written(outcome, todo, show)
    except Exception as error:
        failed = Outcome(outcome.name, error=named(error, outcome.name))
        show(f"\n{one_line(failed.name)}: {one_line(failed.reason or '')}\n")
        return failed


def _written(outcome: Outcome, todo: ToDo, show: Callable[[str], None]) -> Outcome:
    if outcome.report is None or outcome.image is None:
        show(f"{one_line(outcome.name)}: {one_line(outcome.reason or '')}\n")
        return outcome
    if not outcome.report.faces:
        show(f"{one_line(outcome.name)}: no face found\n")
    faces = []
    for number, face in enumerate(outcome.report.faces, start=1):
        show(f"{one_line(outcome.name)}, face {number}: {_reading(face)}\n\n")
        written = explain_face(todo.explainer, outcome.image, face, todo.mode, Flow(show), todo.verified)
        faces.append(written if todo.tests is None else tested(todo.tests, outcome.image, written))
        explanation = faces[-1].explanation
        assert explanation is not None
        show("\n\n" + "".join(f"{line}\n" for line in remarks(explanation)) + "\n")
    return replace(outcome, report=replace(outcome.report, faces=tuple(faces)))


def _reading(face: FaceReport) -> str:
    first, second, *_ = face.expression.ranked
    p = face.expression
    return f"{first.label} {percent(p[first])}, next {second.label} {percent(p[second])}"


def remarks(explanation: Explanation) -> Iterator[str]:
    """Each action unit that the text names, with what was measured of it; and a conclusion of another expression."""
    for part in explanation.parts:
        for phrase in part.phrases:
            words = " ".join(part.text[phrase.start : phrase.end].split())
            negation = "" if phrase.present else "no "
            measured = phrase.against or "measured"
            mark = "yes" if phrase.supported else "no "
            yield f'  {mark}  AU{phrase.unit:<3d} {phrase.measured:.2f}  {measured}: {negation}"{words}"'
    if not explanation.consistent:
        own = explanation.expression.top.label
        yield f"  It concludes {explanation.concluded.label}; asked for the label alone, the same model says {own}."
    if explanation.rejected:
        count = len(explanation.rejected)
        yield f"  {count} sentence{'s' if count > 1 else ''} taken back while it was written; JSON says which and why."
    if explanation.effects:
        yield ""
        for line in (*map(without, explanation.effects), TEST):
            yield textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ")


def without(effect: Effect) -> str:
    """What is read once a movement is taken away: "without lifted lip corners: happiness 99 % -> 4 %"."""
    if effect.refused:
        return f"without {effect.phrase}: not tried, {effect.refused}"
    before, after = (percent(value) for value in effect.sure)
    reads = "" if effect.reads is effect.word else f"; it reads {effect.reads.label}, {percent(effect.read_sure)}"
    return f"without {effect.phrase}: {effect.word.label} {before} -> {after}{reads}"


class Flow:
    """Puts text on the terminal piece by piece, in lines of WIDTH characters at the most.

    A piece is a word with the space before it, a sign that follows a word, or the end of a paragraph.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._column = show, 0

    def __call__(self, piece: str) -> None:
        """Show a piece."""
        # Room for the sign that may follow.
        if piece.startswith(" ") and self._column + len(piece) >= WIDTH:
            piece = "\n" + piece[1:]
        self._show(piece)
        self._column = self._column + len(piece) if "\n" not in piece else len(piece) - piece.rindex("\n") - 1


def _on(terminal: bool) -> Callable[[str], None]:
    def show(text: str) -> None:
        click.echo(printable(text), nl=False, err=not terminal)

    return show


def _silent(text: str) -> None:
    """JSON goes into the pipe instead."""
