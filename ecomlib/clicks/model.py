"""The next-item LSTM for click files with tens of thousands of items, and its mix with session-kNN."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import keras
import numpy as np
import tensorflow as tf

from ecomlib.clicks.baselines import SessionKNN
from ecomlib.clicks.batches import LENGTHS, ClickBatches, grid
from ecomlib.clicks.task import ClickModel, until_test, without_last
from ecomlib.recommend.batches import chunks
from ecomlib.recommend.model import Callbacks, Epoch, Tensors, learn
from ecomlib.recommend.ranking import rank
from ecomlib.recommend.task import SequenceTask

RATES = (0.1, 0.05)  # Adagrad's, of the embedding and of the biases
BLOCK = 256  # clicks that are scored at once, each for tens of thousands of items
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


class ClickNetwork(keras.Model):
    """The network of `NextClick`: cosines of state and item; it knows what the session held before."""

    def __init__(self, settings: "NextClick", n_items: int):
        super().__init__()
        units, size, seed = settings.units, settings.size, settings.seed
        normal = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
        self.items = self.add_weight(shape=(n_items, size), initializer=normal, name="items")
        self.bias = self.add_weight(shape=(n_items,), initializer="zeros", name="bias")
        self.lstm = keras.layers.LSTM(units, return_sequences=True, seed=seed)
        self.lstm.build((None, None, size + 1))
        self.out = keras.layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))
        self.out.build((None, units))
        self.drop = keras.layers.Dropout(settings.dropout, seed=seed)
        self.scale = settings.scale
        self.again = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")
        self.again.build((None, units))
        self.small = [w for layer in (self.lstm, self.out, self.again) for w in layer.trainable_weights]
        self.squares = [tf.Variable(tf.fill((n_items, size), 1e-7)), tf.Variable(tf.fill((n_items,), 1e-6))]
        self.built = True
        self.compile(optimizer=keras.optimizers.Adam(4e-3), jit_compile=False)
        self.optimizer.build(self.small)

    def states(self, x: tf.Tensor, gap: tf.Tensor, real: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The state after each real click of a grid of sessions x steps; (n_real, units).

        Sessions are padded on the right, so that no real state has read any padding.
        """
        h = self.lstm(tf.concat([self.drop(x, training=training), gap], 2), training=training)
        return tf.gather(tf.reshape(h, [-1, h.shape[-1]]), real)

    def logits(self, h: tf.Tensor, items: tf.Tensor, bias: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Cosine of state and item vector times `scale`, plus the item's bias; (n_real, n_columns)."""
        z = self.scale * tf.math.l2_normalize(self.drop(self.out(h), training=training), 1)
        return tf.matmul(z, items, transpose_b=True) + bias

    def rows(self, columns: tf.Tensor) -> list[tf.Tensor]:
        """Vectors and biases of some items."""
        return [tf.gather(table.value, columns) for table in (self.items, self.bias)]

    def batch_loss(self, batch: Tensors, training: bool, rows: Sequence[tf.Tensor] = ()) -> tf.Tensor:
        """Cross-entropy of a batch of `ClickBatches`; `rows` are those of its columns."""
        vectors, bias = rows or self.rows(batch["columns"])
        items, pair, log_pi = tf.math.l2_normalize(vectors, 1), batch["pair"], batch["log_pi"]
        state = self.states(tf.gather(items, batch["x"]), batch["gap"], batch["real"], training)
        logits = self.logits(state, items, bias - log_pi, training)
        held = tf.gather(self.again(state)[:, 0], pair[:, 0]) * batch["times"]
        logits = tf.tensor_scatter_nd_add(logits, pair, held + tf.gather(log_pi, pair[:, 1]))
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(batch["right"], logits))

    def train_step(self, batch: Tensors) -> tf.Tensor:
        """One step; Adagrad moves the batch's items (rare ones take larger steps), Adam the rest."""
        columns, tables = batch["columns"], (self.items.value, self.bias.value)
        rows = self.rows(columns)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            loss = self.batch_loss(batch, True, rows)
        *gradients, d_small = tape.gradient(loss, [*rows, [w.value for w in self.small]])
        self.optimizer.apply(d_small, self.small)
        for table, squares, gradient, rate in zip(tables, self.squares, gradients, RATES, strict=True):
            total = tf.gather(squares, columns) + gradient**2
            squares.scatter_nd_update(columns[:, None], total)
            table.scatter_nd_sub(columns[:, None], rate * gradient / tf.sqrt(total))
        return loss


