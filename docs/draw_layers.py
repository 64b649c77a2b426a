"""Draw the folders of mien and their imports: `python docs/draw_layers.py` writes docs/layers.svg.

Read off the source: a row for each folder, lowest at the bottom, and a dot where the folder of the row imports the
folder of the column, as large as the number of importing files.
"""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "mien"
TARGET = Path(__file__).with_name("layers.svg")
# From low to high, as in tests/test_layers.py; single files at the top level are left out.
FOLDERS = (
    "facs", "results", "core", "video", "report", "batch", "providers", "datasets", "evaluation", "training", "export",
    "methods", "serve", "cli",
)  # fmt: skip
CELL, LEFT, TOP = 34, 110, 96


def counts() -> Counter[tuple[str, str]]:
    """Return the number of files of a folder that import another folder."""
    found: Counter[tuple[str, str]] = Counter()
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            modules = set()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    modules |= {f"{node.module}.{alias.name}" for alias in node.names}
                elif isinstance(node, ast.Import):
                    modules |= {alias.name for alias in node.names}
            other = {module.split(".")[1] for module in modules if module.startswith("mien.")} & set(FOLDERS)
            found.update((folder, target) for target in other - {folder})
    return found


def text() -> str:
    """Return the whole picture as SVG text."""
    found = counts()
    most = max(found.values())
    side = CELL * len(FOLDERS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + side + 12} {TOP + side + 12}" '
        'font-family="sans-serif" font-size="13" fill="#444">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="18">Rows import columns; the number counts importing files.</text>',
    ]
    for i, folder in enumerate(FOLDERS):
        x, y = LEFT + CELL * (i + 0.5), TOP + CELL * (len(FOLDERS) - 0.5 - i)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{folder}</text>')
        parts.append(f'<text transform="translate({x + 4:.0f} {TOP - 8}) rotate(-60)">{folder}</text>')
        parts.append(f'<path d="M{LEFT} {y:.0f}H{LEFT + side}M{x:.0f} {TOP}V{TOP + side}" stroke="#ddd"/>')
    for (folder, target), count in sorted(found.items()):
        x = LEFT + CELL * (FOLDERS.index(target) + 0.5)
        y = TOP + CELL * (len(FOLDERS) - 0.5 - FOLDERS.index(folder))
        radius = 8 + 7 * (count / most) ** 0.5
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}" fill="#3b6ea5"/>')
        parts.append(
            f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" font-size="11" fill="#fff">{count}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
