"""Who smiles in this photo? `python examples/one_photo.py photo.jpg`"""

import sys
from pathlib import Path

import mien

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("astronaut.png")
report = mien.analyze(photo)
for number, face in enumerate(report.faces, start=1):
    scores = face.expression
    second = scores.ranked[1]
    print(f"face {number}: {scores.top.label} {scores.confidence:.0%}, next {second.label} {scores[second]:.0%}")
    print(f"  box {face.box.round().astype(int).tolist()}, detector score {face.face.score:.2f}")
