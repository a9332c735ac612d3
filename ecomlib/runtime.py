"""Seeds, versions and figure style: what every notebook sets in its second cell."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cache_dir() -> Path:
    """Folder for computed tables that may be deleted at any time (`data/cache`, or `$ECOM_CACHE`)."""
    folder = Path(os.environ.get("ECOM_CACHE", ROOT / "data" / "cache"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def setup(seed: int = 42) -> None:
    """Set all seeds, make TensorFlow deterministic, set the figure style, print the versions.

    Parameters
    ----------
    seed : int
        Seed for Python, NumPy and Keras.

    Notes
    -----
    On one kind of processor the same seed gives bit-identical weights; between kinds of processor
    expect differences near 1e-6 in a prediction.
    """
    import keras
    import pandas as pd
    import seaborn as sns
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.get_logger().setLevel("ERROR")  # its advice on retracing comes and goes with the machine
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        palette="colorblind",
        rc={"figure.dpi": 90, "figure.figsize": (8, 3.6), "axes.titlelocation": "left", "axes.titlesize": 11},
    )
    versions = f"keras {keras.__version__}, tensorflow {tf.__version__}, pandas {pd.__version__}"
    print("seed", seed, "|", versions)
