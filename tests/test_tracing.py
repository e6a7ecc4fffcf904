"""OpenTelemetry traces as a collector receives them from the built program."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from geosvc.observe.tracing import UNTRACED_ROUTES, start_tracing
from geosvc.routes import ADMIN_ROUTES, ROUTES
from tests.conftest import ClientOf, execute, settings_for
from tests.processes import Running, serving, unexpected

SECRET = "hunter2-is-no-password"
ITEM = "/collections/countries/items/FRA"
PARENT = "00f067aa0ba902b7"


def values(told: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by name."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in told}


@dataclass
class Collector:
    """Where spans arrive, and all bytes of the requests that brought them, not compressed."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    received: bytes = b""

    def take(self, body: bytes) -> None:
        self.received += body
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(values(sent.resource.attributes))
            for scope in sent.scope_spans:
                self.spans += scope.spans

    def of(self, trace_id: str, kind: "Span.SpanKind.ValueType | None" = None) -> list[Span]:
        """The spans of a trace, in the order of their beginning."""
        found = [
            span
            for span in self.spans
            if span.trace_id.hex() == trace_id and kind in (None, span.kind)
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A arrived of OTLP over HTTP."""

    class Receives(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.take(
                gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            )
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receives)
    arrived = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield arrived
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def send(url: str, **headers: str) -> tuple[str, int, dict[str, str]]:
    """(trace id, status, headers of the response) of a GET within a new trace."""
    trace_id = token_hex(16)
    given = {"traceparent": f"00-{trace_id}-{PARENT}-01", **headers}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=given), timeout=20
        ) as response:
            response.read()
            return trace_id, response.status, dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return trace_id, error.code, dict(error.headers)


def attributes(span: Span) -> dict[str, Any]:
    """Its attributes by name."""
    return values(span.attributes)


def ends_well(running: Running) -> None:
    assert running.stop() == 0
    assert not unexpected(running)


def test_a_request_is_one_server_span_with_its_statements_below(
    collector: Collector, sample_url: str
) -> None:
    with serving(sample_url, otel="true") as running:
        trace_id, status, headers = send(running.url + ITEM, **{"X-Request-ID": "asked-for/1"})
        assert (status, headers["X-Request-ID"]) == (200, "asked-for/1")
        assert not collector.of(trace_id)  # they wait to be sent together
        ends_well(running)
    (server,) = collector.of(trace_id, Span.SPAN_KIND_SERVER)
    *_, statement = collector.of(
        trace_id, Span.SPAN_KIND_CLIENT
    )  # behind those of a new connection
    assert (server.kind, statement.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert server.parent_span_id.hex() == PARENT
    assert statement.parent_span_id == server.span_id
    assert server.start_time_unix_nano <= statement.start_time_unix_nano
    assert statement.end_time_unix_nano <= server.end_time_unix_nano
    assert server.name == "GET /collections/{collectionId}/items/{featureId}"
    told = attributes(server)
    assert told["http.status_code"] == 200
    assert told["geosvc.request_id"] == "asked-for/1"
    assert told["geosvc.collection"] == "countries"
    assert attributes(statement)["geosvc.statement"].startswith("items.")
    assert "$1" in attributes(statement)["db.statement"]
    resource = collector.resources[0]
    assert resource["service.name"] == "geosvc"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", resource["service.version"])


def test_every_kind_of_request_has_one_server_span(collector: Collector, sample_url: str) -> None:
    paths = (
        "/",
        "/collections",
        "/collections/countries/items?limit=3",
        "/collections/countries/export",
        "/nowhere",
        ITEM,
    )
    with serving(sample_url, otel="true", stream_above_rows="10") as running:
        answers = [send(running.url + path) for path in paths]
        ends_well(running)
    assert [status for _, status, _ in answers] == [200, 200, 200, 200, 404, 200]
    for trace_id, status, headers in answers:
        (server,) = collector.of(trace_id, Span.SPAN_KIND_SERVER)
        assert attributes(server)["http.status_code"] == status
        assert attributes(server)["geosvc.request_id"] == headers["X-Request-ID"]
        for statement in collector.of(trace_id, Span.SPAN_KIND_CLIENT):
            assert statement.parent_span_id == server.span_id
    assert [len(collector.of(trace_id, Span.SPAN_KIND_CLIENT)) > 0 for trace_id, _, _ in answers][
        2:
    ] == [
        True,
        True,
        False,
        True,
    ]


def test_what_geosvc_does_by_itself_and_for_operators_has_no_spans(
    collector: Collector, sample_url: str
) -> None:
    with serving(sample_url, "--workers", "2", otel="true", catalog_poll_seconds="0.1") as running:
        running.wait_for("server_started", 2)
        for path in ("/livez", "/readyz", "/metrics", "/slow-queries", "/activity", "/pool"):
            assert send(running.admin_url + path)[1] == 200
        time.sleep(0.5)
        trace_id, _, _ = send(running.url + ITEM)
        ends_well(running)
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}


def test_the_routes_without_spans_are_those_of_the_admin_listener_alone() -> None:
    # the overview has the path of the landing page
    assert {route.path for route in ADMIN_ROUTES} - {"/"} == UNTRACED_ROUTES - {"/{part}"}
    assert not {route.path for route in ROUTES} & UNTRACED_ROUTES


def with_password(url: str, user: str, password: str) -> str:
    """A DSN of the same database for somebody else."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))


@pytest.mark.parametrize("conventions", ["", "http,database"])
def test_no_value_of_a_request_and_no_secret_is_sent(
    collector: Collector, bare_database_url: str, monkeypatch: pytest.MonkeyPatch, conventions: str
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", conventions)
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel,process")
    execute(
        bare_database_url,
        """CREATE TABLE people (name text PRIMARY KEY, geom geometry(Point, 4326));
        INSERT INTO people VALUES ('nobody-may-know', ST_SetSRID(ST_Point(1, 2), 4326));
        CREATE SCHEMA geosvc_functions;
        CREATE FUNCTION geosvc_functions.refuses(words text) RETURNS TABLE (id int, geom geometry) LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused: %', words; END $$;
        CREATE VIEW breaks AS
        SELECT i AS id, ST_Point(i, 1)::geometry(Point, 4326) AS geom, ('nobody-may-know' || (i > 3000))::text::boolean AS odd
        FROM generate_series(1, 5000) i;""",
    )
    values = (
        "nobody-may-know",
        "12.3456789",
        "strange-parameter",
        "Refused-Words",
        "agent-of-chaos@example.org",
    )
    url = with_password(
        bare_database_url, urlsplit(bare_database_url).username or "postgres", SECRET
    )
    paths = (
        "/collections/people/items/nobody-may-know",
        "/collections/people/items?name=nobody-may-know",
        "/collections/people/items?bbox=1,1,12.3456789,12.3456789",
        "/collections/people/items?strange-parameter=agent-of-chaos@example.org",
        "/collections/refuses/items?words=Refused-Words",
        "/collections/breaks/items",
        "/nowhere/nobody-may-know?sig=strange-parameter#agent-of-chaos@example.org",
    )
    with serving(url, otel="true") as running:
        answers = [send(running.url + path)[1] for path in paths]
        assert answers[:4] == [200, 200, 200, 400]
        assert min(answers[4:6]) >= 400
        assert running.stop() == 0
    assert len([span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]) == len(
        paths
    )
    failed = [span for span in collector.spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert {
        attributes(span)["db.response.status_code"]
        for span in failed
        if span.kind == Span.SPAN_KIND_CLIENT
    } >= {"P0001"}
    for secret in (
        SECRET,
        bare_database_url,
        url,
        "postgresql://",
        "command_line",
        "command_args",
        *values,
    ):
        assert secret.encode() not in collector.received, secret
    assert not [span for span in collector.spans if span.events or span.status.message]
    assert all(resource["service.name"] == "geosvc" for resource in collector.resources)


def test_a_stream_that_breaks_off_sends_no_message(
    collector: Collector, bare_database_url: str
) -> None:
    execute(
        bare_database_url,
        """CREATE TABLE points AS SELECT i AS id, ST_SetSRID(ST_Point(1, 1), 4326)::geometry(Point, 4326) AS geom
        FROM generate_series(1, 50000) i;
        CREATE FUNCTION tell(id int) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN IF id > 20000 THEN RAISE EXCEPTION 'nobody-may-know'; END IF; RETURN id; END $$;
        CREATE VIEW breaks AS SELECT id, geom, tell(id) AS told FROM points;""",
    )
    with serving(bare_database_url, otel="true") as running:
        with pytest.raises((OSError, IncompleteRead)):
            send(f"{running.url}/collections/breaks/export")
        running.wait_for("stream_aborted")
        running.stop()
    (server,) = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert server.status.code == Status.STATUS_CODE_ERROR
    assert attributes(server)["geosvc.aborted"]
    assert "P0001" in [attributes(span).get("db.response.status_code") for span in collector.spans]
    assert b"nobody-may-know" not in collector.received


def test_look_ups_that_share_a_statement_keep_to_their_own_traces(
    collector: Collector, sample_url: str
) -> None:
    with serving(sample_url, otel="true") as running, ThreadPoolExecutor(16) as pool:
        with urllib.request.urlopen(
            f"{running.url}/collections/cities/items?limit=40", timeout=20
        ) as response:
            ids = [feature["id"] for feature in json.load(response)["features"]]
        answers = list(
            pool.map(lambda each: send(f"{running.url}/collections/cities/items/{each}"), ids * 10)
        )
        ends_well(running)
    statements = {
        span.span_id: span for span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT
    }
    shared = 0
    for trace_id, status, _ in answers:
        assert status == 200
        (server,) = collector.of(trace_id, Span.SPAN_KIND_SERVER)
        own = collector.of(trace_id, Span.SPAN_KIND_CLIENT)
        assert (
            len([span for span in own if "geosvc.statement" in attributes(span)])
            + len(server.links)
            == 1
        ), (
            own,
            server.links,
        )
        for span in own:
            assert span.parent_span_id == server.span_id
            assert (
                server.start_time_unix_nano
                <= span.start_time_unix_nano
                <= server.end_time_unix_nano
            )
        for link in server.links:
            shared += 1
            statement = statements[link.span_id]
            assert statement.start_time_unix_nano <= server.end_time_unix_nano
            assert server.start_time_unix_nano <= statement.end_time_unix_nano
    assert shared, "no look-up was shared: nothing was tested"


def test_both_of_two_workers_send(
    collector: Collector, sample_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel,process")
    with serving(sample_url, "--workers", "2", otel="true") as running:
        running.wait_for("server_started", 2)
        answers = [send(running.url + ITEM) for _ in range(40)]
        ends_well(running)
    for trace_id, status, _ in answers:
        assert status == 200
        server, statement = collector.of(trace_id)[:2]
        assert statement.parent_span_id == server.span_id
    assert len({resource["process.pid"] for resource in collector.resources}) == 2


def test_the_variables_of_the_sdk_are_obeyed(
    collector: Collector, sample_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "maps")
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES", "service.version=blue,deployment.environment=test"
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with serving(sample_url, otel="true") as running:
        with urllib.request.urlopen(running.url + ITEM, timeout=20) as response:
            assert response.status == 200
        trace_id, _, _ = send(running.url + ITEM)
        deadline = time.monotonic() + 10
        while len(collector.of(trace_id)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ends_well(running)
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
    resource = collector.resources[0]
    assert (resource["service.name"], resource["service.version"]) == ("maps", "blue")
    assert resource["deployment.environment"] == "test"


def test_nothing_is_sent_unless_it_is_asked_for(collector: Collector, sample_url: str) -> None:
    with serving(sample_url) as running:
        assert send(running.url + ITEM)[1] == 200
        ends_well(running)
    assert not collector.received


def test_a_collector_that_is_away_or_hangs_keeps_nobody(
    sample_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        for listens in (False, True):
            if listens:
                hanging.listen()
            monkeypatch.setenv(
                "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{hanging.getsockname()[1]}"
            )
            with serving(sample_url, otel="true") as running:
                assert send(running.url + ITEM)[1] == 200
                started = time.monotonic()
                assert running.stop() == 0
                assert time.monotonic() - started < 8


@pytest.mark.filterwarnings("ignore:Inheritance class _InstrumentedApplication")
async def test_an_exception_that_escapes_is_not_quoted(
    collector: Collector, client_of: ClientOf
) -> None:
    async def fail(_: web.Request) -> web.Response:
        raise RuntimeError("nobody-may-know")

    untouched = web.Application
    stop = start_tracing(settings_for("postgresql://localhost/none", otel=True))
    try:
        app = web.Application()
        app.router.add_get("/fails", fail)
        client = await client_of(app)
        assert (await client.get("/fails")).status == 500
    finally:
        stop()
    assert web.Application is untouched
    (span,) = collector.spans
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == "RuntimeError"
    assert span.dropped_events_count == 1
    assert b"nobody-may-know" not in collector.received


def refusal(url: str, code: str = "", **environment: str) -> str:
    """The only line of a program that does not start, with some code run before it."""
    command = [
        sys.executable,
        "-c",
        f"from geosvc.cli import main\n{code}\nmain()",
        "serve",
        "--database-url",
        url,
    ]
    command += ["--port", "0", "--admin-port", "0"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "GEOSVC_OTEL": "true", **environment},
    )
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    return line


def test_a_wrong_variable_is_said_in_one_line(sample_url: str) -> None:
    line = refusal(sample_url, OTEL_SPAN_LINK_COUNT_LIMIT="many")
    assert line.startswith("geosvc: an OTEL_ variable is wrong: OTEL_SPAN_LINK_COUNT_LIMIT")


WITHOUT_THE_PACKAGES = """
import sys
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


def test_without_the_packages_the_start_says_what_to_install(sample_url: str) -> None:
    assert "the extra otel (docs/tracing.md)" in refusal(sample_url, WITHOUT_THE_PACKAGES)
