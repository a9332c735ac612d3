"""The LSTM recommender: steps as bags of item embeddings in, a score for every item out.

Not imported by `ecomlib.recommend`, which needs no TensorFlow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ecomlib.recommend import SequenceTask, history, trend
from ecomlib.shop import BadValue

SPAN = 30  # targets of one window; its LSTM reads them and up to SPAN steps before: 60 in all


@dataclass(frozen=True)
class Windows:
    """Windows of steps: each has some target rows, and starts up to `burn` steps before the first.

    Attributes
    ----------
    first, length : array (n_windows,)
        The input steps first, ..., first + length - 1; their last one precedes the last target.
    rows : array (n_targets,)
        Target rows, grouped by window.
    edge : array (n_windows + 1,)
        Window w predicts rows[edge[w] : edge[w + 1]].
    """

    first: np.ndarray
    length: np.ndarray
    rows: np.ndarray
    edge: np.ndarray


def windows(task: SequenceTask, rows: np.ndarray, span: int = SPAN, burn: int = SPAN) -> Windows:
    """Cut the sequences into windows: each target has its last `burn` steps or more in its window."""
    rows = np.sort(rows)
    start = task.start[rows]
    chunk = (rows - start - 1) // span
    new = np.flatnonzero(np.r_[True, (start[1:] != start[:-1]) | (chunk[1:] != chunk[:-1])])
    edge = np.r_[new, len(rows)]
    first = start[new] + np.maximum(chunk[new] * span - burn, 0)
    return Windows(first, rows[edge[1:] - 1] - first, rows, edge)


class NextItems(keras.Model):
    """An LSTM over bags of item embeddings; the output is tied to the embedding.

    Parameters
    ----------
    task : SequenceTask
    question : "discovery", "whole" or "next"
        "discovery": softmax over what the customer has not bought yet. "whole": over all items.
        "next": as "whole", but for clicks, where the moment of the next one is not known beforehand.
    units, size : int
        Width of the LSTM and of the embedding.
    dropout : float
        Share of each trip's vector, and of the state, that is dropped in training.
    half_lives : tuple of float
        Personal history joined in at the output: the recency-weighted counts of every item, one column
        a half-life in days, with weights that depend on the state and on the item.
    trend_days : int
        Joined in at the output in the same way: how each item sold in the last days against its usual
        share (`recommend.trend`); 0 leaves it out.
    profile : bool
        Whether the state also holds the mean vector of all that was bought before.
    scale : float, optional
        Compare directions (cosine times `scale`) instead of dot products.
    n_sampled : int
        Negatives drawn for each batch; 0 takes the softmax over the whole catalogue.
    power : float
        Negatives are drawn with chance count ** power.
    seed : int

    Notes
    -----
    Hidasi & Karatzoglou (2018), Recurrent neural networks with top-k gains, CIKM: cross-entropy, tied
    embedding, negatives shared in the batch. Bengio & Senecal (2008), IEEE Transactions on Neural
    Networks 19(4), section 3: the correction for drawn negatives.
    """

    def __init__(
        self,
        task: SequenceTask,
        question: str = "whole",
        units: int = 128,
        size: int = 64,
        dropout: float = 0.4,
        half_lives: tuple[float, ...] = (),
        trend_days: int = 0,
        profile: bool = False,
        scale: float | None = None,
        n_sampled: int = 0,
        power: float = 0.75,
        seed: int = 0,
    ):
        super().__init__()
        if question not in ("whole", "discovery", "next"):
            raise BadValue(f"question {question!r} is unknown; ask 'whole', 'discovery' or 'next'.")
        self.question, self.half_lives, self.trend_days = question, tuple(half_lives), trend_days
        self.follow(task)
        self.scale, self.n_sampled, self.profile = scale, n_sampled, profile
        count = task.items["count"].to_numpy(float)
        self.share = count / count.sum()
        self.draw = count**power / (count**power).sum()
        self.sides, n_side = _side_ids(task)
        self.mean_loss = keras.metrics.Mean(name="loss")

        normal = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
        width = units + self.arrival.shape[1] + size * profile
        self.n_past = n_past = len(self.half_lives) + bool(trend_days)
        self.items = self.add_weight(shape=(task.n_items, size), initializer=normal, name="items")
        self.bias = self.add_weight(shape=(task.n_items,), initializer="zeros", name="bias")
        self.lstm = keras.layers.LSTM(units, return_sequences=True, seed=seed)
        self.lstm.build((None, None, size + self.context.shape[1]))
        self.out = keras.layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))
        self.out.build((None, width))
        self.drop = keras.layers.Dropout(dropout, seed=seed)
        if n_side:
            self.side = self.add_weight(shape=(n_side, size), initializer="zeros", name="side")
        if n_past:
            self.past = keras.layers.Dense(n_past, kernel_initializer="zeros", bias_initializer="ones")
            self.past.build((None, width))
            self.past_item = self.add_weight(
                shape=(task.n_items, n_past), initializer="zeros", name="past_item"
            )
        self.bias.assign(np.log(np.maximum(self.share, 1e-9)) * (scale is None))
        self.built = True

    @property
    def metrics(self):
        """What Keras resets at the start of each epoch."""
        return [self.mean_loss]

    # -- the network

    def vectors(self) -> tf.Tensor:
        """Item vectors: own embedding plus those of its category, brand, department; (n_items, size)."""
        own = tf.convert_to_tensor(self.items)
        if self.sides is not None:
            own += tf.reduce_sum(tf.gather(tf.convert_to_tensor(self.side), self.sides), axis=1)
        return tf.math.l2_normalize(own, 1) if self.scale else own

    def states(self, batch: dict, vectors: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The customer's state before each target; (n_targets, width).

        The batch lies on a grid of windows x steps, `cell` = window * n_steps + step. Windows are filled
        from the left and padded on the right; only states of real steps are read (`target`), so the
        padding cannot reach them.
        """
        n_windows, n_steps = batch["shape"][0], batch["shape"][1]
        n_cells, n_context = n_windows * n_steps, self.context.shape[1]
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

    def logits(self, state: tf.Tensor, vectors: tf.Tensor, batch: dict, training: bool = False) -> tf.Tensor:
        """Scores of the candidate columns; (n_targets, n_candidates)."""
        z = self.drop(self.out(state), training=training)
        if self.scale:
            z = self.scale * tf.math.l2_normalize(z, 1)
        columns = batch.get("columns")
        logits = tf.matmul(z, _take(vectors, columns), transpose_b=True) + _take(self.bias, columns)
        if self.n_past:
            gate, item = self.past(state), _take(self.past_item, columns)
            for k in range(self.n_past):
                logits += batch["past"][k] * (gate[:, k : k + 1] + item[None, :, k])
        if "masked" in batch:
            logits -= 1e9 * tf.cast(batch["masked"], tf.float32)
        return logits

    def train_step(self, batch):
        """One step of gradient descent on a batch of `batches`."""
        with tf.GradientTape() as tape:
            vectors = self.vectors()
            state = self.states(batch, vectors, training=True)
            logits = self.logits(state, vectors, batch, training=True)
            loss = bag_loss(batch["right"], logits, batch.get("log_pi"))
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}

    # -- batches

    def batches(self, cut: Windows, size: int, rng: np.random.Generator) -> Iterator[dict]:
        """One epoch of training batches: windows of similar length together, in random order."""
        order = rng.permutation(len(cut.first))
        order = np.concatenate(
            [o[np.argsort(cut.length[o], kind="stable")] for o in _chunks(order, 10 * size)]
        )
        groups = list(_chunks(order, size))
        for i in rng.permutation(len(groups)):
            rows, batch = self.inputs(cut, groups[i])
            yield batch | self.outputs(rows, rng)

    def inputs(self, cut: Windows, group: np.ndarray) -> tuple[np.ndarray, dict]:
        """Target rows of some windows, and what the network reads before them."""
        first, length = cut.first[group], cut.length[group]
        n_steps = int(length.max())
        steps = _ranges(first, length)
        cell = _ranges(np.arange(len(group)) * n_steps, length)
        n_targets = cut.edge[group + 1] - cut.edge[group]
        rows = cut.rows[_ranges(cut.edge[group], n_targets)]
        bags = self.task.bags[steps]
        batch = {
            "shape": np.array([len(group), n_steps], np.int32),
            "ids": bags.indices.astype(np.int32),
            "cell": np.repeat(cell, np.diff(bags.indptr)).astype(np.int32),
            "step": cell.astype(np.int32),
            "context": self.context[steps],
            "target": (np.repeat(np.arange(len(group)) * n_steps - first, n_targets) + rows - 1).astype(
                np.int32
            ),
            "arrival": self.arrival[rows],
        }
        if self.profile:
            owned = history(self.task, rows)
            owner = np.repeat(np.arange(len(rows)), np.diff(owned.indptr))
            weight = np.log1p(owned.data)
            length = np.sqrt(np.bincount(owner, weight**2, len(rows)))[owner]
            batch |= {"owned": owned.indices.astype(np.int32), "owner": owner.astype(np.int32)}
            batch["owned_weight"] = (weight / length).astype(np.float32)
        return rows, batch

    def outputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> dict:
        """What the output layer reads; with `rng` (training) also what is right, and the drawn columns."""
        batch, columns = {}, None
        right = self.task.bags[rows]
        if rng is not None and self.n_sampled:
            columns, batch["log_pi"] = self.candidates(right.indices, rng)
            batch["columns"] = columns.astype(np.int32)
        right = _columns(right, columns)
        if self.question == "discovery":
            seen = _columns(history(self.task, rows), columns).astype(bool)
            batch["masked"] = seen.toarray().astype(np.uint8)
            right = right - right.multiply(seen)
            right.eliminate_zeros()
        if self.n_past:
            past = [_columns(history(self.task, rows, h), columns) for h in self.half_lives]
            past = [np.log1p(20 * p.toarray()) for p in past]
            if self.trend is not None:
                today = self.trend[self.task.day[rows].astype(int)]
                past.append(today if columns is None else today[:, columns])
            batch["past"] = np.stack(past)
        if rng is not None:
            right = right.tocoo()
            batch["right"] = np.column_stack([right.row, right.col]).astype(np.int32)
        return batch

    def candidates(
        self, held: np.ndarray, rng: np.random.Generator, n_held: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Columns in a batch's softmax: all that it holds anyway, and `n_sampled` drawn ones.

        Also the log of the chance of each column to be among them.

        Parameters
        ----------
        held : array of int
            Items that are in the batch for themselves, an item as often as it occurs.
        n_held : int, optional
            How many independent events brought them; all of `held` when left out.
        """
        n_held = len(held) if n_held is None else n_held
        drawn = np.searchsorted(np.cumsum(self.draw), rng.random(self.n_sampled))
        columns = np.union1d(held, drawn.clip(max=self.task.n_items - 1))
        missed = np.log1p(-self.share[columns]) * n_held + np.log1p(-self.draw[columns]) * self.n_sampled
        return columns, np.log(-np.expm1(missed)).astype(np.float32)

    def signature(self) -> dict:
        """Shapes and kinds of a training batch."""
        whole, real = tf.int32, tf.float32
        spec = {
            "shape": ((2,), whole),
            "ids": ((None,), whole),
            "cell": ((None,), whole),
            "step": ((None,), whole),
            "context": ((None, self.context.shape[1]), real),
            "target": ((None,), whole),
            "arrival": ((None, self.arrival.shape[1]), real),
            "right": ((None, 2), whole),
        }
        if self.profile:
            spec |= {"owned": ((None,), whole), "owner": ((None,), whole), "owned_weight": ((None,), real)}
        if self.n_sampled:
            spec |= {"columns": ((None,), whole), "log_pi": ((None,), real)}
        if self.question == "discovery":
            spec["masked"] = ((None, None), tf.uint8)
        if self.n_past:
            spec["past"] = ((self.n_past, None, None), real)
        return {name: tf.TensorSpec(shape, kind) for name, (shape, kind) in spec.items()}

    # -- use

    def train(
        self,
        rows: np.ndarray,
        epochs: int = 4,
        batch_size: int = 64,
        rate: float = 2e-3,
        seed: int = 0,
        callbacks: Sequence = (),
        span: int = SPAN,
    ) -> keras.callbacks.History:
        """Fit on the target rows with Adam.

        Parameters
        ----------
        rows : array
            Target steps, as `task.targets("train")` gives them.
        batch_size : int
            Windows in a batch, each of up to `span` targets.
        """
        cut = windows(self.task, rows, span, span)
        rng = np.random.default_rng(seed)

        def forever():
            while True:
                yield from self.batches(cut, batch_size, rng)

        data = tf.data.Dataset.from_generator(forever, output_signature=self.signature()).prefetch(2)
        n_batches = -(-len(cut.first) // batch_size)
        self.compile(optimizer=keras.optimizers.Adam(rate))
        return self.fit(
            data,
            epochs=epochs,
            steps_per_epoch=n_batches,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        )

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """The state before each row; (n_rows, width)."""
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        cut = windows(self.task, rows)
        vectors, found = self.vectors(), None
        for group in _chunks(np.argsort(cut.length, kind="stable"), 256):
            state = self.states(self.inputs(cut, group)[1], vectors).numpy()
            found = np.empty((len(rows), state.shape[1]), np.float32) if found is None else found
            found[order[_ranges(cut.edge[group], cut.edge[group + 1] - cut.edge[group])]] = state
        return found

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target row; (n_rows, n_items)."""
        state = tf.convert_to_tensor(self.encode(rows))
        return self.logits(state, self.vectors(), self.outputs(np.asarray(rows))).numpy()

    def follow(self, task: SequenceTask) -> "NextItems":
        """Read another task with the same items from now on, such as `with_today` gives."""
        self.task = task
        self.context = task.context if self.question != "next" else task.pause
        self.arrival = task.arrival if self.question != "next" else task.arrival[:, :0]
        self.trend = trend(task, self.trend_days) if self.trend_days else None
        return self


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


def _take(table, columns):
    table = tf.convert_to_tensor(table)
    return table if columns is None else tf.gather(table, columns)


def _columns(matrix, columns):
    return matrix if columns is None else matrix[:, columns]


def _side_ids(task: SequenceTask):
    columns = [c for c in task.items.columns if c not in ("item", "count")]
    ids, n = [], 0
    for c in columns:
        code, names = task.items[c].factorize()
        ids.append(code + n)
        n += len(names)
    return (np.column_stack(ids).astype(np.int32) if ids else None), n


def _chunks(order: np.ndarray, size: int):
    return (order[at : at + size] for at in range(0, len(order), size))


def _ranges(first: np.ndarray, length: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, ... (length[0] of them), then first[1], ..."""
    shift = np.repeat(first - np.r_[0, np.cumsum(length)[:-1]], length)
    return np.arange(length.sum()) + shift
