"""The course's small Keras models, as the notebooks teach them, and a quiet progress callback."""

import keras


class EpochLog(keras.callbacks.Callback):
    """Print one line an epoch (every `every` epochs): progress that is the same text on every run."""

    def __init__(self, every: int = 1):
        super().__init__()
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            values = "  ".join(f"{name} {value:.3g}" for name, value in (logs or {}).items())
            print(f"epoch {epoch + 1:3d}  {values}")
