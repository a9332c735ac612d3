"""The workshop kit: notes, timetables, slides and the server's table, made from the lessons themselves.

`python -m tools.teaching` renews the pages in `docs/teaching`; `book/build.py` makes the slides.
"""
