"""The LSTM recommender: steps as bags of item embeddings in, a score for every item out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ecomlib.recommend.batches import Batch, Batches, chunks, cut_windows, ranges
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask

Tensors = dict[str, tf.Tensor]
Data = tuple[tf.data.Dataset, int]
Callbacks = Sequence[keras.callbacks.Callback]


def endless(
    epoch: Callable[[np.random.Generator], Iterator[Batch]], seed: int, fixed: Mapping[str, int]
) -> tf.data.Dataset:
    """Batches of one epoch after the other; `fixed` names the axis that has one length in all batches."""

    def forever() -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        while True:
            yield from epoch(rng)

    signature = {}
    for name, array in next(epoch(np.random.default_rng(0))).items():
        shape = [n if axis == fixed.get(name) else None for axis, n in enumerate(array.shape)]
        signature[name] = tf.TensorSpec(shape, array.dtype)
    return tf.data.Dataset.from_generator(forever, output_signature=signature).prefetch(2)


class TiedNetwork(keras.Model):
    """An LSTM over steps whose output is tied to the embedding of the items; `clicks` builds on it, too.

    `n_context` numbers are read beside a step's vector, `n_beside` join the state at the output.
    """

    def __init__(
        self,
        n_items: int,
        units: int,
        size: int,
        dropout: float,
        seed: int,
        n_context: int,
        n_beside: int = 0,
    ):
        super().__init__()
        self.mean_loss = keras.metrics.Mean(name="loss")
        normal = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
        self.items = self.add_weight(shape=(n_items, size), initializer=normal, name="items")
        self.bias = self.add_weight(shape=(n_items,), initializer="zeros", name="bias")
        self.lstm = keras.layers.LSTM(units, return_sequences=True, seed=seed)
        self.lstm.build((None, None, size + n_context))
        self.out = keras.layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))
        self.out.build((None, units + n_beside))
        self.drop = keras.layers.Dropout(dropout, seed=seed)

    @property
    def metrics(self) -> list[keras.Metric]:
        """What Keras resets at the start of each epoch."""
        return [self.mean_loss]

    def batch_loss(self, batch: Tensors, training: bool) -> tf.Tensor:
        """Loss of one batch."""
        raise NotImplementedError

    def test_step(self, batch: Tensors) -> Tensors:
        """The loss without dropout, on validation batches."""
        self.mean_loss.update_state(self.batch_loss(batch, training=False))
        return {"loss": self.mean_loss.result()}

    def learn(
        self, train: Data, epochs: int, callbacks: Callbacks = (), valid: Data | None = None
    ) -> dict[str, list[float]]:
        """Train, and return the losses; data are batches without end, and how many make an epoch."""
        data, n_steps = train
        valid_data, n_valid = valid or (None, None)
        return self.fit(
            data,
            epochs=epochs,
            steps_per_epoch=n_steps,
            validation_data=valid_data,
            validation_steps=n_valid,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        ).history


class Network(TiedNetwork):
    """The network of `NextItems`; counts give the first biases, side columns the vectors that items share."""

    def __init__(self, settings: "NextItems", task: SequenceTask):
        size, items = settings.size, task.items
        n_beside = task.arrival.shape[1] + size * settings.profile
        n_context, n_past = task.context.shape[1], len(settings.half_lives) + bool(settings.trend_days)
        super().__init__(
            len(items), settings.units, size, settings.dropout, settings.seed, n_context, n_beside
        )
        self.profile, self.n_past = settings.profile, n_past
        self.side_ids, n_side = _side_ids(items)
        if n_side:
            self.side = self.add_weight(shape=(n_side, size), initializer="zeros", name="side")
        if n_past:
            self.past = keras.layers.Dense(n_past, kernel_initializer="zeros", bias_initializer="ones")
            self.past.build((None, settings.units + n_beside))
            self.past_item = self.add_weight(
                shape=(len(items), n_past), initializer="zeros", name="past_item"
            )
        count = items["count"].to_numpy(float)
        self.bias.assign(np.log(np.maximum(count / count.sum(), 1e-9)))
        self.built = True

    def vectors(self) -> tf.Tensor:
        """Item vectors: own embedding plus those of its category, brand, department; (n_items, size)."""
        own = tf.convert_to_tensor(self.items)
        if self.side_ids is None:
            return own
        return own + tf.reduce_sum(tf.gather(tf.convert_to_tensor(self.side), self.side_ids), axis=1)

    def states(self, batch: Tensors | Batch, vectors: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The customer's state before each target; (n_targets, width).

        Windows are padded on the right and only states of real steps are read, which no padding reaches.
        """
        n_windows, n_steps = batch["shape"][0], batch["shape"][1]
        n_cells, n_context = n_windows * n_steps, batch["context"].shape[1]
        n_held = tf.math.unsorted_segment_sum(tf.ones_like(batch["cell"], tf.float32), batch["cell"], n_cells)
        bag = tf.math.unsorted_segment_sum(tf.gather(vectors, batch["ids"]), batch["cell"], n_cells)
        bag = self.drop(bag / tf.sqrt(tf.maximum(n_held, 1.0))[:, None], training=training)
        context = tf.scatter_nd(batch["step"][:, None], batch["context"], [n_cells, n_context])
        x = tf.reshape(tf.concat([bag, context], 1), [n_windows, n_steps, vectors.shape[1] + n_context])
        h = self.lstm(x, training=training)
        parts = [tf.gather(tf.reshape(h, [-1, h.shape[-1]]), batch["target"]), batch["arrival"]]
        if self.profile:
            owned = tf.gather(vectors, batch["owned"]) * batch["owned_weight"][:, None]
            owned = tf.math.unsorted_segment_sum(owned, batch["owner"], tf.shape(batch["target"])[0])
            parts.append(self.drop(owned, training=training))
        return tf.concat(parts, 1)

    def logits(
        self, state: tf.Tensor, vectors: tf.Tensor, batch: Tensors | Batch, training: bool = False
    ) -> tf.Tensor:
        """Scores of a batch's columns; (n_targets, n_columns)."""
        z = self.drop(self.out(state), training=training)
        columns = batch.get("columns")
        logits = tf.matmul(z, _take(vectors, columns), transpose_b=True) + _take(self.bias, columns)
        if self.n_past:
            gate, item = self.past(state), _take(self.past_item, columns)
            for k in range(self.n_past):
                logits += batch["past"][k] * (gate[:, k : k + 1] + item[None, :, k])
        if "masked" in batch:
            logits -= 1e9 * tf.cast(batch["masked"], tf.float32)
        return logits

    def batch_loss(self, batch: Tensors, training: bool) -> tf.Tensor:
        """See `bag_loss`."""
        vectors = self.vectors()
        state = self.states(batch, vectors, training)
        return bag_loss(batch["right"], self.logits(state, vectors, batch, training), batch.get("log_pi"))

    def train_step(self, batch: Tensors) -> Tensors:
        """One step of gradient descent."""
        with tf.GradientTape() as tape:
            loss = self.batch_loss(batch, training=True)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


