"""A folder of files as a source: NDJSON, Parquet and Arrow files, taken up as they appear, read on as they grow.

Every file is a partition whose offsets are its rows. Whose events a file holds: the model version named in the
configuration, else its folders (`MODEL/VERSION/file.parquet`), else what each line of NDJSON says. Files are only ever
added to: write a Parquet or Arrow file beside the folder and move it in. One worker reads a folder.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlhealth.config.sources import FilesConfig
from mlhealth.errors import SourceUnavailable
from mlhealth.events.messages import STREAM_END, Partition
from mlhealth.sources.base import Address, Owner, Poll
from mlhealth.sources.file_logs import SUFFIXES, FileLog, open_log
from mlhealth.sources.grouping import Grouping
from mlhealth.sources.positioned import PositionedSource

_POLL_BYTES = 16 * 1024 * 1024
_LOOK_SECONDS = 1.0


class FileSource(PositionedSource):
    """See `Source`; every file of the folder is this reader's."""

    def __init__(self, config: FilesConfig) -> None:
        super().__init__()
        self._config = config
        self._folder = Path(config.folder)
        self._logs: dict[Partition, FileLog] = {}
        self._next_look = 0.0

    def start(self, owner: Owner) -> None:
        super().start(owner)
        self._look()

    def poll(self, timeout: float) -> Poll:
        if time.monotonic() >= self._next_look:
            self._look()
        self._place()
        if self._paused:
            return Poll()
        found = self._read()
        if not found and timeout > 0:
            time.sleep(timeout)
            self._look()
            self._place()
            found = self._read()
        return found

    def partitions(self) -> Collection[Partition]:
        self._look()
        return sorted(self._logs)

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        with self._translated():
            return {p: self._logs[p].end() for p in partitions if p in self._logs}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Nobody else needs to know."""

    def _look(self) -> None:
        """Take up files that have appeared, and forget those that are gone."""
        self._next_look = time.monotonic() + _LOOK_SECONDS
        with self._translated():
            if not self._folder.is_dir():
                raise SourceUnavailable(
                    f"files {self._folder}: there is no such folder; make it, or correct the path"
                )
            found = {self._partition(path): path for path in self._paths()}
        gone = self._logs.keys() - found.keys()
        for partition in gone:
            del self._logs[partition]
            self._positions.pop(partition, None)
        self._fresh -= gone
        for partition, path in found.items():
            if partition not in self._logs:
                self._logs[partition] = open_log(path)
                self._fresh.add(partition)

    def _paths(self) -> list[Path]:
        return [
            path
            for path in sorted(self._folder.rglob("*"))
            if path.suffix in SUFFIXES
            and not path.name.startswith((".", "_"))
            and fnmatch.fnmatch(path.name, self._config.pattern)
            and path.is_file()
        ]

    def _partition(self, path: Path) -> Partition:
        return Partition(f"file:{self._folder}{STREAM_END}{path.relative_to(self._folder)}", 0)

    def _address(self, log: FileLog) -> Address:
        model = self._config.model
        if model is not None:
            return Address(model.model, model.version, log.format, model.sampling_fraction)
        folders = log.path.relative_to(self._folder).parts[:-1]
        return (
            Address(folders[0], folders[1], log.format) if len(folders) >= 2 else Address("", "", log.format)
        )

    def _bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        return {partition: (0, end) for partition, end in self.ends(partitions).items()}

    def _read(self) -> Poll:
        """Read a step of every file that has more, so that all advance together."""
        grouping = Grouping({})
        moved: dict[Partition, int] = {}
        size = 0
        for partition, position in sorted(self._positions.items()):
            log = self._logs[partition]
            with self._translated():
                rows = log.read(position) if log.end() > position else None
                if rows is None:
                    continue
                number = grouping.open(partition)
                grouping.put(self._address(log), number, rows.first, log.written, rows.body)
            moved[partition] = self._positions[partition] = rows.next
            size += len(rows.body)
            if size >= _POLL_BYTES:
                break
        return Poll(grouping.batches(), grouping.marks, moved)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceUnavailable(f"files {self._folder}: {error.strerror or error}") from error
