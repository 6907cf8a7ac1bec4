"""Composition root of the gateway: builds every part, starts and stops them in order. May import everything."""

from edge.app.run import run_gateway

__all__ = ["run_gateway"]
