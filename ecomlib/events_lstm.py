"""The next-item LSTM for click files with tens of thousands of items.

It is the network of `recommend_lstm`, trained in steps that touch only the rows of the embedding that a
batch needs. Not imported by `ecomlib.events` until it trains, so reading files needs no TensorFlow.
"""

import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from ecomlib.recommend import SequenceTask
from ecomlib.recommend_lstm import NextItems

LENGTHS = np.array([1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20])  # sessions are padded to one of these
BLOCK = 30  # batches that are shuffled together; the blocks themselves follow in time


class NextClick(NextItems):
    """An LSTM over clicks; the output is tied to the embedding, and knows what the session held before.

    Parameters
    ----------
    task : SequenceTask
        Of clicks, as `ecomlib.events.prepare_sessions` gives it.
    units, size : int
        Width of the LSTM and of the embedding.
    dropout : float
        Share of each input vector, and of each output vector, that is dropped in training.
    scale : float
        Scores are cosines times this.
    n_sampled : int
        Negatives drawn for each batch, all its targets' sessions besides.
    power : float
        Negatives are drawn with chance count ** power.
    rate : float
        Adagrad's step for the items.

    Notes
    -----
    Hidasi & Karatzoglou (2018), Recurrent neural networks with top-k gains, CIKM: negatives shared in the
    batch, tied embedding. Gupta et al. (2019), NISER: cosines against the bias to popular items.
    Duchi, Hazan & Singer (2011), JMLR 12, Adagrad: rare items take larger steps.
    """

    def __init__(
        self,
        task: SequenceTask,
        units: int = 100,
        size: int = 100,
        dropout: float = 0.25,
        scale: float = 16.0,
        n_sampled: int = 1024,
        power: float = 0.5,
        rate: float = 0.1,
        seed: int = 0,
    ):
        drawing = {"n_sampled": n_sampled, "power": power, "seed": seed}
        super().__init__(task, "next", units, size, dropout, scale=scale, **drawing)
        self.again = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")
        self.again.build((None, units))
        self.item = task.bags.indices.astype(np.int32)
        self.small = [*self.lstm.trainable_weights, *self.out.trainable_weights]
        self.small += self.again.trainable_weights
        self.rate, self.adam = rate, None

    # -- the network

    def grid_states(self, x: tf.Tensor, pause: tf.Tensor, real: tf.Tensor, training: bool) -> tf.Tensor:
        """The state after each real click of a grid of sessions x steps; (n_real, units).

        Sessions are padded on the right, so that no real state has read any padding, and each session is a
        row of its own: the LSTM starts it with an empty memory.
        """
        x = tf.concat([self.drop(x, training=training), pause], 2)
        h = self.lstm(x, training=training)
        return tf.gather(tf.reshape(h, [-1, h.shape[-1]]), real)

    def grid_logits(self, state, vectors, bias, pair, times, sure=0.0, training=False) -> tf.Tensor:
        """Scores; (n_real, n_columns). `pair` says which columns a row's session holds, `times` how often.

        `sure` is added to the scores of the pairs, to undo the correction that is in their `bias`.
        """
        z = self.scale * tf.math.l2_normalize(self.drop(self.out(state), training=training), 1)
        held = tf.gather(self.again(state)[:, 0], pair[:, 0]) * times
        return tf.tensor_scatter_nd_add(tf.matmul(z, vectors, transpose_b=True) + bias, pair, held + sure)

    # -- batches

    def grid(self, first: np.ndarray, length: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the task on a grid of sessions x steps, and which cells are real."""
        step = np.arange(n_steps)
        real = step < length[:, None]
        return np.where(real, first[:, None] + step, first[:, None]), real

    def batch(self, first: np.ndarray, length: np.ndarray, n_steps: int, rng: np.random.Generator) -> dict:
        """Training batch: each of `length` clicks from `first` on is read, and the one after it predicted.

        The columns of its softmax are the items of its sessions and the drawn ones. A column that came by
        chance stands for 1 / pi items like it, so -log(pi) is added to its score (the logQ correction).
        A row's own session is there for certain: its items have pi = 1.
        """
        at, real = self.grid(first, length, n_steps)
        x, right = self.item[at], self.item[at + 1]
        # A session's items are read and predicted, but one event each: its first click, then each next one.
        held = np.concatenate([x[real], right[real]])
        columns, log_pi = self.candidates(held, rng, real.sum() + len(first))
        place = np.zeros(self.task.n_items, np.int32)
        place[columns] = np.arange(len(columns))
        pair, times = self.pairs(real, place[np.column_stack([x[:, 0], right])], len(columns))
        return {
            "columns": columns.astype(np.int32),
            "log_pi": log_pi,
            "x": place[x],
            "pause": self.context[at],
            "real": np.flatnonzero(real).astype(np.int32),
            "right": place[right[real]],
            "pair": pair,
            "times": times,
        }

    @staticmethod
    def pairs(real: np.ndarray, column: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Every (row, column) of a session's own items, once, and log(1 + 20 times seen up to the row)."""
        row = np.cumsum(real.ravel()).reshape(real.shape) - 1
        here = np.column_stack([np.ones(len(real), bool), real])  # one click more than is read
        session, now, other = np.nonzero(real[:, :, None] & here[:, None, :])
        key, where = np.unique(
            row[session, now].astype(np.int64) * n_columns + column[session, other], return_inverse=True
        )
        seen = np.bincount(where, other <= now, len(key))
        return np.column_stack(np.divmod(key, n_columns)).astype(np.int32), np.log1p(20 * seen).astype(
            np.float32
        )

    def epoch(self, rows: np.ndarray, n_targets: int, rng: np.random.Generator) -> Iterator[dict]:
        """Batches of sessions of like length, about `n_targets` targets each, old sessions first."""
        first, length = np.unique(self.task.start[rows], return_counts=True)
        read = np.minimum(length, LENGTHS[-1])
        first = first + length - read
        block = (np.cumsum(read) - 1) // (BLOCK * n_targets)
        for b in range(block[-1] + 1):
            at = rng.permutation(np.flatnonzero(block == b))
            padded = LENGTHS[np.searchsorted(LENGTHS, read[at])]
            groups = []
            for n_steps in np.unique(padded):
                some = at[padded == n_steps]
                n = max(round(len(some) * n_steps / n_targets), 1)
                groups += [(n_steps, g) for g in np.array_split(some, n)]
            for i in rng.permutation(len(groups)):
                n_steps, g = groups[i]
                yield self.batch(first[g], read[g], n_steps, rng)

    # -- training

    def train(
        self,
        rows: np.ndarray,
        epochs: int = 4,
        n_targets: int = 1024,
        seed: int = 0,
        minutes: float | None = None,
        say: Callable[[str], None] = print,
    ) -> list[float]:
        """Fit on target rows: Adagrad for the items, Adam for the rest. Can be called again to go on.

        Parameters
        ----------
        rows : array
            Target steps, as `task.targets("train")` gives them: whole sessions.
        minutes : float, optional
            No epoch is begun that would end after this.

        Returns
        -------
        list of float
            Mean loss of each epoch.
        """
        rng, losses, begun = np.random.default_rng(seed), [], time.monotonic()
        if self.adam is None:
            self.adam = keras.optimizers.Adam(4e-3)
            self.adam.build(self.small)
            self.squares = tf.Variable(tf.fill(self.items.shape, 1e-7), trainable=False)
            self.bias_squares = tf.Variable(tf.fill(self.bias.shape, 1e-6), trainable=False)
            self.step = tf.function(self._step, input_signature=[self.signature()])
        data = tf.data.Dataset.from_generator(
            lambda: self.epoch(rows, n_targets, rng), output_signature=self.signature()
        ).prefetch(4)
        for epoch in range(epochs):
            loss = [self.step(batch) for batch in data]
            losses.append(float(tf.reduce_mean(loss)))
            spent = time.monotonic() - begun
            say(f"  epoch {epoch + 1}: loss {losses[-1]:.3f}, {spent:.0f} s")
            if minutes and epoch + 1 < epochs and spent * (epoch + 2) / (epoch + 1) > 60 * minutes:
                say(f"  out of time; --epochs {epoch + 1} repeats exactly this")
                break
        return losses

    def _step(self, batch: dict) -> tf.Tensor:
        columns, pair, log_pi = batch["columns"], batch["pair"], batch["log_pi"]
        own, bias = tf.gather(self.items.value, columns), tf.gather(self.bias.value, columns)
        with tf.GradientTape() as tape:
            tape.watch([own, bias])
            vectors = tf.math.l2_normalize(own, 1)
            x = tf.gather(vectors, batch["x"])
            state = self.grid_states(x, batch["pause"], batch["real"], training=True)
            sure = tf.gather(log_pi, pair[:, 1])
            logits = self.grid_logits(
                state, vectors, bias - log_pi, pair, batch["times"], sure, training=True
            )
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["right"], logits)
            loss = tf.reduce_mean(loss)
        weights = [w.value for w in self.small]
        d_own, d_bias, *d_small = tape.gradient(loss, [own, bias, *weights])
        self.adam.apply(d_small, self.small)
        adagrad(self.items.value, self.squares, columns, d_own, self.rate)
        adagrad(self.bias.value, self.bias_squares, columns, d_bias, 0.05)
        return loss

    def signature(self) -> dict:
        """Shapes and kinds of a training batch."""
        whole, real = tf.int32, tf.float32
        spec = {
            "columns": ((None,), whole),
            "log_pi": ((None,), real),
            "x": ((None, None), whole),
            "pause": ((None, None, self.context.shape[1]), real),
            "real": ((None,), whole),
            "right": ((None,), whole),
            "pair": ((None, 2), whole),
            "times": ((None,), real),
        }
        return {name: tf.TensorSpec(shape, kind) for name, (shape, kind) in spec.items()}

    # -- use

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target row, by its session's last clicks; (n_rows, n_items)."""
        rows = np.asarray(rows)
        length = np.minimum(rows - self.task.start[rows], LENGTHS[-1])
        at, real = self.grid(rows - length, length, int(length.max()))
        vectors = self.vectors()
        last = np.arange(len(rows)) * at.shape[1] + length - 1
        x = tf.gather(vectors, self.item[at])
        state = self.grid_states(x, self.context[at], last.astype(np.int32), training=False)
        z = self.scale * tf.math.l2_normalize(self.out(state), 1)
        scores = tf.matmul(z, vectors, transpose_b=True).numpy() + self.bias.numpy()
        row, step = np.nonzero(real)
        key, seen = np.unique(row * self.task.n_items + self.item[at[row, step]], return_counts=True)
        row, column = np.divmod(key, self.task.n_items)
        scores[row, column] += self.again(state).numpy()[row, 0] * np.log1p(20 * seen)
        return scores


def adagrad(table: tf.Variable, squares: tf.Variable, rows: tf.Tensor, gradient: tf.Tensor, rate: float):
    """One Adagrad step on some rows of a table, each of which occurs once in `rows`."""
    total = tf.gather(squares, rows) + gradient**2
    squares.scatter_nd_update(rows[:, None], total)
    table.scatter_nd_sub(rows[:, None], rate * gradient / tf.sqrt(total))
