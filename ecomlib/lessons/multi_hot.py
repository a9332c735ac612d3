"""The obvious design of lesson 32, which loses: one sequence per customer, all categories side by side."""

from collections.abc import Sequence
from typing import Self

import keras
import numpy as np

from ecomlib.purchases.model import week_loss
from ecomlib.purchases.task import PurchaseTask


class MultiHotLSTM:
    """One LSTM that reads all k categories of a customer at once and gives k probabilities.

    It reads the same information as `PurchaseLSTM`, but what it learns of milk it must learn again for bread.
    """

    name = "multi-hot LSTM"

    def __init__(
        self,
        seed: int = 0,
        epochs: int = 15,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        units: int = 128,
    ):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.units = learning_rate, units

    @staticmethod
    def inputs(task: PurchaseTask, last: int) -> np.ndarray:
        """Bought, lines, household (5), coupons held, mailers next week: (n, last + 1, 4k + 5)."""
        names = ("bought", "lines", "household", "coupons held", "mailer next week")
        return np.concatenate([task.channels[name][:, : last + 1] for name in names], axis=-1)

    def fit(
        self, task: PurchaseTask, part: str = "train", callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> Self:
        """Train on a part's cutoffs."""
        keras.utils.set_random_seed(self.seed)
        self.categories, n, k = task.categories, len(task.who), len(task.categories)
        target = np.stack([each.reshape(n, k, -1).swapaxes(1, 2) for each in task.labels(part)], axis=-1)
        x = self.inputs(task, target.shape[1] - 1)
        start = keras.initializers.Constant(-2.0)  # sigmoid(-2) is near the base rate
        self.model = keras.Sequential(
            [
                keras.Input((None, x.shape[2])),
                keras.layers.LSTM(self.units, return_sequences=True),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(k, activation="sigmoid", bias_initializer=start),
            ]
        )
        self.model.compile(keras.optimizers.Adam(self.learning_rate, clipnorm=1.0), week_loss)
        options = {"batch_size": self.batch_size, "epochs": self.epochs, "callbacks": list(callbacks)}
        self.history = self.model.fit(x, target, verbose=0, **options).history
        return self

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        task.check_same(self.categories)
        x = self.inputs(task, int(np.max(cutoffs)))
        return self.model.predict(x, batch_size=512, verbose=0)[:, cutoffs].swapaxes(0, 1)
