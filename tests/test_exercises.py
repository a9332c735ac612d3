"""Every self-check rejects its typical wrong answers; names and blanks are handled kindly."""

import importlib
import pkgutil
import re

import joblib
import numpy as np
import pytest

from ecomlib import exercises

MODULES = [m.name for m in pkgutil.iter_modules(exercises.__path__) if m.name.startswith("nb")]
for _name in MODULES:
    importlib.import_module(f"ecomlib.exercises.{_name}")
NAMES = sorted(exercises._EXERCISES)
# In these a network is trained, several times over: they are tested beside the lessons.
TRAINED = {"00.3", "10.3", "12.2", "13.2", "14.3", "15.3", "16.3", "17.2", "21.3", "22.2", "23.3", "32.3"}
TRAINED |= {"33.2", "42.2", "43.2", "51.3", "52.3", "53.3", "54.3", "55.3", "56.3", "61.3", "62.3"}


def each(names):
    """Parameters, with those marked slow in which a network is trained."""
    return [pytest.param(name, marks=pytest.mark.slow if name in TRAINED else ()) for name in names]


@pytest.fixture
def called(monkeypatch):
    """A prediction is a call of the model: tracing a graph for each takes longer."""
    import keras

    monkeypatch.setattr(keras.Model, "predict", lambda self, x, **options: np.asarray(self(x)))


FITS: dict[str, tuple] = {}  # what tells a fit apart -> its history, and what it ended in


@pytest.fixture
def once(called, monkeypatch):
    """Nothing is trained twice: the same network from the same weights on the same data ends the same.

    An answer is run on two shops that differ after the cutoff. Where it reads none of that, the two fits are
    one, and that of the next answer, which differs in the forecast alone, is the same again.
    """
    import keras

    fit = keras.Model.fit

    def kept(self, x, *rest, **options):
        strange = any("keras" not in type(layer).__module__ for layer in self.layers)
        if strange or not isinstance(self.loss, str) or "callbacks" in options:
            return fit(self, x, *rest, **options)
        made = str((self.get_config(), self.optimizer.get_config(), self.loss, self.run_eagerly))
        made = re.sub(r"_\d+\b", "", made)  # without the running numbers of names
        before = self.get_weights(), [v.numpy() for v in self.optimizer.variables]
        key = joblib.hash((made, before, x, rest, options))
        if key not in FITS:
            history = fit(self, x, *rest, **options)
            FITS[key] = history, self.get_weights(), [v.numpy() for v in self.optimizer.variables]
        history, weights, state = FITS[key]
        self.set_weights(weights)
        self.optimizer.build(self.trainable_variables)
        for variable, value in zip(self.optimizer.variables, state, strict=True):
            variable.assign(value)
        return history

    monkeypatch.setattr(keras.Model, "fit", kept)


@pytest.fixture
def one_step(once, monkeypatch):
    """One epoch becomes one step without a graph: what is wrong stays wrong."""
    import keras

    fit = keras.Model.fit

    def short(self, x, *rest, epochs=1, **options):
        if epochs == 1 and isinstance(x, np.ndarray):
            options["batch_size"], self.run_eagerly = len(x), True
        return fit(self, x, *rest, epochs=epochs, **options)

    monkeypatch.setattr(keras.Model, "fit", short)


@pytest.mark.parametrize("name", each(NAMES))
def test_wrong_answers_are_rejected(name, request):
    if name in TRAINED:
        request.getfixturevalue("one_step")
    for wrong in exercises.exercise(name).wrong:
        assert exercises.hint(name, wrong()), f"{name} accepts a wrong answer"


@pytest.mark.parametrize("name", each(n for n in NAMES if exercises._EXERCISES[n].right))
def test_right_answer_is_accepted(name, request):
    if name in TRAINED:
        request.getfixturevalue("once")
    assert exercises.hint(name, exercises.exercise(name).right()) is None


@pytest.mark.parametrize("name", NAMES)
def test_blank_is_not_yet(name, capsys):
    exercises.check(name, ...)
    assert capsys.readouterr().out.startswith("not yet")


def test_unknown_exercise_is_named():
    with pytest.raises(KeyError, match="there is no exercise '99.9'"):
        exercises.check("99.9", 1)
    with pytest.raises(KeyError, match="named like"):
        exercises.check("two", 1)


def test_a_checker_needs_two_wrong_answers():
    with pytest.raises(ValueError, match="two typical wrong answers"):
        exercises.checker("99.9", wrong=[lambda: 1])
