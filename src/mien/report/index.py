"""The index of a page of several pictures: a thumbnail each, what to sort and filter by, and a link to its entry."""

from collections import Counter
from collections.abc import Iterator

from mien.facs.vocabulary import Expression
from mien.report.card import divided
from mien.report.embed import jpeg, preview
from mien.report.markup import file_name, text
from mien.results.outcome import Outcome

# What the index can be filtered by, beside the expressions, in words.
UNCLEAR, NO_FACE, FAILED = "unclear", "no-face", "failed"
_WORDS = {UNCLEAR: "unclear or divided", NO_FACE: "no face", FAILED: "failed"}


def kinds(outcome: Outcome) -> tuple[str, ...]:
    """Return what a picture is filtered by: its expressions, and whether it is unclear, without faces or failed."""
    if outcome.report is None:
        return (FAILED,)
    faces = outcome.report.faces
    tops = {face.expression.top for face in faces}
    unclear = any(face.unclear or divided(face.expression) for face in faces)
    return (*(e.label for e in Expression if e in tops), *[UNCLEAR] * unclear, *[NO_FACE] * (not faces))


def item(outcome: Outcome, number: int) -> str:
    """Return the thumbnail of a picture with its name and summary, as an item of the list."""
    faces = outcome.report.faces if outcome.report else ()
    surest = min((face.expression.confidence for face in faces), default=1.0)
    first = faces[0].expression.top if faces else len(Expression)
    image = ""
    if outcome.image is not None:
        small = preview(outcome.image)
        image = f'<img src="{jpeg(small, 72)}" width="{small.width}" height="{small.height}" alt="" loading="lazy">'
    return (
        f'<li data-kinds="{" ".join(kinds(outcome))}" data-first="{int(first)}" data-sure="{surest:.4f}">'
        f'<a href="#p{number}"><span class="small">{image}</span> <b>{text(file_name(outcome.name))}</b> '
        f"<span>{summary(outcome)}</span></a></li>\n"
    )


def summary(outcome: Outcome) -> str:
    """Return what is in a picture, in words: "3 faces: 2 happiness, 1 fear; unclear or divided"."""
    if outcome.report is None:
        return "could not be read"
    tops = [face.expression.top for face in outcome.report.faces]
    if len(tops) == 1:
        words = tops[0].label
    else:
        words = ", ".join(f"{tops.count(e)} {e.label}" for e in Expression if e in tops)
    unclear = f"; {_WORDS[UNCLEAR]}" if UNCLEAR in kinds(outcome) else ""
    return f"{faces_in_words(len(tops))}: {words}{unclear}" if tops else faces_in_words(0)


def faces_in_words(count: int) -> str:
    """Return "no face", "1 face" or "3 faces"."""
    return {0: "no face", 1: "1 face"}.get(count, f"{count} faces")


def choices(counted: Counter[str]) -> Iterator[str]:
    """Yield the options of the filter, with how many pictures each shows.   counted: pictures of each of `kinds`."""
    for kind in (*(e.label for e in Expression), *_WORDS):
        if counted[kind]:
            yield f'<option value="{kind}">{_WORDS.get(kind, kind)} ({counted[kind]})</option>'
