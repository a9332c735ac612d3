"""Seeds, versions, figure style, colours and folders: what every notebook sets at its start."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# One colour for one thing in all lessons; seaborn's colour-blind safe palette.
MODEL_COLORS = {"LSTM": "#0173b2", "LightGBM": "#de8f05", "logistic regression": "#ca9161", "ETS": "#029e73"}
MODEL_COLORS |= {"Theta": "#cc78bc", "kNN": "#56b4e9", "factors": "#d55e00", "baseline": "#949494"}
# Networks of lessons 12 and 51: they meet none of the models whose colours they have.
MODEL_COLORS |= {"GRU": "#029e73", "simple RNN": "#cc78bc", "attention": "#56b4e9", "convolution": "#d55e00"}
GATE_COLORS = {"forget": "#d55e00", "input": "#029e73", "candidate": "#56b4e9", "output": "#cc78bc"}
GATE_COLORS |= {"cell": "#de8f05", "hidden": "#0173b2"}


def cache_dir() -> Path:
    """Folder for computed tables that may be deleted at any time (`data/cache`, or `$ECOM_CACHE`)."""
    folder = Path(os.environ.get("ECOM_CACHE", ROOT / "data" / "cache"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def setup(seed: int = 42) -> None:
    """Set the seeds of Python, NumPy and Keras, make TensorFlow deterministic, set the figure style.

    Prints the versions. On one kind of processor the same seed gives bit-identical weights; between kinds
    of processor expect differences near 1e-6 in a prediction.
    """
    import keras
    import pandas as pd
    import seaborn as sns
    import tensorflow as tf
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.get_logger().setLevel("ERROR")  # its advice on retracing comes and goes with the machine
    style = {"figure.dpi": 90, "figure.figsize": (8, 3.6), "axes.titlelocation": "left", "axes.titlesize": 12}
    sns.set_theme("notebook", "whitegrid", "colorblind", rc=style | {"axes.labelsize": 11})
    if get_ipython():
        set_matplotlib_formats("retina")  # twice the pixels, shown at the same size
    versions = f"keras {keras.__version__}, tensorflow {tf.__version__}, pandas {pd.__version__}"
    print("seed", seed, "|", versions)
