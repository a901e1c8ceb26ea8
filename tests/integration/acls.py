"""A broker with an authorizer, and the access-control entries of its topics."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from aiokafka.protocol.api import Request

from deploy.local.stack import Stack

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
EVERYONE = "User:ANONYMOUS"
TOPIC, LITERAL = 2, 3
ANY, ALL, READ = 1, 2, 3
DENY, ALLOW = 2, 3


async def restart_with_authorizer(stack: Stack) -> None:
    """Restart the only node of a stack with Kafka's own authorizer."""
    await stack.broker.stop()
    (config,) = stack.folder.data.glob("apache-kafka-1-of-1/server.properties")
    with config.open("a") as lines:
        lines.writelines(f"{key}={value}\n" for key, value in AUTHORIZER.items())
    await stack.broker.start()


async def deny_reading(stack: Stack, topic: str) -> None:
    """Refuse fetches of a topic. Its metadata stays visible."""
    await _create(stack, topic, ALL, ALLOW)
    await _create(stack, topic, READ, DENY)


async def deny_everything(stack: Stack, topic: str) -> None:
    """Refuse every operation on a topic, also to see that it exists."""
    await _create(stack, topic, ALL, DENY)


async def remove_entries(stack: Stack, topic: str) -> None:
    """Remove all entries of a topic: anyone may use it again."""
    answer = await _send(stack, DeleteAclsRequest(TOPIC, topic, LITERAL, None, None, ANY, ANY))
    ((code, message, entries),) = answer.filter_responses
    assert code == 0, message
    assert entries


async def _create(stack: Stack, topic: str, operation: int, permission: int) -> None:
    request = CreateAclsRequest(TOPIC, topic, LITERAL, EVERYONE, "*", operation, permission)
    ((code, message),) = (await _send(stack, request)).creation_responses
    assert code == 0, message


async def _send(stack: Stack, request: Request) -> Any:
    """Send a request of the Kafka protocol that the admin client has no method for."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP"])
    await admin.start()
    try:
        return await admin._send_request(request)
    finally:
        await admin.close()
