"""The obvious design of lesson 32, which loses: one sequence per customer, all categories side by side."""

from collections.abc import Sequence
from typing import Self

import keras
import numpy as np
from keras import layers

from ecomlib.purchases.model import week_loss
from ecomlib.purchases.task import PurchaseTask

FEW = ("bought", "lines", "household", "trip days", "coupons held", "mailer next week")


class MultiHotLSTM:
    """One LSTM that reads all k categories of a customer at once and gives k probabilities.

    With `reads=tuple(purchases.GROUPS)` it has every input of `PurchaseLSTM`, with `FEW` about a third of the
    columns; what it learns of milk it must learn again for bread. Of 12 settings (`bench purchases`) dropout
    0.3, rate 0.001 and 49 epochs are best on validation; these lose less than .001, in a third of the time.
    """

    name = "multi-hot LSTM"

    def __init__(
        self,
        seed: int = 0,
        epochs: int = 17,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        units: int = 64,
        dropout: float = 0.0,
        reads: Sequence[str] = FEW,
    ):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.units, self.dropout = learning_rate, units, dropout
        self.reads = tuple(reads)

    def inputs(self, task: PurchaseTask, last: int) -> np.ndarray:
        """The channels of all categories side by side: (n, last + 1, number of columns)."""
        n = len(task.bought)
        found = []
        for name in self.reads:
            values = task.channels[name]
            if name in ("promotion", "trend"):  # the same for every customer
                values = np.broadcast_to(values, (n, *values.shape))
            found.append(values[:, : last + 1].reshape(n, last + 1, -1))
        return np.concatenate(found, axis=-1)

    def fit(
        self,
        task: PurchaseTask,
        part: str = "train",
        callbacks: Sequence[keras.callbacks.Callback] = (),
        watch: bool = False,
    ) -> Self:
        """Train on a part's cutoffs; `watch` adds the validation loss of each epoch's averaged weights."""
        keras.utils.set_random_seed(self.seed)
        self.categories = task.categories
        x, target = self._examples(task, part)
        start = keras.initializers.Constant(-2.0)  # sigmoid(-2) is near the base rate
        self.model = keras.Sequential(
            [
                keras.Input((None, x.shape[2])),
                layers.Dropout(self.dropout),
                layers.LSTM(self.units, return_sequences=True),
                layers.Dropout(0.2),
                layers.Dense(len(self.categories), activation="sigmoid", bias_initializer=start),
            ]
        )
        adam = keras.optimizers.Adam(self.learning_rate, clipnorm=1.0, use_ema=True)
        self.model.compile(adam, week_loss)
        adam.build(self.model.trainable_variables)  # else Keras traces the training step twice
        valid = self._examples(task, "valid") if watch else None
        swap = [keras.callbacks.SwapEMAWeights()] if watch else []
        options = {"batch_size": self.batch_size, "epochs": self.epochs, "callbacks": [*swap, *callbacks]}
        self.history = self.model.fit(x, target, validation_data=valid, verbose=0, **options).history
        return self

    def _examples(self, task: PurchaseTask, part: str) -> tuple[np.ndarray, np.ndarray]:
        n, _, k = task.bought.shape
        labels = [each.reshape(n, k, -1).swapaxes(1, 2) for each in task.labels(part)]
        return self.inputs(task, labels[0].shape[1] - 1), np.stack(labels, axis=-1)

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        task.check_same(self.categories)
        x = self.inputs(task, int(np.max(cutoffs)))
        return self.model.predict(x, batch_size=512, verbose=0)[:, cutoffs].swapaxes(0, 1)
