"""The sales networks: one global encoder-decoder LSTM, or an MLP, with three quantiles per day."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ecomlib.sales.task import QUANTILES, SalesTask

Callbacks = Sequence[keras.callbacks.Callback]


@keras.saving.register_keras_serializable("ecomlib")
def pinball_loss(target: Any, forecast: Any) -> Any:
    """Pinball loss (n,) of the 10, 50 and 90 % forecasts, their mean; its minimum is at the true quantiles.

    `target` is (n, horizon), `forecast` (n, horizon, 3). Source: Koenker & Bassett (1978), Econometrica
    46(1).
    """
    quantile = ops.convert_to_tensor(QUANTILES, forecast.dtype)
    error = ops.expand_dims(target, -1) - forecast
    return ops.mean(ops.maximum(quantile * error, (quantile - 1) * error), axis=(-2, -1))


def sales_network(
    task: SalesTask,
    units: int = 24,
    embedding: int = 8,
    dropout: float = 0.1,
    recurrent: bool = True,
    encode: bool = True,
    correct: bool = True,
) -> keras.Model:
    """One global encoder-decoder LSTM for many daily series, with three quantiles per day.

    The encoder reads the window folded into weeks (one step holds seven days), the decoder walks
    through the days to forecast and reads what is known of them. The output is a correction of the
    mean of the last eight same weekdays, which is the first column of "future".

    Parameters
    ----------
    task : SalesTask
    units, embedding : int
        Size of both LSTMs' states; how many numbers stand for a series.
    dropout : float
        Share of inputs and decoder states blanked in training.
    recurrent, encode, correct : bool
        What False leaves out: the two LSTMs (a dense layer of the window and one of each day stand for them);
        the encoder (the decoder knows the window by its weekday means only); the mean that is corrected.

    Returns
    -------
    keras.Model
        Inputs as in `Windows.inputs`; output (n, horizon, 3), scaled sales at 10, 50 and 90 %. Sources:
        Sutskever, Vinyals & Le (2014), arXiv:1409.3215, section 2; quantile outputs as in Wen et al. (2017),
        arXiv:1711.11053.
    """
    sample = task.windows(task.cutoffs("next")).inputs()
    past = keras.Input(sample["past"].shape[1:], name="past")
    future = keras.Input(sample["future"].shape[1:], name="future")
    series = keras.Input((), dtype="int32", name="series")
    vector = layers.Embedding(task.n_series, embedding)(series)
    weeks = layers.Reshape((task.lookback // task.season, -1))(past)
    weeks = layers.Concatenate()([weeks, layers.RepeatVector(task.lookback // task.season)(vector)])
    days = layers.Concatenate()([future, layers.RepeatVector(task.horizon)(vector)])
    if recurrent:
        encoder = layers.LSTM(units, return_state=True)
        state = encoder(layers.Dropout(dropout)(weeks))[1:] if encode else None
        days = layers.LSTM(units, return_sequences=True)(days, initial_state=state)
    else:
        weeks = layers.Flatten()(layers.Dropout(dropout)(weeks))
        summary = layers.Dense(units, activation="relu")(weeks)
        days = layers.Concatenate()([days, layers.RepeatVector(task.horizon)(summary)])
        days = layers.Dense(units, activation="relu")(days)
    days = layers.Concatenate()([layers.Dropout(dropout)(days), future])
    days = layers.Dense(32, activation="relu")(days)
    change = layers.Dense(3, kernel_initializer="zeros")(days)
    middle = change[:, :, :1] + (future[:, :, :1] if correct else 0.0)
    low = middle - ops.softplus(change[:, :, 1:2] - 1)  # softplus is positive: quantiles never cross
    high = middle + ops.softplus(change[:, :, 2:] - 1)
    return keras.Model([past, future, series], layers.Concatenate()([low, middle, high]))


class SalesLSTM:
    """Several `sales_network`, trained side by side in one fit; the forecast is their mean.

    Small networks err in different ways, so the mean of the `members` errs less; each has a loss of its own.
    `learning_rate` is the peak of a cosine schedule with warm-up, `options` are those of `sales_network`.
    """

    name = "LSTM"

    def __init__(
        self,
        seed: int = 0,
        members: int = 3,
        epochs: int = 10,
        batch_size: int = 256,
        learning_rate: float = 5e-3,
        **options: Any,
    ):
        self.seed, self.members, self.epochs = seed, members, epochs
        self.batch_size, self.learning_rate, self.options = batch_size, learning_rate, options

    def build(self, task: SalesTask) -> "SalesLSTM":
        """Make the members with their first weights; returns the model itself."""
        keras.utils.set_random_seed(self.seed)
        members = [sales_network(task, **self.options) for _ in range(self.members)]
        inputs = members[0].inputs
        self.model = keras.Model(inputs, [member(inputs) for member in members])
        return self

    def fit(
        self, task: SalesTask, part: str = "train", callbacks: Callbacks = (), watch: bool = False
    ) -> "SalesLSTM":
        """Train on a part's cutoffs; `watch` computes the loss on the validation part each epoch."""
        self.build(task)
        inputs, targets = self._examples(task, part)
        steps = self.epochs * math.ceil(len(targets[0]) / self.batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(
            self.learning_rate / 10, steps, warmup_target=self.learning_rate, warmup_steps=steps // 10
        )
        self.model.compile(
            keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=1.0),
            [pinball_loss] * self.members,
            loss_weights=[1 / self.members] * self.members,
        )
        first = {name: values[:1] for name, values in inputs.items()}
        # The variables of optimizer and losses are made here; else Keras traces the first step twice.
        self.model.optimizer.build(self.model.trainable_variables)
        self.model.compute_loss(y=[target[:1] for target in targets], y_pred=self.model(first))
        valid = self._examples(task, "valid") if watch else None
        options = {"batch_size": self.batch_size, "epochs": self.epochs, "callbacks": list(callbacks)}
        self.history = self.model.fit(inputs, targets, validation_data=valid, verbose=0, **options).history
        return self

    def _examples(self, task: SalesTask, part: str) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        windows = task.windows(task.cutoffs(part))
        return windows.inputs(), [windows.target] * self.members

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency; 0 on closed days, never below 0."""
        windows = task.windows(cutoffs)
        inputs = windows.inputs()
        flat = []
        # Calling the model needs no compiled graph for each model that is fitted; chunks bound the memory.
        for i in range(0, len(windows), 4096):
            chunk = [inputs[name][i : i + 4096] for name in ("past", "future", "series")]
            members = self.model(chunk)
            members = members if isinstance(members, list | tuple) else [members]
            flat.append(np.mean([np.asarray(member) for member in members], axis=0))
        return task.by_cutoff(np.concatenate(flat) * windows.scale[:, :, None], cutoffs)


class MLP(SalesLSTM):
    """The same inputs, correction, loss and members as `SalesLSTM`, without any recurrence.

    What the LSTM is better by, or not, is what its recurrence brings. Of 24 and 64 units and rates from .002
    to .02, 64 and .005 were best on the running shop's validation period.
    """

    name = "MLP"

    def __init__(self, seed: int = 0, **options: Any):
        super().__init__(seed, **{"recurrent": False, "units": 64, **options})
