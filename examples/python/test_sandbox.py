"""Tests of a program that sends messages, against the sandbox."""

import json
import time
import urllib.request

import grpc
import pytest

import mesibo_client
import mesibo_stream
import sandbox as sandboxes
from mesibo.v1.message_service_pb2 import SendMessageRequest, SendMessagesRequest
from mesibo.v1.message_service_pb2_grpc import MessageServiceStub
from mesibo.v1.user_service_pb2 import CreateUserRequest, ListUsersRequest
from mesibo.v1.user_service_pb2_grpc import UserServiceStub


def create(world, *addresses):
    for address in addresses:
        request = CreateUserRequest(address=address, app_id="demo")
        UserServiceStub(world.channel).CreateUser(request)


def messages(world):
    """The messages of the world, from the API that the page uses."""
    url = f"{world.page}sandbox/messages?world={world.name}"
    with urllib.request.urlopen(url) as response:
        return json.load(response)["messages"]


def test_a_message_that_is_sent_arrives(world):
    create(world, "alice", "bob")
    request = SendMessageRequest(from_address="alice", to_address="bob", message="Hi")
    mesibo_client.once(MessageServiceStub(world.channel).SendMessage, request)
    assert [message["msg"] for message in messages(world)] == ["Hi"]


def test_a_message_with_an_id_is_sent_once(world):
    create(world, "alice", "bob")
    request = SendMessageRequest(from_address="alice", to_address="bob", message="Hi")
    send = MessageServiceStub(world.channel).SendMessage
    first = mesibo_client.once(send, request)
    assert mesibo_client.once(send, request) == first
    assert len(messages(world)) == 1


def test_a_failure_has_its_details(world):
    request = SendMessageRequest(from_address="nobody", to_address="x", message="Hi")
    with pytest.raises(grpc.RpcError) as error:
        MessageServiceStub(world.channel).SendMessage(request)
    failure = mesibo_client.Failure.of(error.value)
    assert (failure.code, failure.domain) == (grpc.StatusCode.NOT_FOUND, "mesibo.com")
    assert not failure.outcome_is_unknown


def test_a_world_begins_empty(world):
    assert not UserServiceStub(world.channel).ListUsers(ListUsersRequest()).users


def notes(count):
    """So many messages, as a program comes by them."""
    for number in range(count):
        yield SendMessageRequest(
            from_address="alice", to_address="bob", message=f"note {number}"
        )


def send(world, requests):
    stub = MessageServiceStub(world.channel)
    return mesibo_stream.send(stub.SendMessages, SendMessagesRequest, requests)


def test_a_stream_answers_each_message_and_a_bad_one_fails_alone(world):
    create(world, "alice", "bob")
    bad = SendMessageRequest(from_address="alice", to_address="bob")
    answers = list(send(world, [*notes(50), bad, *notes(50)]))
    failed = [answer for _, answer in answers if answer.HasField("status")]
    assert (len(answers), len(failed)) == (101, 1)
    failure = mesibo_client.Failure.of_item(failed[0].status)
    assert failure.reason == "INVALID_REQUEST"
    assert [violation.field for violation in failure.violations] == ["message"]
    assert len(messages(world)) == 100


def test_a_stream_goes_on_where_its_connection_ended():
    def slowly():
        for request in notes(60):
            time.sleep(0.05)
            yield request

    # A connection ends after a second, and the messages take three.
    with sandboxes.start("--max-connection-age=1s") as aging, aging.world() as world:
        create(world, "alice", "bob")
        answers = list(send(world, slowly()))
        assert all(answer.HasField("response") for _, answer in answers)
        texts = [message["msg"] for message in messages(world)]
    assert sorted(texts) == sorted(request.message for request in notes(60))


def test_who_stops_reading_a_stream_ends_it(world):
    create(world, "alice", "bob")
    answers = send(world, notes(1_000_000))
    next(answers)
    answers.close()
    assert len(messages(world)) < 1_000_000
