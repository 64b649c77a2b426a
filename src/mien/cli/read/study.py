"""A study to a folder of Parquet parts, with a progress bar and what it came to."""

from pathlib import Path

from mien.batch.crew import CrewError
from mien.batch.plan import part_files
from mien.batch.reading import ReadingOptions
from mien.batch.study import Study
from mien.cli.shared.outcomes import stoppable, wrong
from mien.cli.shared.terminal import say, usage_errors
from mien.core.batch import Picture
from mien.errors import InputError
from mien.progress import shown


def is_folder(output: Path) -> bool:
    """Whether an output is a folder of parts: it is one, or its name has no ending."""
    return output.is_dir() or not output.suffix


def run_study(
    pictures: list[Picture], outputs: tuple[Path, ...], reading: ReadingOptions, workers: int, size: int | None
) -> bool:
    """Read a study into its folder. False when an input failed or not all was reached."""
    if len(outputs) > 1:
        raise wrong("a folder stands alone; `mien merge` makes other files of it")
    (folder,) = outputs
    if reading.safe_csv:
        raise wrong("is for .csv, not for a folder", "--safe-csv")
    with usage_errors():
        study = Study(pictures, folder, reading, workers=workers, size=size)
    total, done = len(study.plan.inputs), 0
    try:
        with stoppable():
            for _ in shown((1 for count in study.run() for _ in range(count)), "Reading", total, quiet=total < 2):
                done += 1
    except KeyboardInterrupt:
        say(f"mien: stopped after {done} of {total} inputs; the same command goes on")
        return False
    except (CrewError, InputError) as error:
        say(f"mien: {error}. {len(part_files(folder))} parts are finished; the same command goes on")
        return False
    statuses = study.statuses()
    say(f"{total} inputs: {', '.join(f'{n} {status}' for status, n in statuses.most_common())}")
    say(f"wrote {folder} ({len(part_files(folder))} parts)")
    return statuses.keys() <= {"ok", "no_face"}
