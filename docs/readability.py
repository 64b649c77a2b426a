"""Measure how easy the documentation and the help texts are to read: `python docs/readability.py [ROOT]`.

Prints the Flesch reading ease (higher is easier; 50 to 60 is fairly difficult, plain English 60 to 70), words per
sentence and the longest sentences. Code, tables, headings and links are left out.
"""

import ast
import json
import re
import sys
from pathlib import Path


def prose(text: str) -> str:
    """Return the sentences of a Markdown page."""
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not re.match(r"\s*(\||#|!\[|<)", line)]
    text = "\n".join(re.sub(r"^\s*[-*\d.]+ ", "", line) for line in lines)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text)
    return re.sub(r"[*_]", "", text)


def strings(source: str) -> list[str]:
    """Return the docstrings and the help texts of a module."""
    texts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            texts.append(ast.get_docstring(node) or "")
        elif isinstance(node, ast.keyword) and node.arg == "help" and isinstance(node.value, ast.Constant):
            texts.append(str(node.value.value))
    return [re.sub(r"\([^)]*\)|`[^`]*`", "code", text) for text in texts if text]


def count_syllables(word: str) -> int:
    """Return the number of groups of vowels in an English word, without a silent e at its end; at least 1."""
    groups = re.findall(r"[aeiouy]+", word.lower())
    silent = len(groups) > 1 and re.search(r"[^aeiouyl]e$|[^aeiouy]les$", word.lower()) is not None
    return max(1, len(groups) - silent)


def measured(texts: list[str]) -> dict[str, object]:
    """Return the measures of some texts."""
    sentences = [" ".join(s.split()) for text in texts for s in re.split(r"(?<=[.!?;:])\s+|\n\n", text) if s.strip()]
    words = [word for s in sentences for word in re.findall(r"[^\W\d_]+", s)]
    syllables = sum(map(count_syllables, words)) / len(words)
    lengths = sorted((len(s.split()), s) for s in sentences)
    return {
        "sentences": len(sentences),
        "flesch_reading_ease": round(206.835 - 1.015 * len(words) / len(sentences) - 84.6 * syllables, 1),
        "words_per_sentence": round(sum(n for n, _ in lengths) / len(lengths), 1),
        "sentences_over_25_words": sum(n > 25 for n, _ in lengths),
        "longest": [s for _, s in lengths[:-4:-1]],
    }


def main() -> None:
    """Print the measures of pages and of help texts as JSON."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    generated = {"cli.md", "results.md"}
    found = {
        "pages": measured([prose(p.read_text(encoding="utf-8")) for p in pages if p.name not in generated]),
        "pages of methods and cards": measured(
            [prose(p.read_text(encoding="utf-8")) for p in sorted((root / "src").rglob("*.md"))]
        ),
        "docstrings and help": measured(
            [text for p in sorted((root / "src").rglob("*.py")) for text in strings(p.read_text(encoding="utf-8"))]
        ),
    }
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
