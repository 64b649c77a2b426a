"""Write docs/results.md and a table of README.md from benchmarks/results/*.json: `python docs/write_results.py`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("results.md")
README = TARGET.parents[1] / "README.md"
# What stands around the table in README.md.
START, END = "<!-- peers: python docs/write_results.py -->", "<!-- /peers -->"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
HEAD = """# Results

Every number that this project has measured, written from [`benchmarks/results`](../benchmarks/results) by
`python docs/write_results.py`. Brackets are 95 % intervals. Without a word on data, faces are those of FERPlus valid
that most annotators agree on, without duplicates of other splits; see [concepts](concepts.md).
"""
# What says under which conditions a number was measured, rather than being one.
CONDITIONS = ("command", "date", "machine", "mien", "seed", "resamples", "intervals")
# Long lists, which the files have.
LEFT_OUT = ("answers", "confusion", "confusion_interval", "reliability", "log", "settings", "points", "labels", "faces")


def text() -> str:
    """The whole page."""
    found = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    scored = {path: result for path, result in found.items() if "per_class" in result}
    parts = [HEAD, "## Models\n", *models(scored)]
    kinds = {"reference": differences, "questions": ablation, "contrasts": downstream, "tools": peers}
    for path, result in found.items():
        if path not in scored:
            parts += list(next((kind for key, kind in kinds.items() if key in result), anything)(path, result))
    return "\n".join(parts)


def models(scored: Mapping[Path, dict[str, Any]]) -> Iterator[str]:
    """One row a model and data set, then the recalls."""
    heading = ("model", "data", "protocol", "n", "accuracy %", "mean recall %", "n >= 50", "macro F1 %", "ECE %")
    rows = []
    for path, result in scored.items():
        fitted = [("as shipped", result)] + ([("refitted", result["cross_fit"])] if "cross_fit" in result else [])
        for kind, scores in fitted:
            rows.append(
                (
                    f"[{result['model']}]({link(path)}), {kind}",
                    data(result),
                    result["protocol"],
                    scores["n"],
                    *(percent(scores[key]) for key in ("accuracy", "mean_recall", "mean_recall_n50", "macro_f1")),
                    percent({"value": scores["ece"], **scores["ece_interval"]}),
                )
            )
    yield table(heading, rows)
    yield "*Refitted*: the calibration fitted on one random half of the faces and scored on the other.\n"
    names = list(next(iter(scored.values()))["per_class"])
    recalls = [
        (f"{result['model']}, {data(result)}", *(recall(result["per_class"][name]) for name in names))
        for result in scored.values()
    ]
    yield "Recall in per cent, and how many faces of the class there are:\n"
    yield table(("model", *names), recalls)
    for path, result in scored.items():
        yield f"- `{path.name}`: {conditions(result)}"
    yield ""
    for result in scored.values():
        if "texts" in result:
            yield f"What {result['model']} writes of {result['texts']['n']} faces, and `free`, its label unasked:\n"
            yield table(("", "value"), list(numbers({k: result[k] for k in ("free", "votes", "texts")})))


def differences(path: Path, result: Mapping[str, Any]) -> Iterator[str]:
    """What `mien compare` found."""
    said = f"Differences from {result['reference']} on {data(result)}, n = {result['n']}; {conditions(result)}."
    yield f"## {path.stem}\n\n{said}\n"
    rows = []
    for row in result["models"]:
        cells = [row["model"], row["runs"]]
        for metric in ("accuracy", "macro_f1"):
            difference = row.get(f"{metric}_difference")
            cells += [percent(row[metric])]
            cells += ["", ""] if difference is None else [percent(difference, signed=True), difference["answer"]]
        rows.append(cells)
    yield table(("model", "runs", "accuracy %", "difference", "", "macro F1 %", "difference", ""), rows)


def ablation(path: Path, result: Mapping[str, Any]) -> Iterator[str]:
    """What `mien ablate` found."""
    about = f"{result['method']} on {Path(result['valid']).name}, {result['protocol']}, n = {result['n']}"
    yield f"## {path.stem}\n\nAblation of {about}, {result['epochs']} epochs; {conditions(result)}.\n"
    arms = [
        (
            row["arm"],
            row["purpose"],
            plain(row["seeds"]),
            *(percent(row[key]) for key in ("accuracy", "macro_f1", "macro_f1_n50", "mean_recall")),
        )
        for row in result["arms"]
    ]
    yield table(("arm", "", "seeds", "accuracy %", "macro F1 %", "n >= 50", "mean recall %"), arms)
    checks = [(row["arm"], *value) for row in result["arms"] for value in numbers(row["checks"])]
    asked = [
        (entry["question"], plain(entry["seeds"]), percent(entry, signed=True), entry["answer"])
        for entry in result["questions"]
    ]
    yield table(("question", "seeds", "points", "answer"), asked)
    yield table(("claim", "answer"), list(result["sentences"].items()))
    yield table(("arm", "check", "value"), checks)


def downstream(path: Path, result: Mapping[str, Any]) -> Iterator[str]:
    """What `mien downstream` found of a paradigm that trains."""
    said = f"Downstream, {result['paradigm']}, on {data({'data': result['valid']})}, n = {result['n']}"
    yield f"## {path.stem}\n\n{said}. [File]({link(path)}); {conditions(result)}.\n"
    metrics = ("accuracy", "macro_f1", "macro_f1_n50", "mean_recall")
    rows = [
        (
            *(plain(row[key]) for key in ("arm", "purpose", "photographs", "generated", "seeds")),
            *(percent(row[key]) for key in metrics),
            percent(row["difference"], signed=True) if "difference" in row else "",
        )
        for row in result["arms"]
    ]
    measures = ("accuracy %", "macro F1 %", "n >= 50", "mean recall %")
    yield table(("arm", "", "photographs", "generated", "seeds", *measures, "accuracy less the first"), rows)
    if result["contrasts"]:
        pairs = [
            (f"{row['arm']} less {row['against']}", *(percent(row[key], signed=True) for key in metrics))
            for row in result["contrasts"]
        ]
        yield table(("difference, points", *measures), pairs)


def peers(path: Path, result: Mapping[str, Any]) -> Iterator[str]:
    """What `benchmarks/peers.py` found: mien beside other tools."""
    said = f"The same faces through mien and tools that run offline: {data(result)}, {result['protocol']}"
    yield f"## {path.stem}\n\n{said}, n = {result['n']}. [File]({link(path)}); {conditions(result)}.\n"
    scored = [tool for tool in result["tools"] if "accuracy" in tool]
    keys = ("accuracy", "without_contempt", "mean_recall", "mean_recall_n50", "macro_f1")
    gains = result["differences"]
    rows: list[Sequence[Any]] = [
        (
            f"{tool['name']} {tool['version']}",
            tool["expressions"],
            *(percent(tool[key]) for key in keys),
            percent(gains[key], signed=True) if (key := f"mien less {tool['name']}") in gains else "",
        )
        for tool in scored
    ]
    measures = ("accuracy %", "without contempt %", "mean recall %", "n >= 50", "macro F1 %")
    yield table(("tool", "expressions", *measures, "mien is better by"), rows)
    yield "Recall in per cent, and how many faces of the class there are:\n"
    names = list(scored[0]["per_class"])
    rows = [(tool["name"], *(recall(tool["per_class"][name]) for name in names)) for tool in scored]
    yield table(("tool", *names), rows)
    yield (
        "Each classifier gets the whole 48x48 face. The others have no contempt, which counts as wrong; *without "
        "contempt* leaves these faces out. With the tool's own detector in front:\n"
    )
    detected = [(tool, tool["with_detector"]) for tool in scored]
    rows = [
        (tool["name"], found["n"], found["found"], *(percent(found[key]) for key in ("accuracy", "accuracy_of_found")))
        for tool, found in detected
    ]
    yield table(("tool", "pictures", "face found", "accuracy %, not found is wrong", "accuracy % of found"), rows)
    yield f"The pictures: {result['detector_pictures']}.\n"
    rows = [
        (
            tool["name"],
            tool["gives"],
            *(milliseconds(tool[key]) for key in ("ms_a_face", "ms_a_picture")),
            *(megabytes(tool[key]) for key in ("peak_mb", "install_mb", "model_mb")),
        )
        for tool in result["tools"]
    ]
    heading = ("tool", "gives", "ms a face", "ms a picture", "memory MB", "install MB", "expression network MB")
    yield table(heading, rows)
    yield (
        f"Time: {result['time']}, least to most in parentheses. Other work ran on the machine (load "
        f"{result['load_before']}), so compare the tools, not the milliseconds with other pages. A picture is "
        f"{result['picture']}. Install sizes leave out Python and Node.js.\n"
    )


def readme_table(result: Mapping[str, Any]) -> str:
    """The table of README.md: mien beside other tools."""
    rows = []
    for tool in result["tools"]:
        name = f"**{tool['name']}**" if tool["name"] == "mien" else tool["name"]
        accuracy = f"{percent(tool['accuracy'])}" if "accuracy" in tool else "names none"
        times = [f"{plain(tool[key]['median'], 1)}" if tool[key] else "-" for key in ("ms_a_face", "ms_a_picture")]
        rows.append((name, accuracy, *times, megabytes(tool["peak_mb"]), megabytes(tool["install_mb"])))
    return table(("", "accuracy %", "ms a face", "ms a picture", "memory MB", "install MB"), rows)


def readme() -> str:
    """README.md, with its table of other tools written anew."""
    whole = README.read_text(encoding="utf-8")
    before, start, rest = whole.partition(START)
    _, end, after = rest.partition(END)
    result = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    return f"{before}{start}\n{readme_table(result)}{end}{after}" if end else whole


def milliseconds(value: Mapping[str, float] | None) -> str:
    """The median of some rounds, and their range."""
    return "-" if value is None else f"{value['median']:.1f} ({value['least']:.1f} to {value['most']:.1f})"


def megabytes(value: float | None) -> str:
    """Whole megabytes; two decimals below ten."""
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def anything(path: Path, result: Mapping[str, Any]) -> Iterator[str]:
    """Every number of a result, under its own name."""
    title = result.get("measure") or result.get("what") or path.stem
    yield f"## {path.stem}\n\n{str(title)[0].upper()}{str(title)[1:]}. [File]({link(path)}); {conditions(result)}.\n"
    rows = [
        (name, value) for name, value in numbers(result) if name.split(".")[0] not in (*CONDITIONS, "measure", "what")
    ]
    yield table(("", "value"), rows)


def numbers(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a result: dotted name and value; an interval is one of them."""
    if isinstance(values, Mapping):
        if {"value", "low", "high"} <= values.keys():
            rest = {k: v for k, v in values.items() if k not in ("value", "low", "high")}
            yield name, interval(values) + "".join(f"; {k.replace('_', ' ')} {plain(v)}" for k, v in rest.items())
            return
        for key, value in values.items():
            if key not in LEFT_OUT:
                yield from numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list) and any(isinstance(v, Mapping | list) for v in values):
        for i, value in enumerate(values):
            yield from numbers(value, f"{name}.{own_name(value) or i + 1}")
    else:
        yield name, plain(values)


