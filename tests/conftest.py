"""Torch takes every core it finds, and its threads wait for each other where cores are busy; one is enough here."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
