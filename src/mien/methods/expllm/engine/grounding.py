"""Whether measured action units support what a text says of a face, phrase by phrase."""

from dataclasses import dataclass

from mien.facs.evidence import ONE_SIDED
from mien.facs.units import BANDS, ActionUnits, Band, band
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
    """Every action unit that a text names, in order, held against the measured ones.

    A movement that is named must be there (from the band "trace" on), one that is denied must not be above "trace", a
    degree may be off by one band, and a side must be the stronger one. For most units the sides are not measured; then
    a side is not objected to.
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
        there = uneven if mention.side != "both" and difference is not None else found > 1
        return f"measured as {BANDS[found].word}" if there else ""
    if found == 0:
        return "measured as absent"
    if mention.side != "both" and difference is not None:
        stronger = "left" if difference > 0 else "right"
        if not uneven:
            return "measured alike on both sides"
        if mention.side not in ("one", stronger):
            return f"measured as stronger on the {stronger}"
    if mention.band is not None and abs(BANDS.index(mention.band) - found) > 1:
        return f"measured as {BANDS[found].word}"
    return ""
