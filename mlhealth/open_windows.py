"""Windows that are open hold a configuration to their length."""

from __future__ import annotations

from mlhealth.clock import format_duration
from mlhealth.config.service import Config
from mlhealth.errors import ConfigError
from mlhealth.store.checkpoints import open_lengths
from mlhealth.store.database import Database


def check_lengths(database: Database, config: Config) -> None:
    """Raise ConfigError where rows are counted in windows (or panes) of another length than is configured now."""
    with database.read() as connection:
        found = open_lengths(connection)
    for model, version, length in found:
        pane = config.model(model).pane
        if length != pane:
            old, new = format_duration(length), format_duration(pane)
            raise ConfigError(
                f"models.{model}: version {version} has open windows in steps of {old}, which cannot become {new};"
                " keep window, slide and rows until they have closed, or retire the version"
            )
