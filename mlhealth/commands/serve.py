"""`mlhealth serve`, `worker` and `api`: the service in one process, or its two halves apart."""

from __future__ import annotations

import logging
import signal
import ssl
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mlhealth.app import Service
    from mlhealth.config.listen import TlsConfig
    from mlhealth.probes import Probes
    from mlhealth.running import Running

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
LIVE_SECONDS = 2
"""How long a stopping process waits for answers under way; streams to live pages are cut after it."""


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("serve")(serve)
    app.command("worker")(worker)
    app.command("api")(api)


def serve(config: ConfigPath = Path("mlhealth.yaml")) -> None:
    """Read the sources, watch the models, tell people, and answer on HTTP, in one process."""
    _logging()
    running = _running(config)
    _answer(running.service, running.stop, running)
    _end(running)


def worker(
    config: ConfigPath = Path("mlhealth.yaml"),
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve /metrics and /healthz on this port of the host in `listen`; 0 takes any."),
    ] = None,
) -> None:
    """Read the sources and watch the models, without pages; several may share the work over PostgreSQL."""
    _logging()
    running = _running(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop.set())
    probes = None if metrics_port is None else _probes(running, metrics_port)
    while not running.stop.wait(0.5):
        pass
    _end(running, probes)


def api(config: ConfigPath = Path("mlhealth.yaml")) -> None:
    """Answer on HTTP: API and pages, without reading any source."""
    _logging()
    service = _service(config)
    stop = threading.Event()
    # Over PostgreSQL it also tells people, so that somebody does when every worker is dead.
    threads = [] if service.database.is_sqlite else service.alerts.start(stop)
    _answer(service, stop, None)
    for thread in threads:
        thread.join(5.0)


def _service(config: Path) -> Service:
    from mlhealth.config.service import load
    from mlhealth.starting import build_when_reachable

    return build_when_reachable(load(config))


def _running(config: Path) -> Running:
    """Start a service; SIGHUP, and a change of the file, let it take up another configuration."""
    from mlhealth.running import Running

    service = _service(config)
    service.database.claim()
    running = Running(config, service, threading.Event())
    signal.signal(signal.SIGHUP, lambda *_: running.ask_to_reload())
    running.start()
    return running


def _answer(service: Service, stop: threading.Event, running: Running | None) -> None:
    """Serve HTTP until a signal or `stop`."""
    import uvicorn

    from mlhealth.alerts.mlflow_registry import configured_registry
    from mlhealth.api.access import check_address
    from mlhealth.api.app import create_app
    from mlhealth.api.oidc import Oidc
    from mlhealth.api.services import Services
    from mlhealth.app import door
    from mlhealth.dashboards.web.settings_page import settings_page
    from mlhealth.queries.reports import Queries
    from mlhealth.store.tokens import Tokens

    def now() -> Service:
        """The service by the configuration in force."""
        return running.service if running else service

    listen = service.config.listen
    tokens = Tokens(service.database)
    check_address(listen, tokens, service.clock.now())
    services = Services(
        queries=Queries(service.database),
        tokens=tokens,
        registry=service.metrics.registry,
        clock=service.clock,
        host=listen.host,
        unready=running.unready if running else list,
        door=door(service),
        oidc=None if listen.oidc is None else Oidc(listen.oidc, service.clock),
        allow_open=listen.allow_open,
        listen=listen,
        settings=lambda: settings_page(now().config, now().rules.rules),
        models=configured_registry(service.config.registry),
    )
    settings: dict[str, Any] = {"log_config": None, "server_header": False, **_tls(listen.tls)}
    settings["timeout_graceful_shutdown"] = LIVE_SECONDS
    server = uvicorn.Server(uvicorn.Config(create_app(services), listen.host, listen.port, **settings))
    watch = threading.Thread(target=_stop_server, args=(server, stop), daemon=True)
    watch.start()
    server.run()
    stop.set()


def _tls(tls: TlsConfig | None) -> dict[str, Any]:
    """Return what uvicorn needs to serve HTTPS."""
    if tls is None:
        return {}
    found: dict[str, Any] = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    if tls.key_password is not None:
        found["ssl_keyfile_password"] = tls.key_password.get_secret_value()
    if tls.client_ca is not None:
        found |= {"ssl_ca_certs": tls.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return found


def _stop_server(server: object, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True  # type: ignore[attr-defined]


def _probes(running: Running, port: int) -> Probes:
    from mlhealth.probes import Probes

    host, registry = running.service.config.listen.host, running.service.metrics.registry
    probes = Probes(host, port, registry, running.unready)
    logging.getLogger(__name__).info("metrics on http://%s:%d/metrics", host, probes.port)
    return probes


def _end(running: Running, probes: Probes | None = None) -> None:
    is_clean = running.end()
    if probes is not None:
        probes.stop()
    if not is_clean:
        sys.exit(1)


def _logging() -> None:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("kafka").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)
