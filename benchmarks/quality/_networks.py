"""Seven networks that answer after every step, of about one size, and one way to train them (lesson 51)."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

CELLS = ("SimpleRNN", "GRU", "LSTM")
# Numbers in the state of a step: about 7,400 weights each with 13 inputs and 5 classes. The linear filter has
# no state; it reads so many steps. As many weights would be 113 steps, and the shop has 51.
SIZES = {"SimpleRNN": 77, "GRU": 42, "LSTM": 36, "two LSTMs": 22}
SIZES |= {"convolution": 24, "attention": 20, "linear filter": 26}
DILATIONS = (1, 3, 9, 27, 81)  # with three taps each, 9 steps, 27, 81 and 243 lie in reach
MOMENTUM = 0.98  # share of the averaged weights that stays at every update, as in lesson 16


class CausalAttention(layers.Layer):
    """Two heads in which every step looks back at all steps up to itself, those far back a little less.

    How much less is a fixed slope for each head instead of a table of positions. So later weeks than those of
    training can be read. Sources: Vaswani et al. (2017); Press, Smith and Lewis (2022) for the slopes.
    """

    slopes = np.array([1 / 16, 1 / 256], np.float32)[:, None, None]

    def build(self, shape: tuple) -> None:
        """Queries, keys and values in one layer; the output in another."""
        self.inside, self.outside = layers.Dense(3 * shape[-1]), layers.Dense(shape[-1])
        self.inside.build(shape)
        self.outside.build(shape)

    def call(self, x: Any) -> Any:
        """(batch, steps, size) to the same shape."""
        steps, size = ops.shape(x)[1], x.shape[-1]
        heads = ops.reshape(self.inside(x), (-1, steps, 3, 2, size // 2))
        query, key, value = ops.unstack(ops.transpose(heads, (2, 0, 3, 1, 4)))
        back = ops.cast(ops.arange(steps)[:, None] - ops.arange(steps)[None], "float32")
        distance = ops.where(back >= 0, self.slopes * back, 1e9)  # what comes later is out of reach
        score = query @ ops.transpose(key, (0, 1, 3, 2)) / np.sqrt(size / 2) - distance
        seen = ops.softmax(score) @ value
        return self.outside(ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (-1, steps, size)))


def states(kind: str, size: int, x: Any, reach: int = 52) -> Any:
    """The state after every step, (batch, steps, size), from all steps up to it.

    `reach` is how far back a convolution has to see.
    """
    if kind in CELLS:
        return getattr(layers, kind)(size, return_sequences=True)(x)
    if kind == "two LSTMs":
        return layers.LSTM(size, return_sequences=True)(layers.LSTM(size, return_sequences=True)(x))
    x = layers.Dense(size)(x)
    if kind == "convolution":
        for k, dilation in enumerate(DILATIONS):
            if k == 0 or 3**k < reach:
                conv = layers.Conv1D(size, 3, padding="causal", dilation_rate=dilation, activation="relu")
                x = x + conv(x)
        return x
    for _ in range(2):
        x = x + CausalAttention()(layers.LayerNormalization()(x))
        inner = layers.Dense(2 * size, activation="relu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(size)(inner)
    return layers.LayerNormalization()(x)


def network(
    kind: str, channels: int, size: int, classes: int, last: bool = False, reach: int = 52
) -> keras.Model:
    """Compiled network: probabilities after every step, (batch, steps, classes); `last`: after the last only.

    The linear filter goes straight to the classes: `size` is the number of steps that it reads.
    """
    inputs = keras.Input((None, channels))
    if kind == "linear filter":
        p = layers.Conv1D(classes, size, padding="causal", activation="softmax")(inputs)
    else:
        p = layers.Dense(classes, activation="softmax")(states(kind, size, inputs, reach))
    model = keras.Model(inputs, p[:, -1] if last else p)
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(global_clipnorm=1.0), loss)
    model.optimizer.build(model.trainable_variables)
    return model


def first_weights(model: keras.Model, seed: int) -> list[np.ndarray]:
    """Weights for a new start of a network that exists already: drawn by its layers' own rules."""
    keras.utils.set_random_seed(seed)
    return keras.models.clone_model(model).get_weights()


def restart(model: keras.Model, weights: list[np.ndarray], rate: float) -> None:
    """Give a network its first weights and its optimiser an empty memory and a rate."""
    model.set_weights(weights)
    for variable in model.optimizer.variables:
        variable.assign(ops.zeros_like(variable))
    model.optimizer.learning_rate = rate


def learn(
    model: keras.Model,
    first: list[np.ndarray],
    data: Iterable[np.ndarray],
    rate: float,
    batch: int,
    seed: int,
) -> Iterator[list[np.ndarray]]:
    """Train from the first weights on, without end; the averaged weights after every epoch.

    Whoever reads them may set other weights before the next epoch: training goes on from its own.
    """
    restart(model, first, rate)
    data, rng = list(data), np.random.default_rng(seed)
    average = [w.copy() for w in first]
    while True:
        order = rng.permutation(len(data[0]))
        for i in range(0, len(order), batch):
            model.train_on_batch(*(part[order[i : i + batch]] for part in data))
            for mean, weight in zip(average, model.get_weights(), strict=True):
                mean += (1 - MOMENTUM) * (weight - mean)
        own = model.get_weights()
        yield [w.copy() for w in average]
        model.set_weights(own)
