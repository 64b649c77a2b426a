"""The result for one frame of a clip: its report, and which face is which from frame to frame."""

from dataclasses import dataclass

from mien.results.face import ImageReport
from mien.results.record import Record


@dataclass(frozen=True, eq=False)
class FrameReport:
    """All faces of one frame of a clip.

    number: number of the frame in the file, from 0, also if frames are skipped.
    time: seconds from the first frame of the file.
    tracks: track of each face of the report. A face keeps its track while it is in sight; numbers count from 0 and are
    never reused.
    """

    number: int
    time: float
    report: ImageReport
    tracks: tuple[int, ...]

    def to_dict(self) -> Record:
        """Return the JSON form of the report, with frame, timestamp and the track of each face."""
        whole = self.report.to_dict()
        faces = [{"track": track} | face for track, face in zip(self.tracks, whole["faces"], strict=True)]
        return {"frame": self.number, "timestamp": round(self.time, 4)} | whole | {"faces": faces}
