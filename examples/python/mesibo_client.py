"""A client of mesibo-grpc, to copy into a program of your own.

It opens a channel by a URL, gives every call a deadline and the caller's key, repeats
what is safe to repeat, and reads errors from their details.
"""

import collections
import dataclasses
import os
import pathlib
import random
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

# Seconds that a call may take, if it says nothing else.
DEADLINE = 10.0

# docs/service-config.json, which repeats the calls that are safe to repeat and balances
# over all servers of a name. Keep it next to this file.
SERVICE_CONFIG = pathlib.Path(__file__).with_name("service-config.json")

# The codes after which a call with a request_id may be made again, with the same id.
REPEATABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
}

Response = TypeVar("Response")


def connect(
    url: str = "http://127.0.0.1:50051",
    *,
    key: str | None = os.environ.get("MESIBO_GRPC_KEY"),
    app: str | None = None,
    ca_file: str | None = os.environ.get("MESIBO_GRPC_CA_FILE"),
    service_config: pathlib.Path = SERVICE_CONFIG,
) -> grpc.Channel:
    """A channel to the server at a URL: over TLS for https, in plaintext for http.

    One channel serves all stubs and threads of a process. `ca_file` has the authorities
    to trust in the place of the usual ones. Close the channel at the end.
    """
    parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
    options = [
        ("grpc.service_config", service_config.read_text(encoding="utf-8")),
        # Finds out when a connection was dropped silently.
        ("grpc.keepalive_time_ms", 30_000),
    ]
    target = parts.netloc
    if parts.scheme == "https":
        roots = pathlib.Path(ca_file).read_bytes() if ca_file else None
        credentials = grpc.ssl_channel_credentials(roots)
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target, options)
    metadata = []
    if key:
        metadata.append(("authorization", f"Bearer {key}"))
    if app:
        metadata.append(("mesibo-app", app))
    return grpc.intercept_channel(channel, _Defaults(metadata))


def new_request_id() -> str:
    """An id for one message or group: made once, before the first attempt."""
    return str(uuid.uuid4())


def once(
    method: Callable[..., Response],
    request: Any,
    *,
    attempts: int = 4,
    deadline: float = DEADLINE,
) -> Response:
    """Makes a call that has a `request_id`, again and again until its outcome is known.

    Only SendMessage and CreateGroup take an id. Whatever was lost on the way, what the
    call asks for happens once. The deadline is for all attempts together.
    """
    if not request.request_id:
        request.request_id = new_request_id()
    end = time.monotonic() + deadline
    for attempt in range(attempts):
        try:
            return method(request, timeout=max(end - time.monotonic(), 0.001))
        except grpc.RpcError as error:
            failure = Failure.of(error)
            # At random, so that those who failed together do not come back together.
            pause = failure.retry_after or random.uniform(0, 0.1 * 2**attempt)
            is_last = attempt == attempts - 1 or time.monotonic() + pause >= end
            if error.code() not in REPEATABLE or is_last:
                raise
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


@dataclasses.dataclass
class Failure:
    """What a program can know of a call that failed."""

    code: grpc.StatusCode
    text: str
    # Who said no, "mesibo.com" or "mesibo-grpc", and why. Both are empty if the status
    # was made on the way: there is no connection, for example.
    domain: str
    reason: str
    # Whether what the call asks for may have happened: find out before you repeat it.
    outcome_is_unknown: bool
    # Every broken rule, with its field.
    violations: list[BadRequest.FieldViolation]
    # Seconds after which the call may be made again.
    retry_after: float | None

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Failure":
        """Reads the details of an error."""
        status = rpc_status.from_call(error)
        details = status.details if status else []
        return cls._read(error.code(), error.details() or "", details)

    @classmethod
    def of_item(cls, status: Any) -> "Failure":
        """Reads the status of an item of a stream, as that of a call of its own."""
        # Its fields have the numbers of google.rpc.Status.
        known = Status.FromString(status.SerializeToString())
        codes = {code.value[0]: code for code in grpc.StatusCode}
        return cls._read(codes[known.code], known.message, known.details)

    @classmethod
    def _read(
        cls, code: grpc.StatusCode, text: str, details: Iterable[any_pb2.Any]
    ) -> "Failure":
        info, bad_request, retry_info = ErrorInfo(), BadRequest(), RetryInfo()
        for detail in details:
            for message in (info, bad_request, retry_info):
                detail.Unpack(message)
        has_delay = retry_info.HasField("retry_delay")
        return cls(
            code=code,
            text=text,
            domain=info.domain,
            reason=info.reason,
            outcome_is_unknown=info.metadata.get("outcome") == "unknown",
            violations=list(bad_request.field_violations),
            retry_after=retry_info.retry_delay.ToTimedelta().total_seconds()
            if has_delay
            else None,
        )

    def __str__(self) -> str:
        if not self.reason:
            return f"{self.code.name}: {self.text}"
        lines = [f"{self.code.name}: {self.reason} from {self.domain}"]
        for violation in self.violations:
            lines.append(f"  {violation.field}: {violation.description}")
        if self.outcome_is_unknown:
            lines.append("  it may have been carried out: check before you repeat it")
        if self.retry_after is not None:
            lines.append(f"  repeat it in {self.retry_after:g} s")
        return "\n".join(lines)


class _Details(
    collections.namedtuple(
        "_Details",
        "method timeout metadata credentials wait_for_ready compression",
    ),
    grpc.ClientCallDetails,
):
    """What a call is made with."""


class _Defaults(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Gives every call but streams a deadline, and tells who calls."""

    def __init__(self, metadata: Iterable[tuple[str, str]]) -> None:
        self._metadata = list(metadata)

    def intercept_unary_unary(self, continuation, details, request):
        timeout = DEADLINE if details.timeout is None else details.timeout
        return continuation(self._with(details, timeout), request)

    def intercept_stream_stream(self, continuation, details, requests):
        return continuation(self._with(details, details.timeout), requests)

    def _with(self, details, timeout: float | None) -> _Details:
        return _Details(
            method=details.method,
            timeout=timeout,
            metadata=[*(details.metadata or []), *self._metadata],
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
            compression=details.compression,
        )
