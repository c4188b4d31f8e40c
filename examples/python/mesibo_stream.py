"""Messages and users by the thousand, to copy next to mesibo_client.py.

A stream takes requests as fast as the server carries them out, and answers each by
itself. It ends with its server or its connection; what has no answer by then goes into
a new one.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

import mesibo_client

# How often a stream is opened, one time after the other, that brings no answer.
ATTEMPTS = 6

# The codes after which another stream goes on.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def send(
    method: Callable[..., Any], item: Callable[..., Any], requests: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    """Sends requests over a stream, and gives each with its answer, in any order.

    `method` is SendMessages or CreateUsers of a stub, and `item` the type of its items:
    SendMessagesRequest or CreateUsersRequest. An answer has a `response` or a `status`:
    mesibo_client.Failure.of_item reads the latter. A request that fails stops no other.

    Each message gets a `request_id` unless it has one, so that none is sent twice. A user
    whose answer was lost is created again, which gives it another token.

    Give it a channel of its own, and read on: no more is sent until answers are read.
    The requests are taken on another thread, one at a time.
    """
    queue = _Queue(requests)
    attempts = 0
    while True:
        opened = _Stream(queue)
        call = method(opened.items(item))
        try:
            for answer in call:
                attempts = 0
                yield queue.answered(answer.key), answer
            if not queue.unanswered:
                return
            # The server may not end a stream that has items without an answer.
            failure = "it ended before all was answered"
        except grpc.RpcError as error:
            failure = error
        finally:
            # Whoever stops reading ends the stream.
            opened.close()
            call.cancel()
        attempts += 1
        if isinstance(failure, grpc.RpcError) and failure.code() not in PASSING:
            raise failure
        if attempts == ATTEMPTS:
            raise ConnectionError(f"{ATTEMPTS} streams brought no answer: {failure}")
        if attempts > 1:
            time.sleep(0.1 * 2**attempts)


class _Queue:
    """Requests on their way. gRPC takes them on a thread of its own for each stream."""

    def __init__(self, requests: Iterable[Any]) -> None:
        # Who has it takes requests. They may be long in coming, and answers do not wait.
        self.lock = threading.Lock()
        self.unanswered: dict[str, Any] = {}
        self._requests = iter(requests)
        self._count = 0

    def next(self) -> tuple[str, Any] | None:
        """The next request that was never sent, with its key, while the lock is held."""
        request = next(self._requests, None)
        if request is None:
            return None
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = str(uuid.uuid4())
        self._count += 1
        key = str(self._count)
        self.unanswered[key] = request
        return key, request

    def answered(self, key: str) -> Any:
        """The request of an answer."""
        return self.unanswered.pop(key)


class _Stream:
    """What goes into one stream: first what the one before left without an answer."""

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
        self._is_closed = False
        self._again = list(queue.unanswered.items())

    def items(self, item: Callable[..., Any]) -> Iterator[Any]:
        for key, request in self._again:
            yield item(key=key, request=request)
        while True:
            with self._queue.lock:
                # What it takes after its end would be nobody's.
                taken = None if self._is_closed else self._queue.next()
            if taken is None:
                return
            key, request = taken
            yield item(key=key, request=request)

    def close(self) -> None:
        """It takes nothing more out of the queue."""
        with self._queue.lock:
            self._is_closed = True
