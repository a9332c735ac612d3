"""Two stages: simple models name the candidates, boosted trees put them in order."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ecomlib.recommend.baselines import ALS, EASE, TIFUKNN, ItemKNN, Trend
from ecomlib.recommend.blend import Blend
from ecomlib.recommend.history import history, look_back
from ecomlib.recommend.ranking import Recommender, top_k
from ecomlib.recommend.task import HISTORY, SequenceTask
from ecomlib.shop import TooShort

HALF_LIVES = (7, 30, 120)
TRENDS = (7, 28)


@dataclass
class TwoStage(Recommender):
    """LightGBM's LambdaRank over all that the customer bought before and the `new` best of the rest.

    The trees learn from at most `trips` steps of the part's last `weeks` weeks, from the scores of models
    that were fitted on the weeks before those; then these models are fitted again on the whole part. Source:
    Burges (2010), From RankNet to LambdaRank to LambdaMART, Microsoft Research.
    """

    trips: int = 8000
    weeks: int = 8
    new: int = 15
    leaves: int = 15
    leaf_rows: int = 100
    trees: int = 200
    seed: int = 0
    name: ClassVar[str] = "two-stage LightGBM"

    def _learn(self, task: SequenceTask, part: str) -> None:
        from lightgbm import LGBMRanker

        rows = task.targets(part)
        day = task.day[task.rows(part)]
        begin = max(day.max() - 7 * self.weeks, (day.min() + day.max()) / 2)
        late = rows[task.day[rows] > begin]
        if len(late) < 2:
            raise TooShort(
                f"{self.name}: {len(late)} steps after day {begin:g} to learn from; two are needed."
            )
        rng = np.random.default_rng(self.seed)
        some = np.sort(rng.choice(late, min(self.trips, len(late)), replace=False))
        early = replace(task, part=np.where(task.day > begin, HISTORY, task.part))
        self._fit_first_stage(early, part)
        owner, item = self._candidates(early, some)
        x = self._features(early, some, owner, item)
        y = np.asarray(task.baskets[some][owner, item]).ravel()
        self.trees_ = LGBMRanker(
            num_leaves=self.leaves, min_child_samples=self.leaf_rows, n_estimators=self.trees,
            learning_rate=0.05, colsample_bytree=0.5, subsample=0.7, subsample_freq=1, reg_lambda=10.0,
            lambdarank_truncation_level=20, random_state=self.seed, deterministic=True, force_row_wise=True,
            n_jobs=1, verbose=-1,
        ).fit(x, y.astype(int), group=np.bincount(owner, minlength=len(some)))  # fmt: skip
        self._fit_first_stage(task, part)

    def _fit_first_stage(self, task: SequenceTask, part: str) -> None:
        als, ease = ALS().fit(task, part), EASE().fit(task, part)
        knn, tifu = ItemKNN(300, 10.0, "step").fit(task, part), TIFUKNN().fit(task, part)
        self.models_ = [als, ease, knn, tifu]
        self.new_ = Blend([als, ease, Trend(7)], [1, 0.5, 1])
        self.new_.items_ = self.new_.models[2].fit(task).items_

    def _candidates(self, task: SequenceTask, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in `rows` and columns of the candidates, both (n_pairs,), in the rows' order."""
        seen = history(task, rows).toarray() > 0
        scores = np.where(seen, -np.inf, self.new_.scores(task.ask("discovery"), rows))
        np.put_along_axis(seen, top_k(scores, self.new), True, axis=1)
        owner, item = np.nonzero(seen)
        return owner, item

    def _features(
        self, task: SequenceTask, rows: np.ndarray, owner: np.ndarray, item: np.ndarray
    ) -> np.ndarray:
        """What is known of each candidate before its row; (n_pairs, n_features)."""
        at = rows[owner]
        today, n_trips = task.day[at], at - task.start[at]
        known, (place, latest) = task.purchases, task.purchases.before(rows)
        held = np.full((len(rows), task.n_items), -1)
        held[place, known.item[latest]] = latest
        own, latest = held[owner, item] >= 0, held[owner, item]
        count, last = np.where(own, known.count[latest], 0), known.row[latest]
        since, begun = today - task.day[last], today - known.began[latest]
        gap = (begun - since) / np.maximum(count - 1, 1)
        gap = np.where(count > 1, gap, np.nan)
        columns = [count, count / n_trips, n_trips, today - task.day[task.start[at]]]
        own_facts = since, begun, at - last, gap, since / (gap + 1), count / (np.maximum(begun, 0) + 7)
        columns += [np.where(own, each, np.nan) for each in own_facts]
        columns += [np.asarray(history(task, rows, each)[owner, item]).ravel() for each in HALF_LIVES]
        columns += [model.scores(task, rows)[owner, item] for model in self.models_]
        columns += [Trend(days).fit(task).scores(task, rows)[owner, item] for days in TRENDS]
        size = np.diff(task.baskets.indptr)
        earlier = look_back(task, task.start[rows], rows, task.day[rows]) @ size
        columns += [task.items["count"].to_numpy()[item], (earlier / (rows - task.start[rows]))[owner]]
        columns += [size[at - 1], task.known_ahead[at, 0], task.day[at] // 1 % 7]
        return np.column_stack(columns).astype(np.float32)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        """Score candidates by the trees; the other items follow, in the order of the first stage."""
        owner, item = self._candidates(task, rows)
        value = np.asarray(self.trees_.predict(self._features(task, rows, owner, item)))
        scores = self.new_.scores(task.ask("discovery"), rows).astype(float)
        scores = value.min() - 1 + 1e-3 * (scores - scores.max())
        scores[owner, item] = value
        return scores
