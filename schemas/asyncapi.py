"""The AsyncAPI 3 document of everything in the catalog."""

import re
from importlib.metadata import version
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from schemas.catalog import CATALOG, DIRECT, Entry
from schemas.events import EVENTS_EXCHANGE
from schemas.requests import REQUESTS_EXCHANGE

_TYPES: Final = {EVENTS_EXCHANGE: "topic", REQUESTS_EXCHANGE: "direct"}
_BINDING_VERSION: Final = "0.3.0"
_ABOUT: Final = (
    "Messages of Batchpay over RabbitMQ. Delivery is at least once and unordered: a receiver keeps the newest by"
    " `sequence` per subject, and ignores fields that it does not know."
)


def asyncapi() -> dict[str, Any]:
    """Channels are what can be bound or published to; operations are told from our side."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Batchpay", "version": version("batchpay"), "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {entry.name: _channel(entry) for entry in CATALOG},
        "operations": {_operation_name(entry): _operation(entry) for entry in CATALOG},
        "components": {"messages": {entry.name: _message(entry) for entry in CATALOG}, "schemas": _schemas()},
    }


def _channel(entry: Entry) -> dict[str, Any]:
    channel: dict[str, Any] = {
        # A queue that only the request names has no address of its own.
        "address": None if entry.key == "{reply_to}" else entry.key,
        "description": entry.summary,
        "messages": {entry.name: {"$ref": f"#/components/messages/{entry.name}"}},
    }
    if channel["address"] and (words := re.findall(r"\{(\w+)\}", entry.key)):
        channel["parameters"] = {word: {"description": "See `type` of the message."} for word in words}
    if entry.exchange != DIRECT:
        exchange = {"name": entry.exchange, "type": _TYPES[entry.exchange], "durable": True}
        binding: dict[str, Any] = {"is": "routingKey", "exchange": exchange}
    else:
        binding = {"is": "queue", "queue": {"name": entry.key, "durable": True}} if channel["address"] else {}
    if binding:
        channel["bindings"] = {"amqp": binding | {"bindingVersion": _BINDING_VERSION}}
    return channel


def _operation_name(entry: Entry) -> str:
    return f"{'send' if entry.ours else 'receive'}_{entry.name}"


def _operation(entry: Entry) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "send" if entry.ours else "receive",
        "channel": {"$ref": f"#/channels/{entry.name}"},
        "summary": entry.summary,
        "description": f"From {entry.sender} to {entry.receiver}.",
        "messages": [{"$ref": f"#/channels/{entry.name}/messages/{entry.name}"}],
    }
    if not entry.ours:
        operation["reply"] = {
            "address": {"location": "$message.header#/reply_to"},
            "channel": {"$ref": "#/channels/batch_answer"},
            "messages": [{"$ref": "#/channels/batch_answer/messages/batch_answer"}],
        }
    return operation


def _message(entry: Entry) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": entry.name,
        "title": f"{entry.name}, version {entry.version}",
        "payload": {"$ref": f"#/components/schemas/{entry.model.__name__}"},
    }
    if not entry.ours:
        properties = {
            "reply_to": {"type": "string", "description": "AMQP property: the queue for the answer."},
            "correlation_id": {"type": "string", "description": "AMQP property: comes back with the answer."},
            "authorization": {"type": "string", "description": "`Bearer <JWT>`, unless the body has `token`."},
        }
        message["headers"] = {"type": "object", "properties": properties}
        message["correlationId"] = {"location": "$message.header#/correlation_id"}
    return message


def _schemas() -> dict[str, Any]:
    models = {(entry.model, entry.mode) for entry in CATALOG}
    _, schema = models_json_schema(
        sorted(models, key=lambda one: one[0].__name__), ref_template="#/components/schemas/{model}"
    )
    definitions: dict[str, Any] = schema["$defs"]
    return definitions