@dataclass
class NextItems(Recommender):
    """An LSTM over bags of item embeddings; it answers the question that the task of `fit` asks.

    For discovery the softmax runs over what the customer has not bought yet, else over all items. Source:
    Hidasi & Karatzoglou (2018), CIKM (cross-entropy, tied embedding, negatives shared in the batch).

    Parameters
    ----------
    units, size : int
        Width of the LSTM and of the embedding.
    dropout : float
        Share of each trip's vector, and of the state, that is dropped in training.
    half_lives : tuple of float
        Joined in at the output: the customer's own counts of every item, one column per half-life in
        days, with weights that depend on the state and on the item.
    trend_days : int
        Joined in in the same way: how each item sold in the last days (`history.trend`); 0 leaves it out.
    profile : bool
        Whether the state also holds the mean vector of all that was bought before.
    n_sampled : int
        Negatives drawn for each batch; 0 takes the softmax over the whole catalogue.
    batch_size : int
        Windows of a batch; a window has up to 30 targets.
    seed : int
        Of embedding, output, dropout and order. The LSTM's own first weights come from Keras' global seed.
    """

    units: int = 128
    size: int = 64
    dropout: float = 0.4
    half_lives: tuple[float, ...] = ()
    trend_days: int = 0
    profile: bool = False
    n_sampled: int = 0
    epochs: int = 4
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0
    name: ClassVar[str] = "LSTM"

    def build(self, task: SequenceTask) -> Self:
        """Make the network with its first, random weights; returns the model itself."""
        self.items_, self.question_ = task.items["item"], task.question
        self.network_ = Network(self, task)
        return self

    def fit(
        self, task: SequenceTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Train a new network on a part; returns the model itself, `history_` holds the losses.

        `watch` adds the validation loss of each epoch.
        """
        network = self.build(task).network_
        network.compile(optimizer=keras.optimizers.Adam(self.learning_rate))
        valid = self._data(task, "valid") if watch else None
        self.history_ = network.learn(self._data(task, part), self.epochs, callbacks, valid)
        return self

    def _batches(self, task: SequenceTask) -> Batches:
        return Batches(task, self.half_lives, self.trend_days, self.profile, self.n_sampled)

    def _data(self, task: SequenceTask, part: str) -> Data:
        cut = cut_windows(task, task.targets(part))
        epoch = partial(self._batches(task).epoch, cut, self.batch_size)
        fixed = {"shape": 0, "right": 1, "context": 1, "arrival": 1, "past": 0}
        return endless(epoch, self.seed, fixed), -(-len(cut.first) // self.batch_size)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        batches, vectors = self._batches(task.ask(self.question_)), self.network_.vectors()
        order, cut = np.argsort(rows, kind="stable"), cut_windows(task, rows)
        state = np.empty((len(rows), self.network_.out.kernel.shape[0]), np.float32)
        for group in chunks(np.argsort(cut.length, kind="stable"), 256):
            at = order[ranges(cut.edge[group], cut.edge[group + 1] - cut.edge[group])]
            state[at] = self.network_.states(batches.inputs(cut, group)[1], vectors).numpy()
        return self.network_.logits(tf.convert_to_tensor(state), vectors, batches.outputs(rows)).numpy()


def bag_loss(right: tf.Tensor, logits: tf.Tensor, log_pi: tf.Tensor | None = None) -> tf.Tensor:
    """Cross-entropy of a softmax whose target is a set, averaged over the rows that have a target.

    Each item of a set weighs the same. `right` (n_pairs, 2) holds row and column of every right item in
    `logits` (n_rows, n_columns); `log_pi` (n_columns,) corrects for drawn negatives, see `draw_columns`.
    """
    corrected = logits
    if log_pi is not None:
        corrected = tf.tensor_scatter_nd_add(logits - log_pi, right, tf.gather(log_pi, right[:, 1]))
    n_rows = tf.shape(logits)[0]
    n_right = tf.math.unsorted_segment_sum(tf.ones_like(right[:, 0], tf.float32), right[:, 0], n_rows)
    total = tf.math.unsorted_segment_sum(tf.gather_nd(logits, right), right[:, 0], n_rows)
    loss = tf.reduce_logsumexp(corrected, axis=1) - total / tf.maximum(n_right, 1.0)
    some = tf.cast(n_right > 0, tf.float32)
    return tf.reduce_sum(loss * some) / tf.maximum(tf.reduce_sum(some), 1.0)


def _take(table: tf.Tensor, columns: tf.Tensor | None) -> tf.Tensor:
    table = tf.convert_to_tensor(table)
    return table if columns is None else tf.gather(table, columns)


def _side_ids(items: pd.DataFrame) -> tuple[np.ndarray | None, int]:
    columns = [c for c in items.columns if c not in ("item", "count")]
    ids, n = [], 0
    for column in columns:
        code, names = items[column].factorize()
        ids.append(code + n)
        n += len(names)
    return (np.column_stack(ids).astype(np.int32) if ids else None), n
