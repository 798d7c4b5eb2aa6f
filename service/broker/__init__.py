"""Where orders go: the protocol that a broker keeps, and the paper broker."""

from service.broker.paper import PaperBroker
from service.broker.protocol import Broker, SessionMarket

__all__ = ["Broker", "PaperBroker", "SessionMarket"]
