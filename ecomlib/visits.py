"""How many of the next four weeks will a customer shop? Panel in; channels, targets, baselines, scores out.

The answer is one of five classes, 0 (silent) to 4 (every week). An *origin* is the last week that is known;
the target lies in the four weeks after it. Weeks are counted by their position in the panel.
"""

from dataclasses import dataclass

import numpy as np

from ecomlib.evaluation import bootstrap_weights
from ecomlib.sequences import WeeklyPanel
from ecomlib.shop import TooShort

HORIZON = 4  # weeks ahead
MIN_KNOWN = 8  # a customer is forecast from the eighth week on, counted from the first order
RECENT = (4, 8, 13, 26, 52)  # weeks over which the hand-made features look back
EPSILON = 1e-6  # no probability is taken smaller: one certain and wrong answer would cost infinitely much


@dataclass(frozen=True)
class Visits:
    """The task as arrays.

    Attributes
    ----------
    x : float32 (n_customers, n_weeks, 5)
        shopped (0 or 1); log(1 + spend), log(1 + baskets), log(1 + lines), each divided by its mean over the
        shopping weeks of the training period; known (0 before the first order).
    y : int (n_customers, n_weeks)
        Shopping weeks among the four after this one, 0 to 4; -1 where the data end before.
    use : bool (n_customers, n_weeks)
        Known for at least eight weeks and with a target.
    origins : dict
        "train", "valid", "test": positions of the origins, (n_origins,).
    """

    x: np.ndarray
    y: np.ndarray
    use: np.ndarray
    origins: dict[str, np.ndarray]

    def rows(self, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Customer, origin and target of every forecast of a part; each (n_rows,), origin by origin."""
        origin, customer = np.nonzero(self.use.T[self.origins[part]])
        origin = self.origins[part][origin]
        return customer, origin, self.y[customer, origin]

    def weight(self, part: str) -> np.ndarray:
        """1.0 where a part is trained or scored, up to its last origin: (n_customers, last origin + 1)."""
        last = self.origins[part].max()
        weight = np.zeros((len(self.x), last + 1), np.float32)
        weight[:, self.origins[part]] = self.use[:, self.origins[part]]
        return weight


def prepare(
    panel: WeeklyPanel, valid_origin: int, test_origins: np.ndarray, y: np.ndarray | None = None
) -> Visits:
    """Build the task; the training targets end where the validation targets begin.

    Parameters
    ----------
    panel : WeeklyPanel
    valid_origin : int
        Position of the validation origin. Training origins are those whose target is complete by then.
    test_origins : array of int
        Positions of the test origins; their targets begin after the validation target.
    y : int array (n_customers, n_weeks), optional
        Another target than `shopping_weeks_ahead`, -1 where unknown.

    Returns
    -------
    Visits

    Raises
    ------
    TooShort
        When the history has no room for the three parts.
    """
    n_weeks = len(panel.weeks)
    origins = {
        "train": np.arange(MIN_KNOWN - 1, valid_origin - HORIZON + 1),
        "valid": np.array([valid_origin]),
        "test": np.asarray(test_origins),
    }
    if len(origins["train"]) == 0 or origins["test"].max() + HORIZON >= n_weeks:
        raise TooShort(
            f"{n_weeks} weeks cannot hold training origins from week {MIN_KNOWN - 1}, the validation origin "
            f"{valid_origin} and test targets up to week {origins['test'].max() + HORIZON}."
        )
    if origins["test"].min() < valid_origin + HORIZON:
        raise TooShort(f"targets overlap: the first test origin must be {valid_origin + HORIZON} or later.")
    y = shopping_weeks_ahead(panel) if y is None else y
    use = (panel.known >= MIN_KNOWN) & (y >= 0)
    return Visits(channels(panel, valid_origin - HORIZON), y, use, origins)


def channels(panel: WeeklyPanel, train_end: int) -> np.ndarray:
    """The five channels the network reads (see `Visits.x`); the scale comes from weeks 0 to `train_end`."""
    shopped = panel["baskets"] > 0
    logs = np.log1p(panel.values)
    train = logs[:, : train_end + 1][shopped[:, : train_end + 1]]
    known = panel.known > 0
    return np.concatenate([shopped[..., None], logs / train.mean(axis=0), known[..., None]], axis=-1).astype(
        np.float32
    )


def shopping_weeks_ahead(panel: WeeklyPanel) -> np.ndarray:
    """Weeks with a trip among the four after each week: int (n_customers, n_weeks), -1 at the end."""
    return _ahead((panel["baskets"] > 0).astype(int))


def spending_band_ahead(panel: WeeklyPanel, usual_weeks: int = 26, low=2 / 3, high=3 / 2) -> np.ndarray:
    """Band of the spend in the four weeks after each week, against the customer's own usual.

    Usual is the mean of the last `usual_weeks` known weeks, times four. 0 silent, 1 below `low` times usual,
    2 between, 3 above `high` times usual; -1 at the end.
    """
    ahead = _ahead(panel["spend"].astype(float))
    usual = HORIZON * _recent(panel["spend"], usual_weeks, panel.known)
    band = np.select([ahead == 0, ahead < low * usual, ahead <= high * usual], [0, 1, 2], 3)
    return np.where(ahead < 0, -1, band)


def _ahead(values: np.ndarray) -> np.ndarray:
    n_weeks = values.shape[1]
    ahead = np.full(values.shape, -1, dtype=values.dtype)
    ahead[:, : n_weeks - HORIZON] = sum(values[:, 1 + k : n_weeks - HORIZON + 1 + k] for k in range(HORIZON))
    return ahead


def _recent(values: np.ndarray, n_weeks: int, known: np.ndarray) -> np.ndarray:
    """Mean of the last n_weeks known weeks, at every week: (n_customers, n_weeks)."""
    total = np.pad(values.astype(float).cumsum(axis=1), ((0, 0), (n_weeks, 0)))
    sums = total[:, n_weeks:] - total[:, :-n_weeks]
    return sums / np.maximum(np.minimum(known, n_weeks), 1)


# ------------------------------------------------------------------------------------------------ baselines


def features(panel: WeeklyPanel, n_lags: int = 12) -> tuple[np.ndarray, list[str]]:
    """Recency, frequency, rhythm and money by hand, at every week, from that week and those before it.

    Returns
    -------
    array float32 (n_customers, n_weeks, 27 + 2 * n_lags)
    names : list of str
    """
    known = panel.known
    shopped = panel["baskets"] > 0
    week = np.arange(shopped.shape[1])
    last = np.maximum.accumulate(np.where(shopped, week, -1), axis=1)
    recency = np.where(last >= 0, week - last, known)
    trips = shopped.cumsum(axis=1)
    mean_gap = np.where(trips > 1, (last - panel.first[:, None]) / np.maximum(trips - 1, 1), known)
    columns = {
        "recency": recency,
        "known": known,
        "recency / known": recency / np.maximum(known, 1),
        "mean gap": mean_gap,
        "longest gap": np.maximum.accumulate(np.where(last >= 0, recency, 0), axis=1),
        "recency / mean gap": recency / np.maximum(mean_gap, 1),
        "spend of a shopping week": np.log1p(panel["spend"].cumsum(axis=1) / np.maximum(trips, 1)),
    }
    for n in RECENT:
        columns[f"shopped, {n} weeks"] = _recent(shopped, n, known)
        for channel in panel.channels:
            columns[f"{channel}, {n} weeks"] = np.log1p(np.maximum(_recent(panel[channel], n, known), 0))
    for lag in range(n_lags):
        for channel in ("spend", "baskets"):
            shifted = np.pad(panel[channel], ((0, 0), (lag, 0)))[:, : len(week)]
            columns[f"{channel}, lag {lag}"] = np.log1p(shifted)
    return np.stack(list(columns.values()), axis=-1).astype(np.float32), list(columns)


def class_shares(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Share of each class, (n_classes,): what to answer when nothing is known of a customer."""
    return np.bincount(y, minlength=n_classes) / len(y)


def own_past(
    task: Visits, part: str, prior: np.ndarray, strength: float = 5.0, half_life: float = 13.0
) -> np.ndarray:
    """Forecast each customer's own past: the classes its earlier windows had, recent ones weighing more.

    Parameters
    ----------
    prior : array (n_classes,)
        The class shares of the training rows, worth `strength` windows.
    half_life : float
        Weeks after which a window counts half.

    Returns
    -------
    array (n_rows, n_classes)
        Only windows that are complete by the origin are counted.
    """
    customer, origin, _ = task.rows(part)
    hit = (task.y[:, :, None] == np.arange(len(prior))) * (task.x[:, :, -1:] > 0)
    fade = 0.5 ** (1 / half_life)
    memory, kept = np.zeros((len(hit), len(prior))), np.zeros((*hit.shape[:2], len(prior)))
    for week in range(HORIZON, hit.shape[1]):
        memory = memory * fade + hit[:, week - HORIZON]
        kept[:, week] = memory
    counts = kept[customer, origin] + strength * prior
    return counts / counts.sum(axis=1, keepdims=True)


def rfm_cells(values: np.ndarray, names: list[str]) -> np.ndarray:
    """Recency, frequency, money: the number of the cell (0 to 74) a customer is in; any leading shape."""
    recency, frequency, money = (
        values[..., names.index(name)]
        for name in ("recency", "shopped, 13 weeks", "spend of a shopping week")
    )
    r = np.digitize(recency, [1, 2, 4, 9])
    f = np.digitize(frequency, [0.2, 0.4, 0.6, 0.8])
    m = np.digitize(money, np.log1p([25, 60]))
    return (r * 5 + f) * 3 + m


def rfm_rule(
    cells: np.ndarray, y: np.ndarray, asked: np.ndarray, prior: np.ndarray, strength: float = 20.0
) -> np.ndarray:
    """Forecast the class shares of a customer's cell in the training rows: (n_rows, n_classes)."""
    counts = np.zeros((75, len(prior))) + strength * prior
    np.add.at(counts, (cells, y), 1)
    return (counts / counts.sum(axis=1, keepdims=True))[asked]


def baseline_forecasts(panel: WeeklyPanel, task: Visits) -> dict[str, dict[str, np.ndarray]]:
    """Fit every baseline on the training rows, with the settings that its benchmark found best.

    Returns
    -------
    dict
        "valid" and "test", each a dict from the baseline's name to probabilities (n_rows, n_classes).
    """
    from lightgbm import LGBMClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    y = task.rows("train")[2]
    prior = class_shares(y, int(y.max()) + 1)
    values, names = features(panel)
    at = {part: values[task.rows(part)[0], task.rows(part)[1]] for part in task.origins}
    cells = {part: rfm_cells(v, names) for part, v in at.items()}
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=1000)).fit(at["train"], y)
    trees = LGBMClassifier(
        num_leaves=15, min_child_samples=400, n_estimators=186, learning_rate=0.03, colsample_bytree=0.5,
        subsample=0.7, subsample_freq=1, reg_lambda=10.0, random_state=0, deterministic=True,
        force_row_wise=True, n_jobs=1, verbose=-1,  # two threads wait for each other on a busy machine
    ).fit(at["train"], y)  # fmt: skip
    return {
        part: {
            "class shares": np.tile(prior, (len(at[part]), 1)),
            "own past": own_past(task, part, prior, strength=3, half_life=13),
            "recency, frequency, money": rfm_rule(cells["train"], y, cells[part], prior),
            "logistic regression": linear.predict_proba(at[part]),
            "LightGBM": trees.booster_.predict(at[part]),
        }
        for part in ("valid", "test")
    }


