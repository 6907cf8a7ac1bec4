"""The gateway's own HTTP door (CONTRACT, "Gateway"): numbers, alarms, three verbs, and the local person's page."""

from edge.web.api import create_app
from edge.web.metrics import Durations
from edge.web.page import LocalPage
from edge.web.secrets import load_or_create_secret, load_or_create_token, person_token
from edge.web.view import AlarmView, Figures, GatewayView, PointView

__all__ = [
    "AlarmView",
    "Durations",
    "Figures",
    "GatewayView",
    "LocalPage",
    "PointView",
    "create_app",
    "load_or_create_secret",
    "load_or_create_token",
    "person_token",
]
