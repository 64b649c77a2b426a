"""The action units of a face on its card: what speaks for its expression and against it, and all of them."""

from collections.abc import Iterator, Sequence

from mien.facs.evidence import Cue, evidence, side
from mien.facs.units import PRESENT, PROTOTYPES, PROXIES, ActionUnits, band
from mien.facs.vocabulary import ActionUnit, Expression
from mien.report.markup import fill


def units_section(units: ActionUnits, e: Expression, card: str, number: int) -> str:
    """What speaks for and against the expression, and all action units, folded away."""
    rows = "\n".join(_unit_row(units, unit, card) for unit in ActionUnit)
    return fill("units.html", number=number, evidence="\n".join(_evidence(units, e)), count=len(units), rows=rows)


def _evidence(units: ActionUnits, e: Expression) -> Iterator[str]:
    cited = evidence(units, e)
    if cited.supporting or e is not Expression.NEUTRAL:
        yield f"<h4>Action units that speak for {e.label}</h4>"
        yield _cues(cited.supporting, e) if cited.supporting else "<p>None above trace.</p>"
    elif not cited.against:
        yield "<h4>Action units</h4>"
        yield "<p>None above trace, as is expected of a neutral face.</p>"
    if cited.missing:
        words = ", ".join(unit_name(unit) + (" (a trace)" if band(units[unit]).grade else "") for unit in cited.missing)
        yield f'<p class="missing">Expected but absent: {words}.</p>'
    if cited.against:
        yield f"<h4>Action units that speak against {e.label}</h4>"
        yield _cues(cited.against, e)


def _cues(cues: Sequence[Cue], e: Expression) -> str:
    return "\n".join(['<ul class="cues">', *(_cue(cue, e) for cue in cues), "</ul>"])


def _cue(cue: Cue, e: Expression) -> str:
    one_sided = cue.role == "core" and cue.unit in PROTOTYPES[e].one_sided
    if one_sided:
        amount = f"{cue.intensity:.2f} between the sides"
    else:
        amount = f"{cue.intensity:.2f} {cue.band.word} ({cue.band.grade})"
    length = f"{100 * cue.intensity:.0f}"
    kind = "against" if cue.role == "against" else "for"
    remarks = "; ".join(_remarks(cue.unit, cue.side))
    return (
        f'<li><span>{unit_name(cue.unit)}</span> <span class="amount">{amount}</span>'
        f'<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/><rect class="{kind}" width="{length}" height="6"/>'
        f'<rect class="rim" width="{length}" height="6"/></svg>'
        f"{f' <small>{remarks}</small>' if remarks else ''}</li>"
    )


def _unit_row(units: ActionUnits, unit: ActionUnit, card: str) -> str:
    remarks = "; ".join(_remarks(unit, side(units, unit)))
    active = ' class="active"' if units[unit] >= PRESENT else ""
    return (
        f'<tr{active}><th scope="row">{unit_name(unit)}{f" <small>{remarks}</small>" if remarks else ""}</th>'
        f'<td>{units[unit]:.2f}</td><td id="{card}-{unit.column}">{band(units[unit]).word}</td></tr>'
    )


def _remarks(unit: ActionUnit, stronger: str) -> Iterator[str]:
    if stronger != "both":
        yield f"stronger on the subject’s {stronger}"
    if unit in PROXIES:
        yield "inferred from other movements"


def unit_name(unit: ActionUnit) -> str:
    """Return the name with its number: "AU12 lip corner puller"."""
    return f"AU{unit:d} {unit.label}"