# -------------------------------------------------------------------------------------------------- scoring


def row_scores(p: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Log-loss (nats), Brier score (0 to 2) and hit (0 or 1) of every forecast.

    Parameters
    ----------
    p : array (n_rows, n_classes)
    y : int array (n_rows,)

    Examples
    --------
    >>> row_scores(np.array([[0.5, 0.5, 0.0]]), np.array([0]))["Brier"]
    array([0.5])
    """
    p = np.clip(p, EPSILON, 1).astype(float)
    p /= p.sum(axis=1, keepdims=True)
    right = np.eye(p.shape[1])[y]
    return {
        "log-loss": -np.log((p * right).sum(axis=1)),
        "Brier": ((p - right) ** 2).sum(axis=1),
        "accuracy": (p.argmax(axis=1) == y).astype(float),
    }


def weighted_auc(score: np.ndarray, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, once for each row of weights.

    Parameters
    ----------
    score : array (n_rows,)
    label : bool array (n_rows,)
    weights : array (n_draws, n_rows)
        How often each row counts.

    Returns
    -------
    array (n_draws,)
        The chance that a positive row scores higher than a negative one; a tie counts half.

    Examples
    --------
    >>> weighted_auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1], bool), np.ones((1, 4)))
    array([0.875])
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    weights, label = weights[:, order], label[order]
    positive = np.add.reduceat(weights * label, starts, axis=1)  # tied rows together
    negative = np.add.reduceat(weights * ~label, starts, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def evaluate(
    p: np.ndarray, y: np.ndarray, customer: np.ndarray, n: int = 500, seed: int = 0
) -> dict[str, np.ndarray]:
    """Score forecasts on the data (first entry) and on n bootstrap samples of customers.

    Returns
    -------
    dict of arrays (n + 1,)
        "log-loss", "Brier", "accuracy", "AUC silent", "AUC macro". The difference of two models on the
        same rows and seed is a paired difference.
    """
    ids, unit = np.unique(customer, return_inverse=True)
    weights = np.concatenate([np.ones((1, len(ids)), np.float32), bootstrap_weights(len(ids), n, seed)])
    n_rows = weights @ np.bincount(unit)
    result = {
        name: weights @ np.bincount(unit, values, len(ids)) / n_rows
        for name, values in row_scores(p, y).items()
    }
    rows = weights[:, unit]
    aucs = [weighted_auc(p[:, k], y == k, rows) for k in range(p.shape[1])]
    return result | {"AUC silent": aucs[0], "AUC macro": np.mean(aucs, axis=0)}
