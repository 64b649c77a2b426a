"""What mien answers of a clip: a report of each frame, and who is who from frame to frame."""

from dataclasses import dataclass

from mien.results.face import ImageReport
from mien.results.record import Record


@dataclass(frozen=True, eq=False)
class FrameReport:
    """All faces of one frame of a clip.

    number: of the frame in the file, from 0, also when frames are left out.
    time: seconds from the first frame of the file.
    tracks: the track of each face of the report, in its order, which is that of the tracks. One face keeps one track as
    long as it is in sight; a track's number counts from 0 and is never given twice.
    """

    number: int
    time: float
    report: ImageReport
    tracks: tuple[int, ...]

    def to_dict(self) -> Record:
        """The JSON form: that of the report, with frame, timestamp and the track of each face."""
        whole = self.report.to_dict()
        faces = [{"track": track} | face for track, face in zip(self.tracks, whole["faces"], strict=True)]
        return {"frame": self.number, "timestamp": round(self.time, 4)} | whole | {"faces": faces}
