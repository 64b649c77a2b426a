"""What is read of a face once movements are taken away in its picture, on its card."""

from collections.abc import Sequence

from PIL import Image

from mien.report.embed import jpeg
from mien.report.markup import percent, text
from mien.results.explanation import Effect

TEST = "This tests the model that reads the face, not the person: nobody took these changed pictures."


def what_if(effects: Sequence[Effect]) -> str:
    """A row for each movement: the face with it and without it, and what is read; "" where nothing was tried."""
    if not effects:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Without", "As it is", "Without it", "Is read as"))
    rows = "\n".join(map(_row, effects))
    return (
        f'<h5>What if</h5>\n<table class="whatif">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
        f'</table>\n<p class="missing">{TEST}</p>'
    )


def _row(effect: Effect) -> str:
    units = ", ".join(unit.column for unit in effect.units)
    head = f'<th scope="row">{text(effect.phrase)} <small>{units}</small></th>'
    if effect.refused:
        return f'<tr>{head}<td colspan="3">not tried: {text(effect.refused)}</td></tr>'
    shown = "".join(
        f'<td><img src="{jpeg(Image.fromarray(picture), 82)}" alt="{alt}" width="64" height="64"></td>'
        for picture, alt in zip(effect.pictures, ("as it is", f"without {text(effect.phrase)}"), strict=False)
    )
    before, after = (percent(value) for value in effect.sure)
    other = "" if effect.reads is effect.word else f"<br>{effect.reads.label} {percent(effect.read_sure)}"
    left = effect.measured[1] / max(effect.measured[0], 1e-6)
    part = f"<br><small>{percent(left)} of it is left</small>" if left >= 0.5 else ""
    shown = shown or "<td></td><td></td>"
    return f"<tr>{head}{shown}<td>{effect.word.label} {before} → <b>{after}</b>{other}{part}</td></tr>"
