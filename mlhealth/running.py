"""A service at work: its threads, and the same again by a changed configuration without an end of the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from mlhealth import app
from mlhealth.alerts.changes import Changes
from mlhealth.app import Service
from mlhealth.config.service import Config, load
from mlhealth.errors import MlhealthError
from mlhealth.garbage import collect_rarely
from mlhealth.housekeeping import Housekeeper
from mlhealth.threads import single_threaded
from mlhealth.worker.loop import Worker

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0
"""How long a worker that stops may take to put everything away."""
FIXED = ("store", "listen")
"""What a process keeps for its life; a change of it waits for a restart."""
LOOK_SECONDS = 1.0


class Background:
    """A worker in a thread of its own; `failed` holds what ended it, if anything but `stop` did."""

    def __init__(self, work: Worker, stop: threading.Event) -> None:
        self.failed: BaseException | None = None
        self._work = work
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name="mlhealth-worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the end; False where it did not come in time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def unready(self) -> list[str]:
        """Return a sentence where the worker does not run."""
        if self.failed is not None:
            return [f"the worker ended: {self.failed}"]
        return [] if self._thread.is_alive() else ["the worker does not run"]

    def _run(self) -> None:
        try:
            with single_threaded():
                collect_rarely()
                self._work.run(self._stop)
        except Exception as error:
            logger.exception("the worker ended")
            self.failed = error
        finally:
            self._stop.set()


@dataclass
class _Crew:
    """The threads of one configuration; all of them end when `stop` is set."""

    background: Background | None
    stop: threading.Event
    threads: list[threading.Thread] = field(default_factory=list)

    def end(self) -> bool:
        """Let everything be put away; False where that did not succeed."""
        self.stop.set()
        drained = self.background is None or self.background.join(DRAIN_SECONDS)
        for thread in self.threads:
            thread.join(5.0)
        return drained and (self.background is None or self.background.failed is None)


class Running:
    """A service and its threads. `stop` ends the process; it is set, too, when the worker cannot go on.

    `reload` reads the configuration again, and so does a change of its file. What is wrong is refused in one line and
    everything stays as it is; else the worker puts everything away and another goes on from its checkpoint.
    """

    def __init__(self, path: Path, service: Service, stop: threading.Event) -> None:
        self.service = service
        self.stop = stop
        self._path = path
        self._stamp = _stamp(path)
        self._asked = threading.Event()
        self._crew = _crew(service)
        self._thread = threading.Thread(target=self._watch, name="mlhealth-running", daemon=True)

    def start(self) -> None:
        """Begin; ends the process when the worker ends."""
        self._thread.start()

    def ask_to_reload(self) -> None:
        """Read the configuration again soon; may be called from a signal handler."""
        self._asked.set()

    def unready(self) -> list[str]:
        """Return a sentence where the worker does not run."""
        return [] if self._crew.background is None else self._crew.background.unready()

    def end(self) -> bool:
        """Stop, and let everything be put away; False where that did not succeed."""
        self.stop.set()
        self._thread.join(DRAIN_SECONDS)
        return self._crew.end()

    def _watch(self) -> None:
        while not self.stop.wait(LOOK_SECONDS):
            if self._crew.stop.is_set():
                self.stop.set()
                return
            stamp = _stamp(self._path)
            if stamp != self._stamp or self._asked.is_set():
                self._stamp = stamp
                self._asked.clear()
                self._reload()

    def _reload(self) -> None:
        try:
            config = load(self._path)
            changed = _changes(self.service.config, config)
            kept = {name: getattr(self.service.config, name) for name in FIXED}
            service = app.rebuilt(self.service, config.model_copy(update=kept)) if changed else None
        except (MlhealthError, OSError) as error:
            logger.error("the changed configuration is refused, the old one stays: %s", error)  # noqa: TRY400 - one line
            return
        taken = [name for name in changed if name not in FIXED]
        if len(taken) < len(changed):
            waiting = ", ".join(name for name in changed if name in FIXED)
            logger.warning("%s: changed, but that takes a restart", waiting)
        if service is not None and taken:
            self._take_up(service, taken)

    def _take_up(self, service: Service, taken: Sequence[str]) -> None:
        """Let the threads of the old configuration end, and those of the new one begin."""
        for model in _recut(self.service.config, service.config):
            logger.warning(
                "models.%s: rows of windows that are open now are reported under the new lengths' bounds",
                model,
            )
        if not self._crew.end():
            logger.error("the worker did not put everything away in time; the process ends for a fresh start")
            self.stop.set()
            return
        self.service, self._crew = service, _crew(service)
        logger.info("the changed configuration is in force: %s", ", ".join(taken))


def _crew(service: Service) -> _Crew:
    """Start the threads of a service."""
    stop = threading.Event()
    background = Background(app.worker(service), stop)
    background.start()
    keeper = Housekeeper(service.database, service.config, service.clock)
    changes = Changes(service.database, lambda: service.rules.rules, service.config.models, service.clock)
    alerting = service.alerts.start(stop, {"mlhealth-changes": changes.run})
    return _Crew(background, stop, [*alerting, keeper.start(stop)])


def _changes(before: Config, after: Config) -> list[str]:
    """Return the blocks of the configuration that differ; of `models`, which models."""
    names = [n for n in Config.model_fields if getattr(before, n) != getattr(after, n) and n != "models"]
    models = {**before.models, **after.models}
    return names + [f"models.{m}" for m in sorted(models) if before.models.get(m) != after.models.get(m)]


def _recut(before: Config, after: Config) -> list[str]:
    """Return the models whose windows get other lengths."""
    lengths = attrgetter("pane", "size", "rows", "runs")
    models = sorted({*before.models, *after.models})
    return [m for m in models if lengths(before.model(m)) != lengths(after.model(m))]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
