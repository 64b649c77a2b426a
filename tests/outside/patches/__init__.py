"""A method of another package: one convolution over patches. docs/add-a-method.md walks through it."""

from mien.methods.registry import Method

PATCHES = Method(
    "patches",
    "One convolution over patches of the face.",
    training="patches.method",
    loading="patches.method",
    answers=("expressions",),
)
