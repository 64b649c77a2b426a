"""The 68 landmarks of iBUG (Sagonas et al., 2013): their mirror images, their places on a face mesh, the mean face."""

import numpy as np
from numpy.typing import NDArray

# Which of the mesh's 478 points stand for the 68 of iBUG (Sagonas et al., 2013), in iBUG order.
_JAW = (162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389)
_BROWS = (71, 63, 105, 66, 107, 336, 296, 334, 293, 301)
_NOSE = (168, 197, 5, 4, 75, 97, 2, 326, 305)
_EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
_OUTER_LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)
_INNER_LIPS = (78, 82, 13, 312, 308, 317, 14, 87)
MESH_TO_68 = np.array((*_JAW, *_BROWS, *_NOSE, *_EYES, *_OUTER_LIPS, *_INNER_LIPS))
# For each of the 68 points its mirror image: a picture flipped left to right swaps the two.
_UPPER = (*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1))
_LOWER = (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55)
MIRRORED_68 = np.array((*_UPPER, *_LOWER, 64, 63, 62, 61, 60, 67, 66, 65))

# The mean face of OpenFace and dlib, min-max in [0, 1], set into a tight face crop: what stands in for landmarks where
# there is no detector. One map an expression then; it tests whether attention aligns, not where on a single face.
_MEAN_FACE = """
.000,.179 .004,.313 .020,.448 .048,.580 .100,.703 .180,.812 .276,.905 .385,.980 .507,1.00 .630,.976 .739,.899 .835,.805
.914,.695 .964,.568 .989,.432 .999,.295 1.00,.159 .095,.076 .155,.025 .238,.011 .323,.024 .404,.058 .569,.052 .651,.015
.738,.000 .823,.012 .887,.060 .489,.155 .490,.243 .491,.332 .492,.422 .397,.480 .444,.499 .495,.514 .546,.497 .592,.477
.194,.169 .246,.137 .310,.137 .364,.178 .306,.191 .244,.191 .619,.173 .672,.130 .736,.128 .789,.158 .741,.182 .679,.184
.307,.642 .376,.611 .447,.597 .497,.609 .550,.595 .623,.607 .695,.634 .628,.709 .557,.743 .500,.751 .445,.746 .375,.715
.337,.646 .447,.641 .498,.645 .551,.639 .665,.640 .553,.676 .499,.684 .447,.679
"""


def mean_face() -> NDArray[np.float64]:
    """(68, 2) landmarks of the mean face in a tight crop, as shares of its side."""
    uv = np.array([pair.split(",") for pair in _MEAN_FACE.split()], dtype=float)
    return uv * [0.80, 0.75] + [0.10, 0.20]
