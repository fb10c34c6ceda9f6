"""Make the AsyncAPI 3 document of all topics that are not private, with Kafka's bindings.

It is written from the processor's side: it receives the inputs and sends the outputs. Payloads are
the JSON Schemas beside it.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.errors import RejectionCode
from schemas.examples import EXAMPLES
from schemas.halted import CONTENT_TYPE
from schemas.jsonschemas import OPEN, file_name, schema_id
from schemas.reasons import Change
from schemas.topics import INPUTS, ORDER_HALTED, REJECTED, Topic

Part = dict[str, Any]

_BINDING_VERSION: Final = "0.5.0"
_TOMBSTONE: Final = "OrderForgotten"
_REJECTED: Final = "RejectedRecord"
_SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"

_ABOUT: Final = (
    "Facts about a photo shop's orders go in, keyed by studio; one record for every change of an "
    "order's halt comes out. The names of topics may have a prefix, which is the deployment's "
    "choice. Every input has the same number of partitions, and so has order-halted. Producers use "
    "Kafka's default partitioner (murmur2 over the key); clients built on librdkafka set "
    "partitioner=murmur2_random. Consumers read with isolation.level=read_committed."
)

_KEYS: Final = {
    "studio_id": "studio_id in UTF-8, equal to the field of the same name.",
    "order key": (
        "studio_id and order_id, each percent-encoded (RFC 3986, everything but unreserved "
        "characters), joined by “/”. The partition is the studio's, not this key's."
    ),
    "rejected record's key": "The key of the rejected record, byte for byte.",
}

_TITLES: Final = {
    "order-placed": "An order was placed or amended",
    "order-cancelled": "An order was cancelled",
    "order-reinstated": "A cancelled order goes on",
    "asset-deleted": "Products, photos or packages were deleted",
    "asset-restored": "Products, photos or packages are there again",
    "lab-transfer": "A transfer to a lab started, succeeded or failed",
    "balance-changed": "A studio's balance or credit limit changed",
    "order-halted": "An order's halt opened, changed or ended",
    "orderhalt-rejected": "A record was not an event",
}


def asyncapi() -> Part:
    """Make the whole document."""
    outputs = (ORDER_HALTED, REJECTED)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:orderhalt",
        "info": {
            "title": "orderhalt",
            "version": "v1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE.decode(),
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The deployment's own Apache Kafka.",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
                "bindings": {"kafka": {"bindingVersion": _BINDING_VERSION}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in (*INPUTS, *outputs)},
        "operations": {
            **{f"receive-{topic.name}": _operation("receive", topic) for topic in INPUTS},
            **{f"send-{topic.name}": _operation("send", topic) for topic in outputs},
        },
        "components": {"messages": _messages()},
    }


def _channel(topic: Topic) -> Part:
    return {
        "address": topic.name,
        "title": _TITLES[topic.name],
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": _configuration(topic),
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _configuration(topic: Topic) -> Part:
    numbers = {
        name: int(value) if value.isdigit() else value for name, value in topic.config.items()
    }
    return {"cleanup.policy": [topic.cleanup], **numbers}


def _operation(action: str, topic: Topic) -> Part:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}


def _message_names(topic: Topic) -> tuple[str, ...]:
    if topic.value is None:
        return (_REJECTED,)
    name = topic.value.__name__
    return (name, _TOMBSTONE) if topic is ORDER_HALTED else (name,)


def _messages() -> Part:
    messages = {_message_names(topic)[0]: _event(topic) for topic in INPUTS}
    messages[_message_names(ORDER_HALTED)[0]] = {
        **_event(ORDER_HALTED),
        "description": (
            "CloudEvents 1.0 in Kafka's binary mode. Drop what has a sequence not above the last "
            "one seen for its key."
        ),
        "headers": _cloud_event_headers(),
    }
    messages[_TOMBSTONE] = {
        "title": "The order has been forgotten",
        "description": "No headers. It resets what a consumer remembers of the key's sequence.",
        "payload": {"type": "null"},
        "bindings": _key(ORDER_HALTED),
    }
    messages[_REJECTED] = {
        "title": _TITLES[REJECTED.name],
        "description": "Value, key and headers of the rejected record byte for byte; ours follow.",
        "contentType": "application/octet-stream",
        "payload": {"description": "Any bytes, or null."},
        "headers": _rejected_headers(),
        "bindings": _key(REJECTED),
    }
    return messages


def _event(topic: Topic) -> Part:
    return {
        "title": _TITLES[topic.name],
        "contentType": CONTENT_TYPE.decode(),
        "payload": {
            "schemaFormat": _SCHEMA_FORMAT,
            "schema": {"$ref": f"./{file_name(topic)}"},
        },
        "bindings": _key(topic),
        "examples": [{"payload": EXAMPLES[topic.name]}],
    }


def _key(topic: Topic) -> Part:
    key = {"type": "string", "description": _KEYS[topic.key]}
    return {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}}


def _text(description: str, **more: Any) -> Part:
    return {"type": "string", "description": description, **more}


def _cloud_event_headers() -> Part:
    types = [f"orderhalt.halt.{change}.v1" for change in Change]
    fields = {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": _text("event_id"),
        "ce_source": _text("/orderhalt, and the deployment's prefix after another / if it has one"),
        "ce_type": _text(f"orderhalt.halt.CHANGE.v1. {OPEN}", examples=types),
        "ce_subject": _text("The record's key."),
        "ce_time": _text("occurred_at", format="date-time"),
        "ce_dataschema": {"type": "string", "const": schema_id(ORDER_HALTED)},
        "content-type": {"type": "string", "const": CONTENT_TYPE.decode()},
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def _rejected_headers() -> Part:
    fields = {
        "orderhalt_error_code": _text(
            "Why; the first fault wins.", examples=[code.value for code in RejectionCode]
        ),
        "orderhalt_error": _text("One sentence that names the field."),
        "orderhalt_topic": _text("Where it was, with the prefix."),
        "orderhalt_partition": _text("Where it was, in decimal digits."),
        "orderhalt_offset": _text("Where it was, in decimal digits."),
        "orderhalt_timestamp": _text("The record's timestamp, in ms since 1970."),
    }
    omitted = _text("Only where no limit takes the record's bytes: what was left out.")
    return {
        "type": "object",
        "required": list(fields),
        "properties": {**fields, "orderhalt_omitted": omitted},
    }
