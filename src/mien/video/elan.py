"""Events to an ELAN annotation file (.eaf), beside the clip in the program that coders of behaviour use.

A tier for each track's expressions and one for each of its action units that shows an event: "0/expression", "0/AU12".
https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import mien
from mien.video.events import Event
from mien.video.series import EXPRESSIONS

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"


def tier(event: Event) -> str:
    """The tier that an event stands in."""
    return f"{event.track}/{'expression' if event.name in EXPRESSIONS else event.name}"


def write_elan(path: Path, media: str, events: Sequence[Event]) -> None:
    """Write the events of one recording.

    media: the clip's path, which ELAN opens; relative to the file it also finds it.   Times are whole milliseconds.
    An annotation is the expression, or the action unit and its intensity at the apex.
    """
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    ElementTree.register_namespace("xsi", xsi)
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": f"mien {mien.__version__}",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{xsi}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    whole = Path(media).absolute()
    kind = mimetypes.guess_type(media)[0] or "video/*"
    ElementTree.SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=whole.as_uri(), MIME_TYPE=kind, RELATIVE_MEDIA_URL=f"./{whole.name}"
    )
    for name, value in _settings(events):
        ElementTree.SubElement(header, "PROPERTY", NAME=name).text = value
    _annotations(root, header, events)
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="default-lt", TIME_ALIGNABLE="true"
    )
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def _settings(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return the thresholds in words, for expressions and for action units."""
    kinds = {"expression" if e.name in EXPRESSIONS else "action_unit": e for e in events}
    return [
        (f"mien_{kind}_{what}", f"{getattr(event, what):g}")
        for kind, event in sorted(kinds.items())
        for what in ("enter", "leave")
    ]


def _annotations(root: ElementTree.Element, header: ElementTree.Element, events: Sequence[Event]) -> None:
    spans = [(_milliseconds(event.onset), _milliseconds(event.offset)) for event in events]
    slots = {time: f"ts{i}" for i, time in enumerate(sorted({t for span in spans for t in span}), start=1)}
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for time, slot in slots.items():
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    tiers: dict[str, ElementTree.Element] = {}
    for i, (event, (onset, offset)) in enumerate(zip(events, spans, strict=True), start=1):
        name = tier(event)
        if name not in tiers:
            tiers[name] = ElementTree.SubElement(root, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID=name)
        annotation = ElementTree.SubElement(
            ElementTree.SubElement(tiers[name], "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{i}",
            TIME_SLOT_REF1=slots[onset],
            TIME_SLOT_REF2=slots[offset],
        )
        text = event.name if event.name in EXPRESSIONS else f"{event.name} {event.value:.2f}"
        ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = text
    ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(len(events))


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
