"""FaceScan: attributes of faces asked of a vision-language model, or of mien's own models.

AlDahoul, Tan, Kasireddy and Zaki, 2024, https://arxiv.org/abs/2410.24148.
We differ: only expression is asked unless a call names more, refusals are a result and never argued with, and faces are
detected first and asked about one by one. README.md says what that is good for.
"""

from mien.methods.facescan.scan import FaceScanner

__all__ = ["FaceScanner"]
