"""The course's small Keras models, as the notebooks teach them, and a quiet progress callback."""

import math

import keras
import numpy as np
from keras import layers, ops

from ecomlib.sales import QUANTILES, SalesTask, by_origin, close_days


class EpochLog(keras.callbacks.Callback):
    """Print one line an epoch (every `every` epochs): progress that is the same text on every run."""

    def __init__(self, every: int = 1):
        super().__init__()
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's line."""
        if (epoch + 1) % self.every == 0:
            values = "  ".join(f"{name} {value:.3g}" for name, value in (logs or {}).items())
            print(f"epoch {epoch + 1:3d}  {values}")


def visits_model(
    n_channels: int,
    n_classes: int = 5,
    units: int = 50,
    every_week: bool = True,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
) -> keras.Model:
    """Two LSTM layers and a softmax, as in `16_first_keras_lstm`.

    Parameters
    ----------
    every_week : bool
        True: a forecast after every week, (batch, n_weeks, n_classes). False: after the last week only,
        (batch, n_classes). The weights are the same arrays in both.

    Returns
    -------
    keras.Model
        Input (batch, n_weeks, n_channels), n_weeks free; not compiled.
    """
    drop = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
    return keras.Sequential(
        [
            keras.Input((None, n_channels)),
            keras.layers.LSTM(units, return_sequences=True, **drop),
            keras.layers.LSTM(units, return_sequences=every_week, **drop),
            keras.layers.Dense(n_classes, activation="softmax"),
        ]
    )


@keras.saving.register_keras_serializable("ecomlib")
def pinball_loss(target, forecast):
    """Pinball loss of the 10, 50 and 90 % forecasts, their mean; its minimum is at the true quantiles.

    Parameters
    ----------
    target : tensor (n, horizon)
    forecast : tensor (n, horizon, 3)

    Returns
    -------
    tensor (n,)

    Notes
    -----
    Koenker & Bassett (1978), Regression Quantiles, Econometrica 46(1).
    """
    quantile = ops.convert_to_tensor(QUANTILES, forecast.dtype)
    error = ops.expand_dims(target, -1) - forecast
    return ops.mean(ops.maximum(quantile * error, (quantile - 1) * error), axis=(-2, -1))


