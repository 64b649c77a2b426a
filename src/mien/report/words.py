"""Texts and answers of models on the card of a face."""

from collections.abc import Iterator, Sequence

from mien.facs.units import band
from mien.report.markup import percent, text
from mien.report.units import unit_name
from mien.report.whatif import what_if
from mien.results.explanation import Explanation, Part, Phrase, Rejected
from mien.results.face import ImageReport
from mien.results.scan import Attributes


def explanation(explanation: Explanation | None, card: str) -> str:
    """What a model wrote, each phrase about an action unit linked to its measured value."""
    if explanation is None:
        return ""
    parts = (f"<h5>{text(part.title)}</h5>\n<p>{''.join(_linked(part, card))}</p>" for part in explanation.parts)
    remarks = "\n".join(f'<p class="missing">{remark}</p>' for remark in _remarks_on(explanation))
    return "\n".join(
        [
            '<section class="explanation">',
            f"<h4>In words, by {text(explanation.model)}</h4>",
            *parts,
            remarks,
            _taken_back(explanation.rejected),
            what_if(explanation.effects),
            "</section>",
        ]
    )


def _taken_back(rejected: Sequence[Rejected]) -> str:
    """Sentences that do not stand, folded away."""
    if not rejected:
        return ""
    items = "\n".join(f"<li>“{text(each.text)}” <small>{text(each.why)}</small></li>" for each in rejected)
    count = f"{len(rejected)} sentence{'s' if len(rejected) > 1 else ''}"
    return f"<details>\n<summary>Taken back while it was written: {count}</summary>\n<ul>\n{items}\n</ul>\n</details>"


def _linked(part: Part, card: str) -> Iterator[str]:
    """The text of a part with its phrases as links; one that names two action units leads to the first."""
    done = 0
    for start, end in dict.fromkeys((phrase.start, phrase.end) for phrase in part.phrases):
        same = [phrase for phrase in part.phrases if (phrase.start, phrase.end) == (start, end)]
        wrong = [phrase for phrase in same if not phrase.supported]
        unit = (wrong or same)[0].unit
        verdicts = (f"{unit_name(p.unit)}: {p.against or 'measured as written'}, {p.measured:.2f}" for p in same)
        kind, title = "unsupported" if wrong else "supported", text("; ".join(verdicts))
        mark = f" <small>({text(wrong[0].against)})</small>" if wrong else ""
        bars = "".join(map(_bar, same))
        yield text(part.text[done:start])
        yield (
            f'<a class="{kind}" href="#{card}-{unit.column}" aria-label="{text(part.text[start:end])} ({title})">'
            f'{text(part.text[start:end])}<span class="peek" aria-hidden="true">{bars}</span></a>{mark}'
        )
        done = end
    yield text(part.text[done:])


def _bar(phrase: Phrase) -> str:
    """The action unit of a phrase as it was measured, to be seen when the phrase is pointed at."""
    length = f"{100 * phrase.measured:.0f}"
    return (
        f"<span>{unit_name(phrase.unit)} <b>{phrase.measured:.2f}</b> {band(phrase.measured).word}"
        f'<svg viewBox="0 0 100 6" preserveAspectRatio="none"><rect class="track" width="100" height="6"/>'
        f'<rect class="for" width="{length}" height="6"/></svg></span>'
    )


def _remarks_on(explanation: Explanation) -> Iterator[str]:
    phrases = [phrase for part in explanation.parts for phrase in part.phrases]
    if phrases:
        wrong = sum(not phrase.supported for phrase in phrases)
        yield (
            f"{len(phrases) - wrong} of {len(phrases)} mentions of action units are borne out by what was measured"
            + ("; the others say in brackets why not." if wrong else ".")
        )
    if not explanation.consistent:
        own = explanation.expression.top.label
        yield f"It concludes {explanation.concluded.label}; asked for the label alone, the same model says {own}."
    how = "each sentence held against what was measured" if explanation.verified else "and nobody checked it first"
    yield f"Another network wrote this from the picture, {how}. Like the heat map, it proves no cause."


def asked(answered: Attributes | None) -> str:
    """Return the questions about a face and their answers."""
    if answered is None:
        return ""
    lines = [f"<h4>Asked of {text(answered.model)}</h4>", *_answers(answered)]
    return "\n".join(['<section class="explanation">', *lines, "</section>"])


def _answers(answered: Attributes) -> Iterator[str]:
    for attribute, answer in answered.answers.items():
        sure = "" if answer.confidence is None else f", {percent(answer.confidence)}"
        shown = (
            f"no answer ({answer.status.replace('_', ' ')})" if answer.value is None else f"<b>{answer.value}</b>{sure}"
        )
        yield f"<p>{attribute.value}: {shown}</p>"
    if answered.rationale:
        yield f"<p>{text(answered.rationale)}</p>"
    if answered.problem:
        yield f"<p>{text(answered.problem)}</p>"


def strangers(report: ImageReport) -> str:
    """Return answers about people whose face was not found, or a failure about nobody."""
    parts = [asked(answered) for answered in report.unmatched]
    heading = "<p>Answered about somebody whose face was not found here:</p>"
    return "\n".join(['<div class="message">', heading, *parts, "</div>"]) if parts else ""
