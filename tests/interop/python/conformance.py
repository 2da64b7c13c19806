"""The events of the conformance workflows, as a Python program would declare them.

The module has the name that the server's qualified names have, so that the client finds the classes by itself.
"""

from workflows.events import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent


class StreamEvent(Event):
    message: str
    sequence: int


class RequestedExternalEvent(InputRequiredEvent):
    message: str


class ExternalEvent(HumanResponseEvent):
    response: str


class ApprovalStart(StartEvent):
    subject: str


class ApprovalRequested(InputRequiredEvent):
    subject: str


class ApprovalGiven(HumanResponseEvent):
    approved: bool
    by: str


class ApprovalResult(StopEvent):
    subject: str
    approved: bool
    by: str


class RequiredStartEvent(StartEvent):
    message: str


class FlakyStart(StartEvent):
    failures: int
    max_attempts: int = 3


class ItemDone(Event):
    index: int


class Tick(Event):
    n: int
