"""What the networks of lesson 52 read of a week, thousands of codes or 64 numbers, and the network itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import scipy.sparse as sp
import tensorflow as tf
from keras import layers

from ecomlib import purchases
from ecomlib.purchases.channels import week_of
from ecomlib.shop import Shop

UNITS, SIZE = 48, 64


# ------------------------------------------------------------------------------------------------ the inputs


@dataclass(frozen=True)
class Question:
    """What every network is asked and knows: n customers, w weeks, k categories.

    `bought` (n, w, k); `known` bool (n, w); `household` (n, w, 5); `usual` (n, w, k), log-odds of the
    smoothed frequency after each week; `parts` cutoffs by name.
    """

    bought: np.ndarray
    known: np.ndarray
    household: np.ndarray
    usual: np.ndarray
    parts: dict[str, np.ndarray]

    @classmethod
    def of(cls, task: purchases.PurchaseTask, *settings: float) -> "Question":
        """From a task and the half-life and prior weight of the smoothed frequency."""
        weeks = np.arange(task.bought.shape[1])
        p = purchases.WeightedFrequency(*settings).fit(task).predict(task, weeks).swapaxes(0, 1)
        p = np.clip(p, 1e-4, 1 - 1e-4)
        usual, bought = np.log(p / (1 - p)).astype(np.float32), np.array(task.bought)
        household = np.array(task.channels["household"])
        return cls(bought, task.panel.known > 0, household, usual, task.parts)

    def target(self, part: str, last: int) -> np.ndarray:
        """Bought in the next week and the weight, 0 outside the part: (n, last + 1, k, 2)."""
        weight = np.zeros((len(self.bought), last + 1, 1), np.float32)
        weight[:, self.parts[part], 0] = self.known[:, self.parts[part]]
        y = self.bought[:, 1 : last + 2]
        return np.stack([y, np.broadcast_to(weight, y.shape)], axis=-1)


@dataclass(frozen=True)
class Arm:
    """What a network reads of each week beside the household's numbers.

    `dense` (n, w, d) or None. `codes`, sparse (n, w * n_codes) or None, go straight to the gates (`size` 0)
    or become the sum of one learnt vector of `size` numbers each. `seconds` it took to make the input.
    """

    name: str
    n_inputs: int
    dense: np.ndarray | None = None
    codes: sp.csr_matrix | None = None
    n_codes: int = 0
    size: int = 0
    seconds: float = 0.0

    @property
    def megabytes(self) -> float:
        """Memory of the input."""
        parts = () if self.codes is None else (self.codes.data, self.codes.indices, self.codes.indptr)
        return ((0 if self.dense is None else self.dense.nbytes) + sum(part.nbytes for part in parts)) / 1e6

    def inputs(self, question: Question, last: int) -> list:
        """What the network reads of weeks 0 to `last`."""
        found = [question.household[:, : last + 1], question.usual[:, : last + 1]]
        found += [] if self.dense is None else [self.dense[:, : last + 1]]
        return found + ([] if self.codes is None else [self.codes[:, : (last + 1) * self.n_codes]])


def multi_hot(shop: Shop, task: purchases.PurchaseTask, level: str) -> sp.csr_matrix:
    """Which codes each customer bought in each week: sparse (n * w, V), ones, customer by customer.

    `level` is a column of the products. The codes are those that were bought before the validation weeks,
    that of most customer-weeks first.
    """
    n, w, _ = task.bought.shape
    orders, products = shop.orders, shop.products.set_index("product_id", drop=False)
    code = products[level].astype("str").reindex(orders["product_id"]).to_numpy(dtype=object)
    who = pd.Index(task.panel.customers).get_indexer(orders["customer_id"])
    week = week_of(task.panel, orders["timestamp"])
    use = (who >= 0) & (week >= 0) & (week < w) & pd.notna(code) & (code != "UNKNOWN")
    cells = pd.DataFrame({"row": who[use] * w + week[use], "code": code[use], "week": week[use]})
    cells = cells.drop_duplicates(["row", "code"])
    count = cells[cells["week"] <= task.cutoffs("valid")[0]].groupby("code").size()
    names = count.sort_values(ascending=False, kind="stable").index
    column = names.get_indexer(cells["code"])
    at = (cells["row"].to_numpy()[column >= 0], column[column >= 0])
    return sp.csr_matrix((np.ones(len(at[0]), np.float32), at), shape=(n * w, len(names)))


def sequences(question: Question, name: str, rows: sp.csr_matrix, size: int = 0) -> Arm:
    """Codes as they are: to the gates, or as an embedding bag."""
    n, w, _ = question.bought.shape
    v = rows.shape[1]
    return Arm(name, v, codes=rows.reshape((n, w * v)).tocsr(), n_codes=v, size=size)


def compressed(question: Question, name: str, rows: sp.csr_matrix, method: str) -> Arm:
    """Codes made into 64 numbers per week by something that is fitted on the weeks before validation."""
    n, w, _ = question.bought.shape
    start = time.process_time()
    seen = np.tile(np.arange(w) <= question.parts["valid"][0], n) & (np.diff(rows.indptr) > 0)
    made = COMPRESS[method](rows, seen).astype(np.float32)
    made = (made / made[seen].std()).reshape(n, w, -1)
    return Arm(name, rows.shape[1], made, seconds=time.process_time() - start)


def weighted(rows: sp.csr_matrix, seen: np.ndarray) -> sp.csr_matrix:
    """Each code times log(weeks / weeks that have it), counted where `seen`."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(norm=None).fit(rows[seen]).transform(rows).astype(np.float32)


