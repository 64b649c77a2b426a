"""A clip to its smiles: `python examples/one_clip.py clip.mp4`"""

import sys

import mien
from mien.video.events import events
from mien.video.series import Collector, row_of

collector = Collector()
for frame in mien.analyze_video(sys.argv[1], fps=10):
    for row in row_of(sys.argv[1], frame):
        collector.add(row)
for recording in collector.recordings():
    print(f"{recording.seconds:.1f} s, {len(recording.tracks)} faces")
    for event in events(recording):
        if event.name in ("happiness", "AU12"):
            print(f"face {event.track}: {event.name} from {event.onset:.2f} to {event.offset:.2f} s, {event.value:.2f}")
