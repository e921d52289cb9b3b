"""The product's worker and relay on the queue that the environment names: processes of one test among many."""

import os

from dramatiq import Broker

from marketbill.config import settings
from marketbill_workers import broker, jobs, main, relay

broker.NAMESPACE = broker.QUEUE = jobs.QUEUE = relay.QUEUE = os.environ["TEST_QUEUE"]


def set_up() -> Broker:
    return main.set_up()


if __name__ == "__main__":
    relay.run(settings())
