"""The LSTM recommender: steps as bags of item embeddings in, a score for every item out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ecomlib.recommend.batches import Batch, Batches, chunks, cut_windows, ranges
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask

Tensors = dict[str, tf.Tensor]


class Network(keras.Model):
    """The network of `NextItems`; its output is tied to the embedding of the items.

    Parameters
    ----------
    settings : NextItems
    task : SequenceTask
        Its items give the first biases (their counts) and the vectors that items share (their side columns).
    """

    def __init__(self, settings: "NextItems", task: SequenceTask):
        super().__init__()
        units, size, seed, items = settings.units, settings.size, settings.seed, task.items
        self.profile = settings.profile
        self.n_past = n_past = len(settings.half_lives) + bool(settings.trend_days)
        width = units + task.arrival.shape[1] + size * self.profile
        self.mean_loss = keras.metrics.Mean(name="loss")
        normal = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
        self.items = self.add_weight(shape=(len(items), size), initializer=normal, name="items")
        self.bias = self.add_weight(shape=(len(items),), initializer="zeros", name="bias")
        self.lstm = keras.layers.LSTM(units, return_sequences=True, seed=seed)
        self.lstm.build((None, None, size + task.context.shape[1]))
        self.out = keras.layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))
        self.out.build((None, width))
        self.drop = keras.layers.Dropout(settings.dropout, seed=seed)
        self.side_ids, n_side = _side_ids(items)
        if n_side:
            self.side = self.add_weight(shape=(n_side, size), initializer="zeros", name="side")
        if n_past:
            self.past = keras.layers.Dense(n_past, kernel_initializer="zeros", bias_initializer="ones")
            self.past.build((None, width))
            self.past_item = self.add_weight(
                shape=(len(items), n_past), initializer="zeros", name="past_item"
            )
        count = items["count"].to_numpy(float)
        self.bias.assign(np.log(np.maximum(count / count.sum(), 1e-9)))
        self.built = True

    @property
    def metrics(self) -> list[keras.Metric]:
        """What Keras resets at the start of each epoch."""
        return [self.mean_loss]

    def vectors(self) -> tf.Tensor:
        """Item vectors: own embedding plus those of its category, brand, department; (n_items, size)."""
        own = tf.convert_to_tensor(self.items)
        if self.side_ids is None:
            return own
        return own + tf.reduce_sum(tf.gather(tf.convert_to_tensor(self.side), self.side_ids), axis=1)

    def states(self, batch: Tensors | Batch, vectors: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The customer's state before each target of a batch of `Batches.inputs`; (n_targets, width).

        Windows are filled from the left and padded on the right; only states of real steps are read
        ("target"), so the padding cannot reach them.
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
        """Scores of the columns of a batch of `Batches.outputs`; (n_targets, n_columns)."""
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
        """The loss of a batch of `Batches.epoch`."""
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

    def test_step(self, batch: Tensors) -> Tensors:
        """The loss without dropout, on validation batches."""
        self.mean_loss.update_state(self.batch_loss(batch, training=False))
        return {"loss": self.mean_loss.result()}


@dataclass
class NextItems(Recommender):
    """An LSTM over bags of item embeddings; it answers the question that the task of `fit` asks.

    For discovery the softmax runs over what the customer has not bought yet, else over all items.

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

    Notes
    -----
    Hidasi & Karatzoglou (2018), Recurrent neural networks with top-k gains, CIKM: cross-entropy, tied
    embedding, negatives shared in the batch. Bengio & Senecal (2008), IEEE Transactions on Neural
    Networks 19(4), section 3: the correction for drawn negatives.
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
        self,
        task: SequenceTask,
        part: str = "train",
        callbacks: Sequence[keras.callbacks.Callback] = (),
        watch: bool = False,
    ) -> Self:
        """Train a new network on a part; returns the model itself, `history_` holds the losses.

        `watch` adds the validation loss of each epoch.
        """
        network = self.build(task).network_
        network.compile(optimizer=keras.optimizers.Adam(self.learning_rate))
        data, steps = self._data(task, part)
        valid, valid_steps = self._data(task, "valid") if watch else (None, None)
        self.history_ = network.fit(
            data,
            epochs=self.epochs,
            steps_per_epoch=steps,
            validation_data=valid,
            validation_steps=valid_steps,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        ).history
        return self

    def _batches(self, task: SequenceTask) -> Batches:
        return Batches(task, self.half_lives, self.trend_days, self.profile, self.n_sampled)

    def _data(self, task: SequenceTask, part: str) -> tuple[tf.data.Dataset, int]:
        batches, cut = self._batches(task), cut_windows(task, task.targets(part))
        rng = np.random.default_rng(self.seed)

        def forever() -> Iterator[Batch]:
            while True:
                yield from batches.epoch(cut, self.batch_size, rng)

        # The axis that has one length in all batches.
        fixed = {"shape": 0, "right": 1, "context": 1, "arrival": 1, "past": 0}
        signature = {}
        for name, array in next(batches.epoch(cut, 1, np.random.default_rng(0))).items():
            shape = [n if axis == fixed.get(name) else None for axis, n in enumerate(array.shape)]
            signature[name] = tf.TensorSpec(shape, array.dtype)
        data = tf.data.Dataset.from_generator(forever, output_signature=signature).prefetch(2)
        return data, -(-len(cut.first) // self.batch_size)

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

    Each item of a set weighs the same. A negative that was drawn with chance pi stands for 1 / pi items
    like it, so -log(pi) is added to its score (the logQ correction); with pi = 1 it is the full softmax.

    Parameters
    ----------
    right : int tensor (n_pairs, 2)
        Row and column of every right item.
    logits : tensor (n_rows, n_columns)
    log_pi : tensor (n_columns,), optional
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
