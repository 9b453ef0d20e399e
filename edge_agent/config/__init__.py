"""agent.toml: one configuration for agent and updater, one file per group of sections."""

from edge_agent.config.capture import Capture
from edge_agent.config.device import Device, Mqtt, Repository
from edge_agent.config.exports import HomeAssistant, Log, Prometheus
from edge_agent.config.feedback import Feedback
from edge_agent.config.file import Config, load, parse
from edge_agent.config.gate import Gate
from edge_agent.config.models import Camera, Model, SelfTest
from edge_agent.config.monitors import Drift, Metrics
from edge_agent.config.page import Address, Page
from edge_agent.config.policy import Policy, Webhook

__all__ = [
    "Address",
    "Camera",
    "Capture",
    "Config",
    "Device",
    "Drift",
    "Feedback",
    "Gate",
    "HomeAssistant",
    "Log",
    "Metrics",
    "Model",
    "Mqtt",
    "Page",
    "Policy",
    "Prometheus",
    "Repository",
    "SelfTest",
    "Webhook",
    "load",
    "parse",
]
