"""The network: one small LSTM shared by all categories, with a forecast after every week."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import layers, ops

from ecomlib.probability import EPSILON
from ecomlib.purchases.channels import CHANNELS
from ecomlib.purchases.task import PurchaseTask

Callbacks = Sequence[keras.callbacks.Callback]


def purchase_network(
    n_channels: int,
    n_products: int,
    units: int = 32,
    embedding: int = 6,
    head: int = 32,
    dropout: float = 0.1,
    n_weeks: int | None = None,
) -> keras.Model:
    """One small LSTM shared by all categories: a probability of purchase after every week.

    Parameters
    ----------
    n_channels, n_products : int
        Of `PurchaseTask.inputs`: channels per week, categories.
    units, embedding, head : int
        Sizes of the state, of a category's vector and of the layer before the answer.
    dropout : float
        Before and after that layer.
    n_weeks : int, optional
        Length of all sequences. Default: any length; a fixed one trains in half of the time.

    Returns
    -------
    keras.Model
        Inputs "weeks" (batch, n_weeks, n_channels) and "product" (batch,); output (batch, n_weeks), the
        probability that week t + 1 has a purchase, from weeks 0 to t.
    """
    weeks = keras.Input((n_weeks, n_channels), name="weeks")
    product = keras.Input((), dtype="int32", name="product")
    vector = layers.Embedding(n_products, embedding)(product)
    ones = ops.mean(ops.ones_like(weeks), axis=-1, keepdims=True)  # (batch, n_weeks, 1)
    vector = ops.matmul(ones, ops.expand_dims(vector, 1))  # the same vector beside every week
    both = layers.Concatenate()([weeks, vector])
    state = layers.LSTM(units, return_sequences=True, unroll=n_weeks is not None)(both)
    seen = layers.Dropout(dropout)(layers.Concatenate()([state, both]))
    hidden = layers.Dropout(dropout)(layers.Dense(head, activation="relu")(seen))
    start = keras.initializers.Constant(-2.0)  # sigmoid(-2) is near the base rate
    p = layers.Dense(1, activation="sigmoid", bias_initializer=start)(hidden)
    return keras.Model([weeks, product], layers.Reshape((-1,))(p))


@keras.saving.register_keras_serializable("ecomlib")
def week_loss(target: keras.KerasTensor, p: keras.KerasTensor) -> keras.KerasTensor:
    """Log-loss over the weeks that count; target (batch, n_weeks, 2) holds the answer and its weight."""
    y, weight = target[..., 0], target[..., 1]
    p = ops.clip(p, EPSILON, 1 - EPSILON)
    loss = -(y * ops.log(p) + (1 - y) * ops.log(1 - p)) * weight
    return ops.sum(loss) / ops.maximum(ops.sum(weight), 1.0)


class Batches(keras.utils.PyDataset):
    """Batches of rows, cut out of the arrays only when they are asked for: nothing is copied as a whole.

    `x` maps a network's inputs to arrays (n_rows, ...); a generator shuffles the rows before every epoch.
    """

    def __init__(
        self,
        x: dict[str, np.ndarray],
        target: np.ndarray | None = None,
        rows: np.ndarray | None = None,
        size: int = 1024,
        shuffle: np.random.Generator | None = None,
    ):
        super().__init__()
        self.x, self.target, self.size, self.shuffle = x, target, size, shuffle
        self.rows = np.arange(len(x["product"])) if rows is None else rows
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __getitem__(self, i: int) -> tuple:
        rows = self.rows[i * self.size : (i + 1) * self.size]
        x = {name: values[rows] for name, values in self.x.items()}
        return (x,) if self.target is None else (x, self.target[rows])

    def on_epoch_end(self) -> None:
        """Shuffle."""
        if self.shuffle is not None:
            self.shuffle.shuffle(self.rows)


@dataclass
class PurchaseLSTM:
    """`purchase_network`, trained on all weeks at once.

    The learning rate is constant; the weights that answer are an average over the last steps of training
    (`momentum` of it stays at every step). `without` names inputs that are left out, see
    `PurchaseTask.inputs`.
    """

    seed: int = 0
    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.99
    units: int = 32
    without: Sequence[str] = ()
    name: ClassVar[str] = "shared LSTM"

    def build(self, task: PurchaseTask) -> Self:
        """Make the network that answers, for any number of weeks; returns the model itself."""
        self.categories = task.categories
        self.model = purchase_network(len(CHANNELS), len(task.categories), self.units)
        return self

    def fit(
        self, task: PurchaseTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Train on a part's cutoffs; `watch` adds the validation loss of each epoch's averaged weights."""
        keras.utils.set_random_seed(self.seed)
        parts = (part, "valid") if watch else (part,)
        last = max(int(task.cutoffs(each).max()) for each in parts)  # one length for all sequences
        examples = self._examples(task, part, last, self.batch_size, np.random.default_rng(self.seed))
        net = purchase_network(len(CHANNELS), len(task.categories), self.units, n_weeks=last + 1)
        average = {"use_ema": True, "ema_momentum": self.momentum}
        net.compile(keras.optimizers.Adam(self.learning_rate, clipnorm=1.0, **average), week_loss)
        net.optimizer.build(net.trainable_variables)  # else Keras traces the training step twice
        valid, swap = None, []
        if watch:  # the average stands in for the weights while they are scored
            valid, swap = self._examples(task, "valid", last), [keras.callbacks.SwapEMAWeights()]
        options = {"epochs": self.epochs, "callbacks": [*swap, *callbacks], "shuffle": False, "verbose": 0}
        self.history = net.fit(examples, validation_data=valid, **options).history
        for read in (examples, valid or examples):  # TensorFlow never lets go of a data set that it has read
            read.x.clear()
        self.build(task).model.set_weights(net.get_weights())
        return self

    def _examples(self, task: PurchaseTask, part: str, last: int, *options: Any) -> Batches:
        y, weight = task.labels(part, last)
        rows = np.flatnonzero(weight.any(axis=1) | (part == "valid"))  # what is only watched may be empty
        return Batches(task.inputs(last, self.without), np.stack([y, weight], axis=-1), rows, *options)

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        return self.every_week(task, int(np.max(cutoffs)))[:, cutoffs].swapaxes(0, 1)

    def every_week(self, task: PurchaseTask, last: int) -> np.ndarray:
        """Probabilities after every week from 0 to `last`: (n, last + 1, k)."""
        task.check_same(self.categories)
        rows = Batches(task.inputs(last, self.without))
        p = self.model.predict(rows, verbose=0)
        rows.x.clear()
        return p.reshape(-1, len(self.categories), last + 1).swapaxes(1, 2)
