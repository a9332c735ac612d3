"""The parts of the course by the first digit of their lessons."""

PARTS = {
    "0": "Start",
    "1": "Foundations",
    "2": "Sales forecasting",
    "3": "Purchase prediction",
    "4": "Recommendation",
    "5": "Going further",
    "6": "Your own shop",
}
