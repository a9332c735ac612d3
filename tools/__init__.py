"""What the project does to itself: set-up, check of the machine, run and test of notebooks, their form."""

import sys

# Of nbformat's imports, this one builds grammars of web addresses for a second, and no notebook needs them.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