def own_name(value: Any) -> str:
    """What an entry of a list calls itself, if it does."""
    if not isinstance(value, Mapping):
        return ""
    if "attention_map" in value:
        return f"lambda {value['attention_weight']:g}, {value['attention_map']}"
    return str(next((value[key] for key in ("arm", "question", "name") if key in value), ""))


def conditions(result: Mapping[str, Any]) -> str:
    """Command, seed, date, version and processor, as far as a result says them."""
    machine = result.get("machine") or {}
    parts = [f"`{result['command']}`"] if "command" in result else []
    parts += [f"`{command}`" for command in result.get("commands", [])]
    parts += [f"{key} {result[key]}" for key in ("seed", "date", "mien") if key in result]
    parts += [str(machine[key]) for key in ("processor", "cpu") if key in machine]
    return ", ".join(parts)


def data(result: Mapping[str, Any]) -> str:
    """The data set's name, without folders."""
    return (
        Path(str(result.get("data"))).name.removesuffix(".parquet").partition(":")[2]
        or Path(str(result.get("data"))).stem
    )


def link(path: Path) -> str:
    """From docs/ to a result file."""
    return f"../benchmarks/results/{path.name}"


def percent(values: Mapping[str, Any], *, signed: bool = False) -> str:
    """A fraction and its interval, in percent."""
    return interval({k: None if values[k] is None else 100 * values[k] for k in ("value", "low", "high")}, 1, signed)


def recall(values: Mapping[str, Any]) -> str:
    """A recall in percent, and of how many."""
    if values["recall"] is None:
        return "-"
    bounds = {"value": values["recall"], "low": values["low"], "high": values["high"]}
    return f"{percent(bounds)}, {values['n']}"


def interval(values: Mapping[str, Any], digits: int = 3, signed: bool = False) -> str:
    """A number and its interval, as they are."""
    if values["value"] is None:
        return "-"
    value, low, high = (plain(values[key], digits, signed) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def plain(value: Any, digits: int = 3, signed: bool = False) -> str:
    """A leaf of a result."""
    if isinstance(value, float):
        return f"{value:{'+' if signed else ''}.{digits}f}"
    if isinstance(value, list):
        return ", ".join(plain(v, digits) for v in value)
    return "-" if value is None else str(value)


def table(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
