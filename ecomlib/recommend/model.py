"""The LSTM recommender: steps as baskets of item embeddings in, a score for every item out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import keras
import numpy as np
import tensorflow as tf

from ecomlib.recommend.baselines import PureSVD
from ecomlib.recommend.batches import Batch, Batches, chunks, cut_windows, ranges
from ecomlib.recommend.habits import Purchases
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask

Tensors = dict[str, tf.Tensor]
Epoch = Callable[[np.random.Generator], Iterator[Batch]]
Callbacks = Sequence[keras.callbacks.Callback]


def learn(
    network: keras.Model,
    train: Epoch,
    epochs: int,
    seed: int,
    callbacks: Callbacks = (),
    valid: Epoch | None = None,
) -> dict[str, list[float]]:
    """Train, and return the losses of each epoch; `train(rng)` and `valid(rng)` give its batches.

    A loop of its own, over the network's `train_step(batch)` and `batch_loss(batch, training)`: Keras' `fit`
    spends more time on handing over batches of changing shapes than the network spends on learning from them.
    """
    rng = np.random.default_rng(seed)
    losses: dict[str, list[float]] = {name: [] for name in ("loss", "val_loss")[: 1 + bool(valid)]}
    graph = partial(tf.function, reduce_retracing=True, autograph=False)  # no branch depends on a tensor
    step = graph(network.train_step)
    test = graph(partial(network.batch_loss, training=False))
    calls = keras.callbacks.CallbackList(callbacks, model=network, epochs=epochs)
    network.stop_training = False
    calls.on_train_begin()
    for epoch in range(epochs):
        calls.on_epoch_begin(epoch)
        losses["loss"].append(float(np.mean([step(tensors(batch)) for batch in train(rng)])))
        if valid:
            calls.on_test_begin()
            found = [test(tensors(batch)) for batch in valid(np.random.default_rng(0))]
            losses["val_loss"].append(float(np.mean(found)))
            calls.on_test_end()
        calls.on_epoch_end(epoch, {name: values[-1] for name, values in losses.items()})
        if network.stop_training:
            break
    network.optimizer.finalize_variable_values(network.trainable_variables)
    calls.on_train_end()
    return losses


def tensors(batch: Batch) -> Tensors:
    """Arrays as TensorFlow's."""
    return {name: tf.convert_to_tensor(array) for name, array in batch.items()}


