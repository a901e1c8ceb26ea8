"""Install Apache Kafka for this user unless it is installed: python -m deploy.local.apache_kafka"""

import asyncio
import sys

from deploy.local.apache_kafka.fetching import CannotFetchKafka
from deploy.local.apache_kafka.install import install
from deploy.local.missing import MissingServer
from deploy.local.processes import ProcessFailed


def main() -> int:
    try:
        asyncio.run(install(lambda line: print(line, flush=True)))
    except (CannotFetchKafka, MissingServer, ProcessFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
