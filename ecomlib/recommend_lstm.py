"""The LSTM recommender: steps as bags of item embeddings in, a score for every item out.

Not imported by `ecomlib.recommend`, which needs no TensorFlow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ecomlib.recommend import SequenceTask, history, recent_counts, top_k

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
    """Cut the sequences into windows that give every target between `burn` and `span + burn` earlier steps."""
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
        "discovery": softmax over what the customer has not bought yet. "whole": over all items, with the
        personal history joined in when `half_lives` are given. "next": over all items but the current one.
    units, size : int
        Width of the LSTM and of the embedding.
    dropout : float
    half_lives : tuple of float
        Personal history as inputs of the output layer: log of the recency-weighted counts.
    scale : float, optional
        Compare directions only (cosine times `scale`) instead of dot products; helps sparse catalogues.
    n_sampled : int
        Negatives drawn for each batch; 0 takes the softmax over the whole catalogue.
    """

    def __init__(
        self,
        task: SequenceTask,
        question: str = "whole",
        units: int = 128,
        size: int = 64,
        dropout: float = 0.2,
        half_lives: tuple[float, ...] = (),
        scale: float | None = None,
        n_sampled: int = 0,
        trend_days: int = 0,
        profile: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.task, self.question, self.half_lives, self.scale = task, question, half_lives, scale
        self.n_sampled, self.size, self.profile = n_sampled, size, profile
        count = task.items["count"].to_numpy(float)
        self.draw = count**0.75 / (count**0.75).sum()
        self.share = count / count.sum()
        self.trend = _trend(task, trend_days) if trend_days else None
        self.sides, n_side = _side_ids(task)
        start = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
        self.items = self.add_weight(shape=(task.n_items, size), initializer=start, name="items")
        self.side = self.add_weight(shape=(max(n_side, 1), size), initializer="zeros", name="side")
        self.bias = self.add_weight(
            shape=(task.n_items,), initializer=lambda shape, dtype: tf.constant(np.log(self.share), dtype), name="bias"
        )
        self.lstm = keras.layers.LSTM(units, return_sequences=True)
        self.lstm.build((None, None, size + task.context.shape[1]))
        self.out = keras.layers.Dense(size)
        self.out.build((None, units + task.arrival.shape[1] + size * profile))
        self.drop = keras.layers.Dropout(dropout, seed=seed)
        n_past = len(half_lives) + bool(trend_days)
        self.past = keras.layers.Dense(max(n_past, 1), kernel_initializer="zeros", bias_initializer="ones")
        self.past.build((None, units + task.arrival.shape[1] + size * profile))
        self.past_item = self.add_weight(shape=(task.n_items, max(n_past, 1)), initializer="zeros", name="past_item")
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.built = True

    # -- the network

    def vectors(self) -> tf.Tensor:
        """Item vectors: own embedding plus those of its category, brand and department; (n_items, size)."""
        own = tf.convert_to_tensor(self.items)
        if self.sides is not None:
            own += tf.reduce_sum(tf.gather(tf.convert_to_tensor(self.side), self.sides), axis=1)
        return own

    def states(self, batch: dict, vectors: tf.Tensor, training: bool) -> tf.Tensor:
        """The customer's state before each target; (n_targets, units + 8)."""
        shape = batch["shape"]
        size = tf.math.unsorted_segment_sum(tf.ones_like(batch["cell"], tf.float32), batch["cell"], shape[0] * shape[1])
        bag = tf.math.unsorted_segment_sum(tf.gather(vectors, batch["ids"]), batch["cell"], shape[0] * shape[1])
        bag = self.drop(bag / tf.sqrt(tf.maximum(size, 1.0))[:, None], training=training)
        context = tf.scatter_nd(batch["step"][:, None], batch["context"], [shape[0] * shape[1], batch["context"].shape[1]])
        x = tf.reshape(tf.concat([bag, context], 1), [shape[0], shape[1], bag.shape[1] + context.shape[1]])
        h = self.lstm(x, training=training)
        h = tf.gather(tf.reshape(h, [-1, h.shape[-1]]), batch["target"])
        parts = [h, batch["arrival"]]
        if self.profile:
            owned = tf.gather(vectors, batch["owned"]) * batch["weight"][:, None]
            owned = tf.math.unsorted_segment_sum(owned, batch["owner"], tf.shape(batch["target"])[0])
            parts.append(self.drop(owned, training=training))
        return tf.concat(parts, 1)

    def logits(self, batch: dict, state: tf.Tensor, vectors: tf.Tensor, training: bool) -> tf.Tensor:
        """Scores of the candidate columns; (n_targets, n_candidates)."""
        z = self.drop(self.out(state), training=training)
        e, b = tf.gather(vectors, batch["columns"]), tf.gather(tf.convert_to_tensor(self.bias), batch["columns"])
        if self.scale:
            z, e = self.scale * tf.math.l2_normalize(z, 1), tf.math.l2_normalize(e, 1)
            logits = z @ tf.transpose(e)
        else:
            logits = z @ tf.transpose(e) + b
        if "past" in batch:
            item = tf.gather(tf.convert_to_tensor(self.past_item), batch["columns"])
            gate = self.past(state)
            for k in range(batch["past"].shape[0]):
                logits += batch["past"][k] * (gate[:, k : k + 1] + item[None, :, k])
        return logits - 1e9 * tf.cast(batch["masked"], tf.float32)

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            vectors = self.vectors()
            state = self.states(batch, vectors, True)
            logits = self.logits(batch, state, vectors, True)
            right = tf.cast(batch["right"], tf.float32)
            loss = tf.reduce_mean(bag_loss(right, logits, batch["log_pi"]))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    @property
    def metrics(self):
        return [self.loss_mean]

    # -- batches

    def batches(self, cut: Windows, size: int, rng: np.random.Generator | None = None) -> Iterator[dict]:
        """Batches of `size` windows of similar length; shuffled, with negatives drawn, if `rng` is given."""
        order = np.arange(len(cut.first))
        if rng is not None:
            order = rng.permutation(order)
            pool = 10 * size
            order = np.concatenate([o[np.argsort(cut.length[o], kind="stable")] for o in _chunks(order, pool)])
            groups = list(_chunks(order, size))
            groups = [groups[i] for i in rng.permutation(len(groups))]
        else:
            groups = _chunks(order[np.argsort(cut.length, kind="stable")], size)
        for group in groups:
            batch = self.batch(cut, group, rng)
            if batch is not None:
                yield batch

    def inputs(self, cut: Windows, group: np.ndarray) -> tuple[np.ndarray, dict]:
        """What the LSTM reads: the target rows of some windows and the arrays that lead to them."""
        first, length = cut.first[group], cut.length[group]
        steps_per = int(length.max())
        steps = _ranges(first, length)
        cell = _ranges(np.arange(len(group)) * steps_per, length)
        n_targets = cut.edge[group + 1] - cut.edge[group]
        rows = cut.rows[_ranges(cut.edge[group], n_targets)]
        target = np.repeat(np.arange(len(group)) * steps_per - first, n_targets) + rows - 1
        bags = self.task.bags[steps]
        extra = {}
        if self.profile:
            extra = self.owned(rows)
        return rows, extra | {
            "shape": np.array([len(group), steps_per], np.int32),
            "ids": bags.indices.astype(np.int32),
            "cell": np.repeat(cell, np.diff(bags.indptr)).astype(np.int32),
            "step": cell.astype(np.int32),
            "context": self.task.context[steps],
            "target": target.astype(np.int32),
            "arrival": self.task.arrival[rows],
        }

    def owned(self, rows: np.ndarray) -> dict:
        past = history(self.task, rows)
        weight = np.log1p(past.data)
        owner = np.repeat(np.arange(len(rows)), np.diff(past.indptr))
        weight /= np.sqrt(np.bincount(owner, weight**2, len(rows)))[owner] + 1e-9
        return {"owned": past.indices.astype(np.int32), "owner": owner.astype(np.int32), "weight": weight.astype(np.float32)}

    def batch(self, cut: Windows, group: np.ndarray, rng=None) -> dict | None:
        rows, batch = self.inputs(cut, group)
        right = self.task.bags[rows]
        columns, log_pi = self.candidates(right, rng)
        batch |= self.output(rows, columns)
        right = right if columns is None else right[:, columns]
        right = right.toarray().astype(np.uint8) * (1 - batch["masked"])
        keep = right.any(axis=1)
        if not keep.any():
            return None
        for name in ("target", "arrival", "masked"):
            batch[name] = batch[name][keep]
        if self.profile and not keep.all():
            batch |= self.owned(rows[keep])
        if "past" in batch:
            batch["past"] = batch["past"][:, keep]
        return batch | {"right": right[keep], "log_pi": log_pi}

    def candidates(self, right, rng) -> tuple[np.ndarray | None, np.ndarray]:
        """Columns that take part in a batch's softmax, and the log of the chance of each to be drawn."""
        if not self.n_sampled or rng is None:
            return None, np.zeros(self.task.n_items, np.float32)
        drawn = np.searchsorted(np.cumsum(self.draw), rng.random(self.n_sampled)).clip(max=self.task.n_items - 1)
        columns = np.union1d(right.indices, drawn)
        missed = np.log1p(-self.share[columns]) * right.nnz + np.log1p(-self.draw[columns]) * self.n_sampled
        return columns, np.log(-np.expm1(missed)).astype(np.float32)

    def output(self, rows: np.ndarray, columns: np.ndarray | None) -> dict:
        """What the output layer reads: which columns, which of them are masked, the personal history."""
        def pick(m):
            return m if columns is None else m[:, columns]

        n = self.task.n_items if columns is None else len(columns)
        out = {"columns": np.arange(n, dtype=np.int32) if columns is None else columns.astype(np.int32)}
        if self.question == "discovery":
            out["masked"] = pick(history(self.task, rows)).astype(bool).toarray().astype(np.uint8)
        elif self.question == "next":
            out["masked"] = pick(self.task.bags[rows - 1]).toarray().astype(np.uint8)
        else:
            out["masked"] = np.zeros((len(rows), n), np.uint8)
        past = [_log_share(pick(history(self.task, rows, h)).toarray(), h) for h in self.half_lives]
        if self.trend is not None:
            day = self.task.day[rows].astype(int)
            past.append(self.trend[day] if columns is None else self.trend[day][:, columns])
        if past:
            out["past"] = np.stack(past)
        return out

    def signature(self) -> dict:
        f, i = tf.float32, tf.int32
        spec = {
            "shape": ((2,), i), "ids": ((None,), i), "cell": ((None,), i), "step": ((None,), i),
            "context": ((None, self.task.context.shape[1]), f), "target": ((None,), i),
            "arrival": ((None, self.task.arrival.shape[1]), f), "columns": ((None,), i),
            "masked": ((None, None), tf.uint8), "right": ((None, None), tf.uint8), "log_pi": ((None,), f),
        }  # fmt: skip
        if self.profile:
            spec |= {"owned": ((None,), i), "owner": ((None,), i), "weight": ((None,), f)}
        n_past = len(self.half_lives) + (self.trend is not None)
        if n_past:
            spec["past"] = ((n_past, None, None), f)
        return {name: tf.TensorSpec(shape, kind) for name, (shape, kind) in spec.items()}

    # -- use

    def train(self, rows: np.ndarray, epochs: int, batch_size: int = 64, seed: int = 0, callbacks=(), **cutting):
        """Fit on the target rows; returns Keras' History."""
        cut = windows(self.task, rows, **cutting)
        rng = np.random.default_rng(seed)
        steps = sum(1 for _ in _chunks(np.arange(len(cut.first)), batch_size))

        def forever():
            while True:
                yield from self.batches(cut, batch_size, rng)

        data = tf.data.Dataset.from_generator(forever, output_signature=self.signature()).prefetch(2)
        return super().fit(data, epochs=epochs, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=list(callbacks))

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target row; (n_rows, n_items)."""
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        cut = windows(self.task, rows, SPAN, SPAN)
        result = np.empty((len(rows), self.task.n_items), np.float32)
        vectors = self.vectors()
        place = {}
        for group in _chunks(np.argsort(cut.length, kind="stable"), 128):
            some, batch = self.inputs(cut, group)
            batch |= self.output(some, None)
            state = self.states(batch, vectors, False)
            at = order[np.concatenate([np.arange(cut.edge[g], cut.edge[g + 1]) for g in group])]
            result[at] = self.logits(batch, state, vectors, False).numpy()
        return result


def bag_loss(right: tf.Tensor, logits: tf.Tensor, log_pi: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of a softmax whose target is a set; (n_targets,).

    Each item of the set weighs the same. A negative that was drawn with chance pi stands for 1 / pi items
    like it, so -log(pi) is added to its score (the logQ correction); with pi = 1 it is the full softmax.
    """
    total = tf.reduce_logsumexp(logits - log_pi * (1 - right), axis=1)
    return total - tf.reduce_sum(right * logits, axis=1) / tf.reduce_sum(right, axis=1)


def _log_share(counts: np.ndarray, half_life: float) -> np.ndarray:
    return np.log1p(counts * (20.0 if half_life is not None else 20.0)) 


def _trend(task: SequenceTask, days: int) -> np.ndarray:
    recent = recent_counts(task, days)
    share = task.items["count"].to_numpy(float) / task.items["count"].sum()
    expected = recent.sum(axis=1, keepdims=True) * share
    return np.log((recent + 5) / (expected + 5)).astype(np.float32)


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
