"""`mien scan`: ask a vision-language model about the faces in pictures."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.table import Table

from mien.cli.read.analyze import NAME
from mien.cli.shared.options import detecting, safe, to_files
from mien.cli.shared.outcomes import Gathered, gather, given, to_pipe
from mien.cli.shared.provider import Asked, provided
from mien.cli.shared.terminal import cell, new_table, say, shortened, show, usage_errors
from mien.core.batch import read_many
from mien.core.pipeline import Pipeline
from mien.facs.vocabulary import CAVEAT, Attribute, attribute
from mien.methods.facescan import FaceScanner
from mien.report.draw import percent
from mien.report.outputs import ENDINGS, shows_pictures
from mien.results.face import FaceReport
from mien.results.outcome import Outcome
from mien.results.scan import Answer, AnswerStatus, Attributes

_UNANSWERED = (AnswerStatus.TRANSPORT_ERROR, AnswerStatus.TIMEOUT)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@to_files(ENDINGS)
@safe
@provided
@click.option(
    "--ask",
    default="expression",
    metavar="LIST",
    show_default=True,
    help=f"Attributes to ask about, separated by commas: {', '.join(Attribute)}. The "
    f"embedded models do not answer race.",
)
@click.option("--target", metavar="TEXT", help='Person to ask about: "the person in the red jacket".')
@click.option("--one-prompt", is_flag=True, help="Ask one question about all people instead of one per face.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order in which labels are offered.")
@detecting
@click.pass_context
def scan(
    context: click.Context,
    inputs: tuple[str, ...],
    outputs: tuple[Path, ...],
    safe_csv: bool,
    asked: Asked,
    ask: str,
    target: str | None,
    one_prompt: bool,
    seed: int,
    threshold: float,
    max_side: int,
) -> None:
    """Ask a vision-language model about the faces in pictures: files, folders or patterns.

    Faces are also read as by `mien analyze`, and both answers are shown. Without -o: a table on a terminal, JSON lines
    in a pipe. The exit code is 1 if a picture could not be read or a question was not answered.
    """
    pictures = given(inputs, outputs)
    with usage_errors():
        attributes = [attribute(word) for word in ask.split(",")]
        pipeline = Pipeline(threshold=threshold, max_side=max_side)
        asked.check(attributes, target is not None)
        scanner = FaceScanner(
            asked.open(pipeline), attributes, wording=asked.wording, together=one_prompt, seed=seed, pipeline=pipeline
        )
    if any(a.sensitive for a in attributes):
        click.echo(click.wrap_text(CAVEAT, 79), err=True)
    if asked.provider == "openai":
        what = "pictures" if one_prompt or target else "pictures of the faces"
        say(f"mien: {what} are sent to {asked.base_url}")
    outcomes = read_many(pictures, lambda image: scanner(image, target), images=shows_pictures(outputs))
    problems: dict[str, None] = {}
    unanswered = False

    def noted() -> Iterator[Outcome]:
        nonlocal unanswered
        for outcome in outcomes:
            for answer, _ in _answered(outcome):
                problems.update({answer.problem: None} if answer.problem else {})
                unanswered |= _failed(answer)
            yield outcome

    def print_answers(gathered: Gathered) -> None:
        if not to_pipe(outputs):
            answers = _summary(gathered.outcomes, attributes, asked.provider != "embedded")
            to_stderr = bool(outputs) and not sys.stdout.isatty()
            show(gathered.shown(answers), to_stderr=to_stderr)
        for problem in problems:
            say(f"mien: {problem}")

    gathered = gather(noted(), len(pictures), outputs, "Asking", print_answers, asked=attributes, safe_csv=safe_csv)
    if not gathered.good or unanswered:
        context.exit(1)


def _answered(outcome: Outcome) -> list[tuple[Attributes, FaceReport | None]]:
    """Return the answers about a picture, each with its face, if that was detected."""
    if outcome.report is None:
        return []
    faces = [(face.attributes, face) for face in outcome.report.faces if face.attributes is not None]
    return [*faces, *((answered, None) for answered in outcome.report.unmatched)]


def _failed(answered: Attributes) -> bool:
    return any(answer.status in _UNANSWERED for answer in answered.answers.values())


def _summary(outcomes: Sequence[Outcome], asked: Sequence[Attribute], beside: bool) -> Table:
    """Return the answers for the terminal, one line per face.   beside: add the answers of mien's reader."""
    # More than three answers per face fit 80 columns only without percentages.
    bare = len(asked) + beside > 3
    longest = 13 if bare else NAME
    names = ("picture", "face", *map(str, asked), *(["reader"] if beside else []))
    lines = new_table(*names, right=("face",))
    for outcome in outcomes:
        name = shortened(outcome.name, longest)
        if outcome.report is None:
            lines.add_row(name, "-", f"[red]{outcome.status}[/]: {cell(outcome.reason or '')}")
            continue
        answered = _answered(outcome)
        if not answered:
            lines.add_row(name, "-", "no face found" if outcome.report.target is None else "nobody fits")
        for number, (attributes, face) in enumerate(answered, start=1):
            cells = [_cell(attributes.answers[a], bare) for a in asked]
            reader = "" if face is None else _sure(face.expression.top.label, face.expression.confidence, bare)
            lines.add_row(name, "-" if face is None else str(number), *cells, *([reader] if beside else []))
    return lines


def _cell(answer: Answer, bare: bool) -> str:
    if answer.value is None:
        return f"[yellow]{answer.status.replace('_', ' ')}[/]"
    return _sure(f"[bold]{answer.value}[/]", answer.confidence, bare)


def _sure(word: str, confidence: float | None, bare: bool) -> str:
    return word if bare or confidence is None else f"{word} {percent(confidence)}"
