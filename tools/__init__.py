"""What the project does to itself: is this machine ready, run and test the notebooks, their form, the book."""