def svd(rows: sp.csr_matrix, seen: np.ndarray) -> np.ndarray:
    """The factors that rebuild the weeks of training best."""
    from sklearn.decomposition import TruncatedSVD

    rows = weighted(rows, seen)
    return TruncatedSVD(SIZE, random_state=0).fit(rows[seen]).transform(rows)


def projected(rows: sp.csr_matrix, seen: np.ndarray) -> np.ndarray:
    """64 random sums of all codes: distances stay about what they were."""
    rows = weighted(rows, seen)
    return rows @ np.random.default_rng(0).normal(size=(rows.shape[1], SIZE)).astype(np.float32)


def hashed(rows: sp.csr_matrix, seen: np.ndarray) -> np.ndarray:
    """Each code goes to one of 64 places, with a sign."""
    rows, rng = weighted(rows, seen), np.random.default_rng(0)
    v = rows.shape[1]
    place = (rng.choice([-1.0, 1.0], v).astype(np.float32), (np.arange(v), rng.integers(SIZE, size=v)))
    return (rows @ sp.csr_matrix(place, shape=(v, SIZE))).toarray()


def encoded(rows: sp.csr_matrix, seen: np.ndarray, epochs: int = 3) -> np.ndarray:
    """The middle layer of an autoencoder of the weeks; its rate has the smallest loss on a tenth of them."""
    rng = np.random.default_rng(0)
    part = np.where(rng.random(len(seen)) < 0.1, "held", "learnt")
    best: tuple[float, Any] = (np.inf, None)
    for rate in (1e-3, 3e-3):
        keras.utils.set_random_seed(0)
        week = keras.Input((rows.shape[1],), sparse=True)
        middle = layers.Dense(SIZE, "relu")(week)
        net = keras.Model(week, Missed()([layers.Dense(rows.shape[1])(middle), week]))
        net.compile(keras.optimizers.Adam(rate), lambda none, loss: loss)
        learn, held = (rows[seen & (part == name)] for name in ("learnt", "held"))
        net.fit(learn, np.zeros(learn.shape[0]), 256, epochs, verbose=0)
        loss = net.evaluate(held, np.zeros(held.shape[0]), 256, verbose=0)
        best = min(best, (loss, keras.Model(week, middle)), key=lambda found: found[0])
    return best[1].predict(rows, batch_size=1024, verbose=0)


