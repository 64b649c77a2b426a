"""A track as continuous data after BIDS: `_physio.tsv.gz` without a header, beside a `.json` that describes it.

https://bids-specification.readthedocs.io/en/stable/modality-specific-files/physiological-recordings.html
BIDS wants an even rate, so that values are interpolated to one; the .json says so.
"""

import gzip
import io
import json
from pathlib import Path

import numpy as np

import mien
from mien.video.series import EXPRESSIONS, MEASURES, Recording, Series


def write_bids(folder: Path, stem: str, recording: Recording, rate: float | None = None) -> list[Path]:
    """Write STEM_recording-faceN_physio.tsv.gz and .json for each track into a folder; return the first of each.

    rate: samples a second; left out, that of the frames.
    """
    sampling = rate or (1 / recording.interval if recording.interval else 1.0)
    written = []
    for series in recording.tracks:
        path = folder / f"{stem}_recording-face{series.track}_physio.tsv.gz"
        _write(path, series, sampling, 2 * max(recording.interval, 1e-3))
        written.append(path)
    return written


def _write(path: Path, series: Series, rate: float, longest_gap: float) -> None:
    start, end = float(series.times[0]), float(series.times[-1])
    times = start + np.arange(int(np.floor((end - start) * rate + 1e-6)) + 1) / rate
    columns = [_resampled(times, series.times, values, longest_gap) for values in series.values.T]
    text = io.StringIO()
    for row in np.stack(columns, axis=1):
        text.write("\t".join("n/a" if np.isnan(value) else f"{value:.4f}" for value in row) + "\n")
    # No time and no name inside, so that equal data give equal bytes.
    path.write_bytes(gzip.compress(text.getvalue().encode("ascii"), mtime=0))
    about = {
        "SamplingFrequency": round(rate, 6),
        "StartTime": round(start, 4),
        "Columns": list(MEASURES),
        "Description": "Facial expression read by mien from a video; one track, which is one face. Values are those of "
        "the frames, interpolated linearly to an even rate; n/a where the face was not seen.",
        "SoftwareName": "mien",
        "SoftwareVersions": mien.__version__,
        "TimeZero": "the first frame of the clip",
        "Source": series.input,
        "Track": series.track,
    }
    for name in MEASURES:
        unit = "probability, 0 to 1" if name in EXPRESSIONS else "FACS action unit, intensity 0 to 1"
        about[name] = {"Description": unit, "Units": "arbitrary"}
    beside = path.with_name(path.name.removesuffix(".tsv.gz") + ".json")
    beside.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _resampled(
    at: np.ndarray[tuple[int], np.dtype[np.float64]],
    times: np.ndarray[tuple[int], np.dtype[np.float64]],
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    longest_gap: float,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Values at other times, linearly between neighbours; NaN further than a gap from any."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(at), np.nan)
    there = times[known]
    after = np.clip(np.searchsorted(there, at), 0, len(there) - 1)
    before = np.clip(after - 1, 0, None)
    lonely = (there[after] - there[before] > longest_gap) & (np.abs(there[after] - at) > 1e-9)
    lonely &= np.abs(there[before] - at) > 1e-9
    return np.where(lonely, np.nan, np.interp(at, there, values[known]))