class Network(keras.Model):
    """The network of `NextItems`: an LSTM over steps whose output is tied to the embedding of the items."""

    def __init__(self, settings: "NextItems", task: SequenceTask):
        super().__init__()
        units, size, seed = settings.units, settings.size, settings.seed
        width = units + task.known_ahead.shape[1] + size * settings.profile
        self.recurrent, self.profile, self.power = units > 0, settings.profile, settings.weight_power
        normal = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
        self.items = self.add_weight(shape=(task.n_items, size), initializer=normal, name="items")
        self.bias = self.add_weight(shape=(task.n_items,), initializer="zeros", name="bias")
        if units:
            self.lstm = keras.layers.LSTM(units, return_sequences=True, seed=seed)
            self.lstm.build((None, None, size + task.context.shape[1]))
        self.out = keras.layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))
        self.out.build((None, width))
        self.drop = keras.layers.Dropout(settings.dropout, seed=seed)
        count = task.items["count"].to_numpy(float)
        self.bias.assign(np.log(np.maximum(count / count.sum(), 1e-9)))
        if settings.factors:
            self.items.assign(first_vectors(task, size, seed))
        self.habits = Gate(width, Purchases.CHANNELS, task.n_items, 0.5) if settings.own else None
        n_trends = len(settings.trend_days)
        start = 0.5 if settings.own else 1.5 / max(n_trends, 1)
        self.trends = Gate(width, n_trends, task.n_items, start) if n_trends else None
        self.built = True

    def states(self, batch: Tensors | Batch, training: bool = False) -> tf.Tensor:
        """The customer's state before each target; (n_targets, width).

        Windows are padded on the right and only states of real steps are read, which no padding reaches.
        """
        vectors, parts = tf.convert_to_tensor(self.items), [batch["known_ahead"]]
        if self.recurrent:
            n_windows, n_steps = batch["shape"][0], batch["shape"][1]
            n_cells, cell = n_windows * n_steps, batch["cell"]
            n_held = tf.math.unsorted_segment_sum(tf.ones_like(cell, tf.float32), cell, n_cells)
            basket = tf.math.unsorted_segment_sum(tf.gather(vectors, batch["ids"]), cell, n_cells)
            basket = self.drop(basket / tf.sqrt(tf.maximum(n_held, 1.0))[:, None], training=training)
            basket = tf.reshape(basket, [n_windows, n_steps, vectors.shape[1]])
            h = self.lstm(tf.concat([basket, batch["context"]], 2), training=training)
            parts.insert(0, tf.gather(tf.reshape(h, [-1, h.shape[-1]]), batch["target"]))
        if self.profile:
            shape = [tf.shape(batch["target"])[0], vectors.shape[0]]
            owned = tf.scatter_nd(batch["owned"], batch["owned_weight"], shape)
            parts.append(self.drop(tf.matmul(owned, vectors), training=training))
        return tf.concat(parts, 1)

    def logits(self, state: tf.Tensor, batch: Tensors | Batch, training: bool = False) -> tf.Tensor:
        """Scores of a batch's columns; (n_targets, n_columns)."""
        z, columns = self.drop(self.out(state), training=training), batch.get("columns")
        logits = tf.matmul(z, _take(self.items, columns), transpose_b=True) + _take(self.bias, columns)
        if self.trends:
            gate, item = self.trends(state), _take(self.trends.item, columns)
            trend = batch["trend"]  # (n_days, n_spans, n_columns)
            logits += tf.einsum("nk,nkc->nc", gate, tf.gather(trend, batch["day"]))
            logits += tf.gather(tf.einsum("dkc,ck->dc", trend, item), batch["day"])
        if self.habits:
            at, column = batch["pair"][:, 0], batch["pair"][:, 1]
            gate = tf.gather(self.habits(state), at) + tf.gather(_take(self.habits.item, columns), column)
            logits = tf.tensor_scatter_nd_add(
                logits, batch["pair"], tf.reduce_sum(gate * batch["habits"], axis=1)
            )
        elif "pair" in batch:  # discovery: what was bought before is no answer
            logits = tf.tensor_scatter_nd_add(
                logits, batch["pair"], tf.fill(tf.shape(batch["pair"])[:1], -1e9)
            )
        return logits

    def batch_loss(self, batch: Tensors, training: bool) -> tf.Tensor:
        """See `set_loss`."""
        logits = self.logits(self.states(batch, training), batch, training)
        return set_loss(batch["right"], logits, batch.get("log_pi"), self.power)

    def train_step(self, batch: Tensors) -> tf.Tensor:
        """One step of gradient descent; the loss before it."""
        with tf.GradientTape() as tape:
            loss = self.batch_loss(batch, training=True)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return loss


class Gate(keras.layers.Layer):
    """How much each of k channels counts: from the state (all items), and from the item (`item`, (n, k))."""

    def __init__(self, width: int, k: int, n_items: int, start: float):
        super().__init__()
        bias = keras.initializers.Constant(start)
        self.dense = keras.layers.Dense(k, kernel_initializer="zeros", bias_initializer=bias)
        self.dense.build((None, width))
        self.item = self.add_weight(shape=(n_items, k), initializer="zeros", name="item")
        self.built = True

    def call(self, state: tf.Tensor) -> tf.Tensor:
        """Weights (n_targets, k)."""
        return self.dense(state)


