"""The names of the files in a run's folder. Without torch, so that the command line can recognize a run."""

SETTINGS, DATA, PRIORS, LOG = "settings.json", "data.json", "priors.json", "log.jsonl"
WEIGHTS, CHECKPOINT = "model.safetensors", "last.ckpt"
