"""Whether measured action units support what a text says of a face, phrase by phrase."""

from dataclasses import dataclass

from mien.facs.evidence import ONE_SIDED
from mien.facs.units import BANDS, PRESENT, ActionUnits, Band, band
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine.parse import Mention, parse


@dataclass(frozen=True)
class Claim:
    """A mention and what was measured.

    measured: the intensity, 0 to 1, on the side that the mention names.   band: of it.
    against: why it is not supported, in words; "" when it is.
    """

    mention: Mention
    measured: float
    band: Band
    against: str

    @property
    def supported(self) -> bool:
        """Whether the measured action units bear the mention out."""
        return not self.against


def supported(text: str, units: ActionUnits) -> tuple[Claim, ...]:
    """Hold every action unit that a text names, in order, against the measured ones.

    A movement named without a degree must be PRESENT, from the band "slight" on, and one that is denied must not be. A
    degree may be off by one band, as long as the movement is not absent. A side must be the stronger one; for most
    units the sides are not measured, and then a side is not objected to.
    """
    return tuple(_claim(mention, units) for mention in parse(text))


def intensity(units: ActionUnits, unit: ActionUnit, side: str = "both") -> float:
    """Of an action unit, 0 to 1; on a side ("left", "right", "one" for the stronger) where the sides are measured."""
    difference = units.asymmetry(unit)
    if side == "both" or difference is None:
        return units[unit]
    half = abs(difference) / 2 if side == "one" else difference / 2 if side == "left" else -difference / 2
    return min(max(units[unit] + half, 0.0), 1.0)


def _claim(mention: Mention, units: ActionUnits) -> Claim:
    measured = intensity(units, mention.unit, mention.side)
    return Claim(mention, measured, band(measured), _against(mention, measured, units))


def _against(mention: Mention, measured: float, units: ActionUnits) -> str:
    found = BANDS.index(band(measured))
    difference = units.asymmetry(mention.unit)
    uneven = difference is not None and abs(difference) >= ONE_SIDED
    if not mention.present:
        there = uneven if mention.side != "both" and difference is not None else measured >= PRESENT
        return f"measured as {BANDS[found].word}" if there else ""
    if found == 0 or (mention.band is None and measured < PRESENT):
        return f"measured as {BANDS[found].word}"
    if mention.side != "both" and difference is not None:
        stronger = "left" if difference > 0 else "right"
        if not uneven:
            return "measured alike on both sides"
        if mention.side not in ("one", stronger):
            return f"measured as stronger on the {stronger}"
    if mention.band is not None and abs(BANDS.index(mention.band) - found) > 1:
        return f"measured as {BANDS[found].word}"
    return ""