@dataclass
class NextClick(ClickModel):
    """An LSTM over the clicks of a session that predicts the next one.

    Sources: as `recommend.NextItems`; Gupta et al. (2019), NISER (cosines against the bias to popular items);
    Duchi, Hazan & Singer (2011), JMLR 12 (Adagrad).

    Parameters
    ----------
    units, size : int
        Width of the LSTM and of the embedding.
    dropout : float
        Share of each input vector, and of each output vector, that is dropped in training.
    scale : float
        Scores are cosines times this.
    n_sampled, power : int, float
        Negatives drawn for each batch, with chance count ** power; the items of its sessions besides.
    """

    units: int = 100
    size: int = 100
    dropout: float = 0.25
    scale: float = 16.0
    n_sampled: int = 1024
    power: float = 0.5
    epochs: int = 4
    seed: int = 0
    name: ClassVar[str] = "LSTM"

    def fit(
        self, task: SequenceTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Train a new network on a part; returns the model itself, `history_` holds the losses.

        `watch` adds the validation loss of each epoch.
        """
        keras.utils.set_random_seed(self.seed)
        self.items_ = task.items["item"]
        self.network_ = ClickNetwork(self, task.n_items)
        self.n_targets_ = int(np.clip(len(task.cutoffs(part)) // 50, 64, 1024))  # of a batch
        valid = self._epoch(task, "valid") if watch else None
        train = self._epoch(task, part)
        self.history_ = learn(self.network_, train, self.epochs, self.seed, callbacks, valid)
        return self

    def partial_fit(self, task: SequenceTask, part: str = "valid") -> Self:
        """Go on learning, for one epoch, from the sessions of another part; returns the model itself."""
        learn(self.network_, self._epoch(task, part), 1, self.seed)
        return self

    def _epoch(self, task: SequenceTask, part: str) -> Epoch:
        batches = ClickBatches(task, self.n_sampled, self.power)
        return partial(batches.epoch, task.targets(part), self.n_targets_)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        network, item = self.network_, task.baskets.indices
        length = np.minimum(rows - task.start[rows - 1], LENGTHS[-1])
        at, real = grid(rows - length, length, int(length.max()))
        last = np.arange(len(rows)) * at.shape[1] + length - 1
        items = tf.math.l2_normalize(network.items.value, 1)
        state = network.states(tf.gather(items, item[at]), task.gap[at], last.astype(np.int32))
        scores = network.logits(state, items, network.bias.value).numpy()
        row, step = np.nonzero(real)
        key, seen = np.unique(row * task.n_items + item[at[row, step]], return_counts=True)
        row, column = np.divmod(key, task.n_items)
        scores[row, column] += network.again(state).numpy()[row, 0] * np.log1p(20 * seen)
        return scores


@dataclass
class Mix(ClickModel):
    """`weight` of the network's and the rest of the neighbours' share of each item; see `fit`."""

    network: NextClick
    neighbours: SessionKNN
    weight: float = 0.5
    name: ClassVar[str] = "LSTM + session-kNN"

    def fit(
        self, task: SequenceTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> Self:
        """Fit both, choose the weight by recall@20 on validation; then both learn from validation, too."""
        self.items_ = task.items["item"]
        self.network.fit(task, part, callbacks, watch)
        self.neighbours.fit(task, part)
        rows, hits = task.targets("valid")[-2000:], np.zeros(len(WEIGHTS))
        for some in np.array_split(rows, len(rows) // 256 + 1):
            parts = [model.scores(task, some) for model in (self.network, self.neighbours)]
            right = np.arange(len(some)), task.baskets.indices[some]
            for i, weight in enumerate(WEIGHTS):
                scores = mixed(weight, *parts)
                hits[i] += np.count_nonzero((scores >= scores[right][:, None]).sum(axis=1) <= 20)
        self.weight = WEIGHTS[int(np.argmax(hits))]
        self.network.partial_fit(task, "valid")
        self.neighbours.fit(until_test(task), part)
        return self

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return mixed(self.weight, self.network.scores(task, rows), self.neighbours.scores(task, rows))

    def lists(self, task: SequenceTask, cutoffs: np.ndarray, k: int = 20) -> dict[str, np.ndarray]:
        """What `predict` of the neighbours, of the network and of both gives, scored once; by name."""
        found: dict[str, list[np.ndarray]] = {each.name: [] for each in (self.neighbours, self.network, self)}
        for some in chunks(np.asarray(cutoffs) + 1, BLOCK):
            votes, scores = (each.scores(task, some) for each in (self.neighbours, self.network))
            both = without_last(task, mixed(self.weight, scores, votes), some)
            for name, each in zip(found, (votes, scores, both), strict=True):
                found[name].append(rank(task, some, each, k, name))
        return {name: np.concatenate(parts) for name, parts in found.items()}


def mixed(weight: float, scores: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Mix the softmax of a network's scores and the shares of neighbours' votes; (n_rows, n_items)."""
    share = scores - scores.max(axis=1, keepdims=True)
    np.exp(share, out=share)
    share *= weight / share.sum(axis=1, keepdims=True)
    votes = np.maximum(votes, 0)
    votes *= (1 - weight) / np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)
    share += votes
    return share
