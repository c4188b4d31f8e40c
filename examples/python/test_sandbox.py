"""Tests of a program that sends messages, against the sandbox."""

import json
import urllib.request

import grpc
import pytest

import mesibo_client
from mesibo.v1.message_service_pb2 import SendMessageRequest
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
