"""Whether measured action units support what a text says of a face, phrase by phrase."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from mien.facs.evidence import ONE_SIDED
from mien.facs.units import BANDS, PRESENT, ActionUnits, Band, band
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine.parse import Mention, parse


class Fault(NamedTuple):
    """What is wrong with a claim.

    kind: "absent" (named, and not there), "present" (denied, and there), "degree" or "side".   why: in words.
    """

    kind: Literal["absent", "present", "degree", "side"]
    why: str


@dataclass(frozen=True)
class Claim:
    """A mention and what was measured.

    measured: the intensity, 0 to 1, on the side that the mention names.   band: of it.
    fault: why it is not supported; None when it is.
    """

    mention: Mention
    measured: float
    band: Band
    fault: Fault | None

    @property
    def against(self) -> str:
        """Why it is not supported, in words; "" when it is."""
        return "" if self.fault is None else self.fault.why

    @property
    def supported(self) -> bool:
        """Whether the measured action units bear the mention out."""
        return self.fault is None


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
    return Claim(mention, measured, band(measured), _fault(mention, measured, units))


def _fault(mention: Mention, measured: float, units: ActionUnits) -> Fault | None:
    measured_band = BANDS.index(band(measured))
    difference = units.asymmetry(mention.unit)
    uneven = difference is not None and abs(difference) >= ONE_SIDED
    measured_as = f"measured as {BANDS[measured_band].word}"
    if not mention.present:
        there = uneven if mention.side != "both" and difference is not None else measured >= PRESENT
        return Fault("present", measured_as) if there else None
    if measured_band == 0 or (mention.band is None and measured < PRESENT):
        return Fault("absent", measured_as)
    if mention.side != "both" and difference is not None:
        stronger = "left" if difference > 0 else "right"
        if not uneven:
            return Fault("side", "measured alike on both sides")
        if mention.side not in ("one", stronger):
            return Fault("side", f"measured as stronger on the {stronger}")
    if mention.band is not None and abs(BANDS.index(mention.band) - measured_band) > 1:
        return Fault("degree", measured_as)
    return None
