"""What a lesson shows of a training run: one line per epoch, and the learning curve."""

from typing import Any

import keras
from matplotlib.axes import Axes


class EpochLog(keras.callbacks.Callback):
    """Print one line per epoch (every `every` epochs), each figure with `digits` digits that count."""

    def __init__(self, every: int = 1, digits: int = 3):
        super().__init__()
        self.every, self.digits = every, digits

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Print the epoch's line."""
        if (epoch + 1) % self.every == 0:
            values = "  ".join(f"{name} {value:.{self.digits}g}" for name, value in (logs or {}).items())
            print(f"epoch {epoch + 1:3d}  {values}")


def learning_curve(history: dict[str, list[float]], ylabel: str, title: str, ax: Axes | None = None) -> Axes:
    """Draw training and, where `history` (Keras' `History.history`) has it, validation loss per epoch."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots()[1]
    for name, label in {"loss": "training", "val_loss": "validation"}.items():
        if name in history:
            ax.plot(range(1, len(history[name]) + 1), history[name], marker=".", label=label)
    ax.set(xlabel="epoch", ylabel=ylabel, title=title)
    ax.legend()
    return ax
