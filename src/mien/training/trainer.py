"""The settings of a run as the options of the trainer of `transformers`, which tunes large checkpoints."""

from pathlib import Path
from typing import Any

from mien.extras import optional


def trainer_options(settings: Any, folder: Path, *, epochs: float, steps: int, **more: Any) -> Any:
    """Return TrainingArguments.

    settings: epochs, batch_size, accumulate, learning_rate, warmup (in epochs), precision and seed are read.
    folder: of checkpoints.   epochs: of this stage.   steps: stop after so many; 0 for all epochs.
    more: further arguments, or others in place of these.
    """
    torch = optional("torch", "llm")
    options = {
        "output_dir": str(folder),
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "learning_rate": settings.learning_rate,
        # Below 1 it is a share of the steps.
        "warmup_steps": settings.warmup / settings.epochs,
        "num_train_epochs": epochs,
        "max_steps": steps or -1,
        "bf16": settings.precision == "bf16-mixed",
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 5,
        "save_total_limit": 1,
        "seed": settings.seed,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
    }
    return optional("transformers", "llm").TrainingArguments(**options | more)
