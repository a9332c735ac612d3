"""What the project does to itself: set-up, check of the machine, run and test of notebooks, their form."""