def first_vectors(task: SequenceTask, size: int, seed: int) -> np.ndarray:
    """Item vectors to start from, (n_items, size): half of the columns are matrix factors, the rest is noise.

    An axis of the factors is as long as it is important. A start from noise alone costs three hundredths of
    NDCG@10 at discovery (`benchmarks/results/recommend.csv`): many items are seen too rarely to find their
    place in a few epochs.
    """
    vectors = np.random.default_rng(seed).normal(0, 0.02, (task.n_items, size))
    points = PureSVD(size // 2).fit(task).axes_
    vectors[:, : points.shape[1]] = 0.15 * points / points.std()
    return vectors.astype(np.float32)


@dataclass
class NextItems(Recommender):
    """An LSTM over baskets of item embeddings; it answers the question that the task of `fit` asks.

    For discovery the softmax runs over what the customer has not bought yet, else over all items. Source:
    Hidasi & Karatzoglou (2018), CIKM (cross-entropy, tied embedding, negatives shared in the batch).

    Parameters
    ----------
    units, size : int
        Width of the LSTM (0: no recurrence) and of the embedding.
    dropout : float
        Share of each trip's vector, and of the state, that is dropped in training.
    own : bool
        Whether the customer's own habits (`Purchases.habits`) are joined in at the output, with weights that
        depend on the state and on the item.
    trend_days : tuple of int
        Joined in in the same way: how each item sold in the last days (`history.trend`), a channel each.
    profile : bool
        Whether the state also holds the mean vector of all that was bought before.
    n_sampled : int
        Negatives drawn for each batch; 0 takes the softmax over the whole catalogue.
    factors : bool
        Whether the item vectors start from matrix factors (`first_vectors`), or at random.
    weight_power : float
        A trip counts (number of right items) ** weight_power in the loss.
    batch_size : int
        Windows of a batch; a window has up to 30 targets.
    learning_rate : float
        Constant; the weights at the end are an exponential mean over the last hundred steps.
    seed : int
        Of all first weights, dropout and order.
    """

    units: int = 128
    size: int = 64
    dropout: float = 0.3
    own: bool = False
    trend_days: tuple[int, ...] = ()
    profile: bool = False
    n_sampled: int = 0
    factors: bool = True
    weight_power: float = 0.25
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0
    name: ClassVar[str] = "LSTM"

    def build(self, task: SequenceTask) -> Self:
        """Make the network with its first weights; returns the model itself."""
        self.items_, self.question_ = task.items["item"], task.question
        keras.utils.set_random_seed(self.seed)
        self.network_ = Network(self, task)
        return self

    def fit(
        self, task: SequenceTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Train a new network on a part; returns the model itself, `history_` holds the losses.

        `watch` adds the validation loss of each epoch.
        """
        network = self.build(task).network_
        adam = keras.optimizers.Adam(self.learning_rate, global_clipnorm=5.0, use_ema=True, ema_momentum=0.99)
        network.compile(optimizer=adam)
        adam.build(network.trainable_variables)  # else the first step is traced twice
        if watch:  # what is watched are the averaged weights
            callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), *callbacks]
        valid = self._epoch(task, "valid") if watch else None
        train = self._epoch(task, part)
        self.history_ = learn(network, train, self.epochs, self.seed, callbacks, valid)
        return self

    def _epoch(self, task: SequenceTask, part: str) -> Epoch:
        cut = cut_windows(task, task.targets(part))
        return partial(Batches(task, self, self.n_sampled).epoch, cut, self.batch_size)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        batches = Batches(task, self)
        order = np.argsort(rows, kind="stable")
        cut = cut_windows(task, rows)
        scores = np.empty((len(rows), task.n_items), np.float32)
        for group in chunks(np.arange(len(cut.first)), 256):
            at, batch = batches.inputs(cut, group)
            logits = self.network_.logits(self.network_.states(batch), batch | batches.outputs(at))
            scores[order[ranges(cut.edge[group], cut.edge[group + 1] - cut.edge[group])]] = logits.numpy()
        return scores


def set_loss(
    right: tf.Tensor, logits: tf.Tensor, log_pi: tf.Tensor | None = None, power: float = 0.0
) -> tf.Tensor:
    """Cross-entropy of a softmax whose target is a set: a mean over the rows that have a target.

    Each item of a set weighs the same, a row (size of its set) ** power. `right` (n_right, 2) holds row and
    column of every right item in `logits` (n_rows, n_columns); `log_pi` (n_columns,) corrects for drawn
    negatives, see `draw_columns`.
    """
    corrected = logits
    if log_pi is not None:
        corrected = tf.tensor_scatter_nd_add(logits - log_pi, right, tf.gather(log_pi, right[:, 1]))
    n_rows = tf.shape(logits)[0]
    n_right = tf.math.unsorted_segment_sum(tf.ones_like(right[:, 0], tf.float32), right[:, 0], n_rows)
    total = tf.math.unsorted_segment_sum(tf.gather_nd(logits, right), right[:, 0], n_rows)
    loss = tf.reduce_logsumexp(corrected, axis=1) - total / tf.maximum(n_right, 1.0)
    weight = tf.where(n_right > 0, n_right**power, 0.0)
    return tf.reduce_sum(loss * weight) / tf.maximum(tf.reduce_sum(weight), 1e-9)


def _take(table: tf.Tensor, columns: tf.Tensor | None) -> tf.Tensor:
    table = tf.convert_to_tensor(table)
    return table if columns is None else tf.gather(table, columns)