def sales_forecaster(
    task: SalesTask, units: int = 24, embedding: int = 8, dropout: float = 0.1
) -> keras.Model:
    """One global encoder-decoder LSTM for many daily series, with three quantiles a day.

    The encoder reads the window folded into weeks (one step holds seven days), the decoder walks
    through the days to forecast and reads what is known of them. The output is a correction of the
    mean of the last eight same weekdays, which is the first column of "future".

    Parameters
    ----------
    task : SalesTask
        Gives the shapes; window a multiple of 7.
    units : int
        Size of both LSTMs' states.
    embedding : int
        Numbers that stand for a series.
    dropout : float
        Share of inputs and decoder states blanked in training.

    Returns
    -------
    keras.Model
        Inputs "past" (n, window, 1 + n_known), "future" (n, horizon, 3 + n_known + n_promotion),
        "series" (n,); output (n, horizon, 3), scaled sales at 10, 50 and 90 %.

    Notes
    -----
    Sutskever, Vinyals & Le (2014), Sequence to Sequence Learning, arXiv:1409.3215, section 2; quantile
    outputs as in Wen et al. (2017), A Multi-Horizon Quantile Recurrent Forecaster, arXiv:1711.11053.
    """
    sample = task.windows(task.origins("test")[:1]).inputs()
    past = keras.Input(sample["past"].shape[1:], name="past")
    future = keras.Input(sample["future"].shape[1:], name="future")
    series = keras.Input((), dtype="int32", name="series")
    who = layers.Embedding(task.n_series, embedding)(series)
    weeks = layers.Reshape((task.window // 7, -1))(past)
    weeks = layers.Concatenate()([weeks, layers.RepeatVector(task.window // 7)(who)])
    _, h, c = layers.LSTM(units, return_state=True)(layers.Dropout(dropout)(weeks))
    days = layers.Concatenate()([future, layers.RepeatVector(task.horizon)(who)])
    days = layers.LSTM(units, return_sequences=True)(days, initial_state=[h, c])
    days = layers.Concatenate()([layers.Dropout(dropout)(days), future])
    days = layers.Dense(32, activation="relu")(days)
    change = layers.Dense(3, kernel_initializer="zeros")(days)
    middle = future[:, :, :1] + change[:, :, :1]
    low = middle - ops.softplus(change[:, :, 1:2] - 1)  # softplus is positive: quantiles never cross
    high = middle + ops.softplus(change[:, :, 2:] - 1)
    return keras.Model([past, future, series], layers.Concatenate()([low, middle, high]))


class LSTMForecaster:
    """`sales_forecaster` behind the shape all forecasters share: fit(task, part), predict(task, origins).

    Several members are trained side by side in one fit, each with a loss of its own; the forecast is
    their mean. Small networks err in different ways, so their mean errs less.

    Parameters
    ----------
    seed : int
    members : int
        Networks in the mean.
    epochs, batch_size : int
    learning_rate : float
        Peak of a cosine schedule with warm-up.
    options
        Passed to `sales_forecaster`.
    """

    name = "LSTM"

    def __init__(
        self,
        seed: int = 0,
        members: int = 3,
        epochs: int = 10,
        batch_size: int = 256,
        learning_rate: float = 5e-3,
        **options,
    ):
        self.seed, self.members, self.epochs = seed, members, epochs
        self.batch_size, self.learning_rate, self.options = batch_size, learning_rate, options

    def fit(
        self, task: SalesTask, part: str = "train", watch: bool = False, callbacks=()
    ) -> "LSTMForecaster":
        """Train on a part's origins; `watch` computes the loss on the validation part each epoch."""
        keras.utils.set_random_seed(self.seed)
        train = task.windows(task.origins(part))
        members = [sales_forecaster(task, **self.options) for _ in range(self.members)]
        inputs = members[0].inputs
        self.model = keras.Model(inputs, [member(inputs) for member in members])
        steps = self.epochs * math.ceil(len(train) / self.batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(
            self.learning_rate / 10, steps, warmup_target=self.learning_rate, warmup_steps=steps // 10
        )
        self.model.compile(
            keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=1.0),
            [pinball_loss] * self.members,
            loss_weights=[1 / self.members] * self.members,
        )
        valid = task.windows(task.origins("valid")) if watch else None
        self.history = self.model.fit(
            train.inputs(),
            [train.target] * self.members,
            validation_data=(valid.inputs(), [valid.target] * self.members) if watch else None,
            batch_size=self.batch_size,
            epochs=self.epochs,
            callbacks=list(callbacks),
            verbose=0,
        ).history
        return self

    def predict(self, task: SalesTask, origins) -> np.ndarray:
        """Forecast (n_origins, n_series, horizon, 3), shop's currency; 0 on closed days, never below 0."""
        windows = task.windows(origins)
        inputs = windows.inputs()
        flat = []
        # Calling the model needs no compiled graph for each model that is fitted; chunks bound the memory.
        for i in range(0, len(windows), 4096):
            chunk = [inputs[name][i : i + 4096] for name in ("past", "future", "series")]
            members = self.model(chunk)
            members = members if isinstance(members, list | tuple) else [members]
            flat.append(np.mean([np.asarray(member) for member in members], axis=0))
        sales = np.maximum(np.concatenate(flat) * windows.scale[:, :, None], 0)
        return close_days(by_origin(sales, task), task, origins)


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
        Of `Purchases.inputs`: channels a week, categories, facts of a customer.
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
    p = layers.Dense(1, activation="sigmoid", bias_initializer=keras.initializers.Constant(-2.0))(hidden)
    return keras.Model([weeks, product, who], layers.Reshape((-1,))(p))


class PurchaseLSTM:
    """`purchase_network` behind fit(task) and predict(task, part).

    Parameters
    ----------
    seed, epochs, batch_size, units : int
    learning_rate : float
        Start of a cosine that ends at 0.
    without : names of input groups
        "category", "household", "marketing", "product", "who": left out (all zero).
    """

    def __init__(self, seed=0, epochs=6, batch_size=512, learning_rate=0.01, units=32, without=()):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.units, self.without = learning_rate, units, without

    def fit(self, task, callbacks=(), watch: bool = False) -> "PurchaseLSTM":
        """Train on the training part's origins; `watch` adds the validation loss of each epoch."""
        keras.utils.set_random_seed(self.seed)
        y, weight = task.labels("train")
        x = task.inputs(y.shape[1] - 1, self.without)
        keep = weight.any(axis=1)
        x = {name: values[keep] for name, values in x.items()}
        self.model = purchase_network(
            x["weeks"].shape[2], len(task.categories), x["who"].shape[1], self.units
        )
        steps = self.epochs * math.ceil(int(keep.sum()) / self.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(
            self.learning_rate / 5, steps, warmup_target=self.learning_rate, warmup_steps=steps // 20
        )
        valid = None
        if watch:
            y_valid, w_valid = task.labels("valid")
            valid = (task.inputs(y_valid.shape[1] - 1, self.without), np.stack([y_valid, w_valid], -1))
        return _fit_weeks(self, x, np.stack([y, weight], axis=-1)[keep], rate, callbacks, valid)

    def predict(self, task, part: str) -> np.ndarray:
        """Probabilities (n, n_origins, k) at a part's origins."""
        origins = task.origins[part]
        return self.every_week(task, int(origins.max()))[:, origins]

    def every_week(self, task, last: int) -> np.ndarray:
        """Probabilities after every week from 0 to `last`: (n, last + 1, k)."""
        x = task.inputs(last, self.without)
        p = self.model.predict(x, batch_size=4096, verbose=0)
        return p.reshape(len(task.who), len(task.categories), last + 1).swapaxes(1, 2)


@keras.saving.register_keras_serializable("ecomlib")
def week_loss(target, p):
    """Log-loss over the weeks that count; target (batch, n_weeks, 2) holds the answer and its weight."""
    y, weight = target[..., 0], target[..., 1]
    p = ops.clip(p, 1e-6, 1 - 1e-6)
    loss = -(y * ops.log(p) + (1 - y) * ops.log(1 - p)) * weight
    return ops.sum(loss) / ops.maximum(ops.sum(weight), 1.0)


def _fit_weeks(net, x, target, rate, callbacks, valid=None):
    """Train `net.model` on `week_loss`, keep its history, return net."""
    net.model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), week_loss)
    options = {"batch_size": net.batch_size, "epochs": net.epochs, "callbacks": list(callbacks)}
    net.history = net.model.fit(x, target, validation_data=valid, verbose=0, **options).history
    return net


class MultiHotLSTM:
    """The obvious design, which loses: one sequence a customer, all categories side by side, k outputs.

    The same information as `PurchaseLSTM` reads, 128 units; but what it learns of milk it must
    learn again for bread.
    """

    def __init__(self, seed=0, epochs=15, batch_size=64, learning_rate=0.003, units=128):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.units = learning_rate, units

    @staticmethod
    def inputs(task, last: int) -> np.ndarray:
        """Bought, lines, household (5), coupons held, mailers next: (n, last + 1, 4k + 5)."""
        mailers = np.broadcast_to(task.promotion[None, ..., 0], task.bought.shape)
        parts = [task.bought, task.category[..., 1], task.household, task.marketing[..., 0], mailers]
        return np.concatenate([part[:, : last + 1] for part in parts], axis=-1).astype(np.float32)

    def fit(self, task, callbacks=()) -> "MultiHotLSTM":
        """Train on the training part's origins."""
        keras.utils.set_random_seed(self.seed)
        origins = task.origins["train"]
        x, k = self.inputs(task, int(origins.max())), len(task.categories)
        y = task.target(origins)
        weight = np.repeat(task.use(origins)[..., None], k, axis=2)
        self.model = keras.Sequential(
            [
                keras.Input((None, x.shape[2])),
                layers.LSTM(self.units, return_sequences=True),
                layers.Dropout(0.2),
                layers.Dense(k, activation="sigmoid", bias_initializer=keras.initializers.Constant(-2.0)),
            ]
        )
        target = np.stack([y, weight], axis=-1).astype(np.float32)
        return _fit_weeks(self, x, target, self.learning_rate, callbacks)

    def predict(self, task, part: str) -> np.ndarray:
        """Probabilities (n, n_origins, k) at a part's origins."""
        origins = task.origins[part]
        return self.model.predict(self.inputs(task, int(origins.max())), batch_size=512, verbose=0)[
            :, origins
        ]


class CountLSTM:
    """An LSTM that counts: it learns the purchases of the next week, then walks on, fed with its own draws.

    Parameters
    ----------
    seed, epochs, batch_size, units : int
    most : int
        Counts above it are read, and drawn, as this many.
    """

    def __init__(self, seed=0, epochs=6, batch_size=256, learning_rate=0.005, units=32, most=3):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.units, self.most = learning_rate, units, most

    def inputs(self, counts: np.ndarray) -> np.ndarray:
        """Count, known (0 before the first purchase), age, log(1 + purchases so far): float32 (n, w, 4)."""
        known = (counts.cumsum(axis=1) > 0).astype(np.float32)
        age = known.cumsum(axis=1) / counts.shape[1]
        read = [np.minimum(counts, self.most), known, age, np.log1p(counts.cumsum(axis=1))]
        return np.stack(read, axis=-1).astype(np.float32)

    def fit(self, counts: np.ndarray) -> "CountLSTM":
        """Train on counts (n, w): how many come in the week after each one."""
        keras.utils.set_random_seed(self.seed)
        x = self.inputs(counts)
        self.model = keras.Sequential(
            [
                keras.Input((None, 4)),
                layers.LSTM(self.units, return_sequences=True),
                layers.Dense(self.most + 1, activation="softmax"),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
        self.model.compile(keras.optimizers.Adam(self.learning_rate), loss)
        self.history = self.model.fit(
            x[:, :-1],
            x[:, 1:, 0].astype(int),
            sample_weight=x[:, :-1, 1],
            batch_size=self.batch_size,
            epochs=self.epochs,
            verbose=0,
        ).history
        return self

    def simulate(self, counts: np.ndarray, weeks: int, walks: int = 8) -> np.ndarray:
        """Mean number of purchases in the `weeks` weeks after counts (n, w), over random walks: (n,)."""
        cell, answer = self.model.layers[0].cell, self.model.layers[1]
        rng = np.random.default_rng(self.seed)
        x = self.inputs(counts)
        _, *start = keras.layers.RNN(cell, return_state=True)(x)
        state = [ops.repeat(part, walks, axis=0) for part in start]
        step = np.repeat(x[:, -1], walks, axis=0)
        before = np.repeat(counts.sum(axis=1), walks)
        total = np.zeros(len(step))
        for _ in range(weeks):
            share = np.asarray(answer(state[0])).cumsum(axis=1)
            step[:, 0] = (rng.random((len(step), 1)) > share[:, :-1]).sum(axis=1)
            total += step[:, 0]
            step[:, 2] += 1 / counts.shape[1]  # older than any customer it was trained on
            step[:, 3] = np.log1p(before + total)
            _, state = cell(step, state)
        return total.reshape(len(counts), walks).mean(axis=1)
