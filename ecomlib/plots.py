"""Figures that several notebooks share. Each returns an Axes and never calls show()."""

import matplotlib.pyplot as plt


def learning_curve(history: dict[str, list[float]], ylabel: str, title: str, ax=None):
    """Draw training and validation loss by epoch.

    Parameters
    ----------
    history : dict
        Keras' `History.history`: "loss" and, if present, "val_loss".
    ylabel : str
        The loss and its unit.
    title : str
        The message of the figure.

    Returns
    -------
    matplotlib Axes
    """
    ax = ax or plt.subplots()[1]
    epochs = range(1, len(history["loss"]) + 1)
    ax.plot(epochs, history["loss"], marker=".", label="training")
    if "val_loss" in history:
        ax.plot(epochs, history["val_loss"], marker=".", label="validation")
    ax.set(xlabel="epoch", ylabel=ylabel, title=title)
    ax.legend()
    return ax
