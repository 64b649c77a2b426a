"""Options shared by the scripts of this folder, which write a model file anew."""

import argparse
from pathlib import Path


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of `MODEL --data KIND:PATH -o FILE`, to add options to.   description: for --help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", help="Name in mien.core.zoo.MODELS or an ONNX file.")
    parser.add_argument("--data", required=True, metavar="KIND:PATH", help="Labelled faces to fit on.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write.")
    return parser
