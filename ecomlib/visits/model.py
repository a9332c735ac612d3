"""The network of lesson 16: two LSTM layers and a softmax, with a forecast after every week."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import keras
import numpy as np

from ecomlib.visits.task import VisitsTask

Callbacks = Sequence[keras.callbacks.Callback]


def visits_network(
    n_channels: int, n_classes: int = 5, units: int = 50, dropout: float = 0.0, recurrent_dropout: float = 0.0
) -> keras.Model:
    """Two LSTM layers and a softmax, not compiled: a forecast after every week.

    Input (batch, n_weeks, n_channels), n_weeks free; output (batch, n_weeks, n_classes).
    """
    drop = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
    return keras.Sequential(
        [
            keras.Input((None, n_channels)),
            keras.layers.LSTM(units, return_sequences=True, **drop),
            keras.layers.LSTM(units, return_sequences=True, **drop),
            keras.layers.Dense(n_classes, activation="softmax"),
        ]
    )


@dataclass
class VisitsLSTM:
    """`visits_network`, trained on a forecast after every week.

    The learning rate is constant; the weights that answer are a running average over the last steps of
    training, of which the share `momentum` stays at every step. `recurrent_dropout` is the share of the state
    that is dropped at every training step.
    """

    seed: int = 0
    epochs: int = 18
    batch_size: int = 64
    learning_rate: float = 4e-3
    momentum: float = 0.98
    units: int = 50
    recurrent_dropout: float = 0.2
    name: ClassVar[str] = "LSTM"

    def fit(
        self, task: VisitsTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Train on a part's cutoffs; `watch` adds the validation loss of each epoch's averaged weights."""
        keras.utils.set_random_seed(self.seed)
        self.n_classes, drop = task.n_classes, self.recurrent_dropout
        x, y, weight = self._examples(task, part)
        valid = self._examples(task, "valid") if watch else None
        swap = [keras.callbacks.SwapEMAWeights()] if watch else []
        average = {"use_ema": True, "ema_momentum": self.momentum}
        loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
        self.model = visits_network(x.shape[-1], self.n_classes, self.units, recurrent_dropout=drop)
        self.model.compile(keras.optimizers.Adam(self.learning_rate, **average), loss)
        self.model.optimizer.build(self.model.trainable_variables)  # else Keras traces the step twice
        options = {"batch_size": self.batch_size, "epochs": self.epochs, "callbacks": [*swap, *callbacks]}
        options |= {"validation_data": valid, "validation_batch_size": 512, "verbose": 0}
        self.history = self.model.fit(x, y, sample_weight=weight, **options).history
        return self

    @staticmethod
    def _examples(task: VisitsTask, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, weight = task.labels(part)
        keep = weight.any(axis=1)
        return task.x[keep, : y.shape[1]], y[keep], weight[keep]

    def predict(self, task: VisitsTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n_customers, n_classes)."""
        task.check_same(self.n_classes)
        p = self.model.predict(task.x[:, : int(np.max(cutoffs)) + 1], batch_size=512, verbose=0)
        return p[:, cutoffs].swapaxes(0, 1)