class Missed(layers.Layer):
    """Log-loss of a week's codes, from the log-odds of all and what was bought (sparse)."""

    def call(self, both: list) -> tf.Tensor:
        """(batch,)."""
        logits, week = both
        loss = tf.nn.sigmoid_cross_entropy_with_logits(tf.sparse.to_dense(week), logits)
        return tf.reduce_sum(loss, axis=1)

    def compute_output_shape(self, shapes: list) -> tuple:
        """(batch,)."""
        return shapes[0][:1]


COMPRESS: dict[str, Callable[[sp.csr_matrix, np.ndarray], np.ndarray]] = {
    "SVD": svd, "random projection": projected, "hashing": hashed, "autoencoder": encoded,
}  # fmt: skip


# ----------------------------------------------------------------------------------------------- the network


class FewOfMany(layers.Layer):
    """A dense layer without a bias for inputs of which nearly all are 0: (batch, w * V) -> (batch, w, size).

    The input is sparse: only the rows of weights whose code was bought are read. Dropout leaves out codes.
    """

    def __init__(self, n_codes: int, size: int, dropout: float = 0.0, **options: Any):
        super().__init__(**options)
        self.n_codes, self.size, self.dropout = n_codes, size, dropout

    def build(self, shape: tuple) -> None:
        """Make the weights (V, size)."""
        self.n_weeks = shape[1] // self.n_codes
        self.kernel = self.add_weight(shape=(self.n_codes, self.size), initializer="glorot_uniform")

    def call(self, codes: tf.SparseTensor, training: bool = False) -> tf.Tensor:
        """Add up the rows of the codes of each week."""
        weeks = tf.sparse.reshape(codes, (-1, self.n_codes))
        if training and self.dropout:
            weeks = weeks.with_values(tf.nn.dropout(weeks.values, self.dropout))
        made = tf.sparse.sparse_dense_matmul(weeks, self.kernel)
        return tf.reshape(made, (-1, self.n_weeks, self.size))

    def compute_output_shape(self, shape: tuple) -> tuple:
        """(batch, w, size)."""
        return (shape[0], shape[1] // self.n_codes, self.size)


def network(n_weeks: int, arm: Arm, dropout: float = 0.0, units: int = UNITS, k: int = 30) -> keras.Model:
    """An LSTM of an arm's input and the household's numbers; its answer is added to the usual log-odds.

    Codes without a `size` go straight to the gates: the sparse layer is the LSTM's input kernel, and the one
    that Keras makes is the identity and stays. The last layer starts at 0: an untrained network is `usual`.
    """
    household, usual = keras.Input((n_weeks, 5)), keras.Input((n_weeks, k))
    inputs, read = [household, usual], household
    lstm = layers.LSTM(units, return_sequences=True)
    if arm.dense is not None:
        inputs.append(keras.Input((n_weeks, arm.dense.shape[2])))
        read = layers.Concatenate()([household, layers.Dropout(dropout)(inputs[2])])
    if arm.codes is not None:
        inputs.append(keras.Input((n_weeks * arm.n_codes,), sparse=True))
        made = FewOfMany(arm.n_codes, arm.size or 4 * units, dropout)(inputs[2])
        if arm.size:
            read = layers.Concatenate()([household, made])
        else:
            lstm = layers.LSTM(units, return_sequences=True, kernel_initializer="identity")
            read = layers.Add()([layers.Dense(4 * units, use_bias=False)(household), made])
    state = lstm(read)
    lstm.cell.kernel.trainable = arm.codes is None or arm.size > 0
    change = layers.Dense(k, kernel_initializer="zeros")(layers.Dropout(0.2)(state))
    return keras.Model(inputs, layers.Activation("sigmoid")(layers.Add()([change, usual])))
