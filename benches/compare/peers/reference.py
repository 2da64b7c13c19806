"""The Python server of the Workflows API with the three workflows that the bench uses.

    reference.py PORT [DATABASE]
"""

import asyncio
import logging
import sys

from workflows import Context, Workflow, step
from workflows.events import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent
from workflows.server import SqliteWorkflowStore, WorkflowServer


class StreamEvent(Event):
    message: str
    sequence: int


class RequestedExternalEvent(InputRequiredEvent):
    message: str


class ExternalEvent(HumanResponseEvent):
    response: str


class Echo(Workflow):
    @step
    async def process(self, ctx: Context, ev: StartEvent) -> StopEvent:
        message = await ctx.store.get("test_param", default=None) or ev.get("message", "default")
        return StopEvent(result=f"processed: {message}")


class Streaming(Workflow):
    @step
    async def stream_data(self, ctx: Context, ev: StartEvent) -> StopEvent:
        count = ev.get("count", 3)
        for sequence in range(count):
            ctx.write_event_to_stream(StreamEvent(message=f"event_{sequence}", sequence=sequence))
            # Lets the reader run.
            if sequence % 100 == 99:
                await asyncio.sleep(0)
        return StopEvent(result=f"completed_{count}_events")


class Interactive(Workflow):
    @step
    async def ask(self, ev: StartEvent) -> RequestedExternalEvent:
        return RequestedExternalEvent(message="ping")

    @step
    async def answer(self, ev: ExternalEvent) -> StopEvent:
        return StopEvent(result=f"received: {ev.response}")


logging.disable(logging.INFO)
server = WorkflowServer(workflow_store=SqliteWorkflowStore(sys.argv[2])) if len(sys.argv) > 2 else WorkflowServer()
server.add_workflow("echo", Echo(timeout=None))
server.add_workflow("streaming", Streaming(timeout=None))
server.add_workflow("interactive", Interactive(timeout=None))
settings = {"log_level": "warning", "access_log": False, "backlog": 4096}
asyncio.run(server.serve("127.0.0.1", int(sys.argv[1]), uvicorn_config=settings))
