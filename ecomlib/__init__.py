"""The small package the course's notebooks share: shop data in, task arrays out, honest evaluation.

Importing it is cheap (no pandas, no TensorFlow) and sets the few environment variables that have to
stand before TensorFlow starts, so import it first.
"""

import importlib
import os

__version__ = "1.0.0"

# TensorFlow writes start-up lines with a time and a process number; both settings are needed to
# silence them, and a notebook's outputs could not be compared without that.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# The hand-written cells multiply small matrices; threads that wait for each other make that many
# times slower on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_LAZY = {
    "Shop": "shop",
    "ShopError": "shop",
    "load_complete_journey": "datasets",
    "read_shop": "datasets",
    "clean": "cleaning",
    "setup": "runtime",
}


def __getattr__(name: str):
    """Import the public names on first use, so that `import ecomlib` stays fast."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"ecomlib.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'ecomlib' has no attribute {name!r}")
