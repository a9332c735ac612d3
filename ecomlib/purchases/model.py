"""The network: one small LSTM shared by all categories, with a forecast after every week."""

import math
from collections.abc import Iterable, Sequence
from typing import Self

import keras
import numpy as np
from keras import layers, ops

from ecomlib.probability import EPSILON
from ecomlib.purchases.task import PurchaseTask

Callbacks = Sequence[keras.callbacks.Callback]


def purchase_network(
    n_channels: int,
    n_products: int,
    n_who: int,
    units: int = 32,
    embedding: int = 6,
    head: int = 32,
    dropout: float = 0.1,
) -> keras.Model:
    """One small LSTM shared by all categories: a probability of purchase after every week.

    Parameters
    ----------
    n_channels, n_products, n_who : int
        Of `PurchaseTask.inputs`: channels per week, categories, facts per customer.
    units, embedding, head : int
        Sizes of the state, of a category's vector and of the layer before the answer.
    dropout : float
        Before and after that layer. Facts of a customer drop out half of the time: many columns and few
        customers that fill them would otherwise be learnt by heart.

    Returns
    -------
    keras.Model
        Inputs "weeks" (batch, n_weeks, n_channels), "product" (batch,), "who" (batch, n_who); output
        (batch, n_weeks), the probability that week t + 1 has a purchase, from weeks 0 to t.
    """
    weeks = keras.Input((None, n_channels), name="weeks")
    product = keras.Input((), dtype="int32", name="product")
    who = keras.Input((n_who,), name="who")
    facts = layers.Dense(3)(layers.Dropout(0.5)(who))
    vector = layers.Concatenate()([layers.Embedding(n_products, embedding)(product), facts])
    ones = ops.mean(ops.ones_like(weeks), axis=-1, keepdims=True)  # (batch, n_weeks, 1)
    vector = ops.matmul(ones, ops.expand_dims(vector, 1))  # the same vector beside every week
    both = layers.Concatenate()([weeks, vector])
    state = layers.LSTM(units, return_sequences=True)(both)
    seen = layers.Dropout(dropout)(layers.Concatenate()([state, both]))
    hidden = layers.Dropout(dropout)(layers.Dense(head, activation="relu")(seen))
    start = keras.initializers.Constant(-2.0)  # sigmoid(-2) is near the base rate
    p = layers.Dense(1, activation="sigmoid", bias_initializer=start)(hidden)
    return keras.Model([weeks, product, who], layers.Reshape((-1,))(p))


@keras.saving.register_keras_serializable("ecomlib")
def week_loss(target: keras.KerasTensor, p: keras.KerasTensor) -> keras.KerasTensor:
    """Log-loss over the weeks that count; target (batch, n_weeks, 2) holds the answer and its weight."""
    y, weight = target[..., 0], target[..., 1]
    p = ops.clip(p, EPSILON, 1 - EPSILON)
    loss = -(y * ops.log(p) + (1 - y) * ops.log(1 - p)) * weight
    return ops.sum(loss) / ops.maximum(ops.sum(weight), 1.0)


class PurchaseLSTM:
    """`purchase_network`, trained on all weeks at once.

    The learning rate is the peak of a cosine schedule with warm-up; `without` names inputs that are left out
    (see `PurchaseTask.inputs`).
    """

    name = "shared LSTM"

    def __init__(
        self,
        seed: int = 0,
        epochs: int = 6,
        batch_size: int = 512,
        learning_rate: float = 0.01,
        units: int = 32,
        without: Iterable[str] = (),
    ):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.units, self.without = learning_rate, units, tuple(without)

    def fit(
        self, task: PurchaseTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Train on a part's cutoffs; `watch` adds the validation loss of each epoch."""
        keras.utils.set_random_seed(self.seed)
        self.categories, self.n_who = task.categories, task.who.shape[1]
        x, target = self._examples(task, part)
        steps = self.epochs * math.ceil(len(target) / self.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(
            self.learning_rate / 5, steps, warmup_target=self.learning_rate, warmup_steps=steps // 20
        )
        self.model = purchase_network(x["weeks"].shape[2], len(self.categories), self.n_who, self.units)
        self.model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), week_loss)
        valid = self._examples(task, "valid") if watch else None
        options = {"batch_size": self.batch_size, "epochs": self.epochs, "callbacks": list(callbacks)}
        self.history = self.model.fit(x, target, validation_data=valid, verbose=0, **options).history
        return self

    def _examples(self, task: PurchaseTask, part: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        y, weight = task.labels(part)
        keep = weight.any(axis=1) | (part == "valid")  # what is only watched may be empty
        x = {name: values[keep] for name, values in task.inputs(y.shape[1] - 1, self.without).items()}
        return x, np.stack([y, weight], axis=-1)[keep]

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        return self.every_week(task, int(np.max(cutoffs)))[:, cutoffs].swapaxes(0, 1)

    def every_week(self, task: PurchaseTask, last: int) -> np.ndarray:
        """Probabilities after every week from 0 to `last`: (n, last + 1, k)."""
        task.check_same(self.categories, self.n_who)
        p = self.model.predict(task.inputs(last, self.without), batch_size=4096, verbose=0)
        return p.reshape(len(task.who), len(self.categories), last + 1).swapaxes(1, 2)
