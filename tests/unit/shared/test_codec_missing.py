"""A codec whose library is missing: the partition waits, visibly, and others go on."""

import subprocess
import sys

from tests.fakes.log import a_batch

SCRIPT = """
import asyncio, json, sys
sys.modules["cramjam"] = None  # as on a machine where it is not installed
from aiokafka import TopicPartition
from tests.fakes.log import Log
from tests.fakes.skipping_time import SkippingLoop

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)

async def main():
    log = Log(ZERO, ONE)
    log.append(ZERO, sys.stdin.buffer.read())
    consumer = await log.consumer()
    reading = asyncio.create_task(consumer.getmany())
    await asyncio.sleep(120)
    problem = consumer.problem()
    waits = not reading.done()
    log.append(ONE, bytes.fromhex(sys.argv[1]))
    (records,) = (await reading).values()
    await consumer.stop()
    print(json.dumps([waits, problem, records[0].value.decode()]))

loop = SkippingLoop()
loop.run_until_complete(main())
loop.close()
"""


def test_a_partition_whose_codec_is_missing_waits_visibly_and_the_other_goes_on() -> None:
    command = [sys.executable, "-c", SCRIPT, a_batch(b"plain").hex()]
    for codec in ("lz4", "snappy", "zstd"):
        packed = a_batch(b"packed", codec=codec)
        ran = subprocess.run(command, input=packed, capture_output=True, check=True)
        *lines, answer = ran.stdout.decode().splitlines()
        assert answer == (
            f'[true, "t[0] offset 0 cannot be read: UnsupportedCodecError: Libraries for {codec} '
            'compression codec not found", "plain"]'
        )
        assert sum("consumer_cannot_read" in line for line in lines) == 1, "logged once"
