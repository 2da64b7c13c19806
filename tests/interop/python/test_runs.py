"""Runs: run_workflow, run_workflow_nowait, get_result, get_handlers, cancel_handler."""

import asyncio
import re
from datetime import datetime, timedelta

import httpx
import pytest
from conformance import ApprovalStart, FlakyStart, RequiredStartEvent
from workflows import Context, Workflow, step
from workflows.client import WorkflowClient
from workflows.events import StartEvent, StopEvent

pytestmark = pytest.mark.anyio


class Local(Workflow):
    """Any workflow: the client needs one to make a Context."""

    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


async def drain(client: WorkflowClient, handler_id: str) -> list:
    """Reads the feed to its end, which is when the final state is stored."""
    return [event async for event in client.get_workflow_events(handler_id)]


async def fails(call, status: int, text: str) -> None:
    with pytest.raises(httpx.HTTPStatusError) as error:
        await call
    assert error.value.response.status_code == status, error.value
    assert re.search(text, error.value.response.text), error.value.response.text


async def test_health_is_healthy(client):
    assert (await client.is_healthy()).status == "healthy"


async def test_workflows_are_listed_in_order_of_registration(client):
    assert (await client.list_workflows()).workflows == [
        "echo",
        "error",
        "streaming",
        "interactive",
        "approval",
        "cumulative",
        "structured",
        "fan_out",
        "looping",
        "branching",
        "flaky",
        "sleepy",
        "timeout",
    ]


@pytest.mark.parametrize(
    ("start_event", "message"),
    [
        (None, "default"),
        ({}, "default"),
        ({"message": "hi"}, "hi"),
        ({"type": "StartEvent", "value": {"message": "hi"}}, "hi"),
        ({"message": "hi", "further": [1, {"any": None}]}, "hi"),
        (StartEvent(), "default"),
        (StartEvent(message="hi"), "hi"),
        (StartEvent(message="snow ☃, \U0001f600, \"quoted\", \x00"), "snow ☃, \U0001f600, \"quoted\", \x00"),
    ],
)
async def test_run_takes_every_form_of_start_event(client, start_event, message):
    handler = await client.run_workflow("echo", start_event=start_event)
    assert handler.status == "completed"
    assert handler.result == f"processed: {message}"


@pytest.mark.parametrize(
    ("start_event", "message"),
    [
        (None, "default"),
        ({}, "default"),
        ({"message": "hi"}, "hi"),
        ({"type": "StartEvent", "value": {"message": "hi"}}, "hi"),
        (StartEvent(), "default"),
        (StartEvent(message="hi"), "hi"),
    ],
)
async def test_nowait_takes_every_form_of_start_event(client, start_event, message):
    begun = await client.run_workflow_nowait("echo", start_event=start_event)
    await drain(client, begun.handler_id)
    assert (await client.get_result(begun.handler_id)).result == f"processed: {message}"


async def test_handler_has_its_ids_and_times(client):
    handler = await client.run_workflow("structured", start_event=RequiredStartEvent(message="hi"))
    assert re.fullmatch(r"[A-Za-z0-9]{10}", handler.handler_id)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", handler.run_id)
    assert (handler.workflow_name, handler.status, handler.error) == ("structured", "completed", None)
    started, completed = datetime.fromisoformat(handler.started_at), datetime.fromisoformat(handler.completed_at)
    assert started.utcoffset() == timedelta(0)
    assert started <= completed
    assert handler.updated_at == handler.completed_at


@pytest.mark.parametrize(
    ("workflow", "start_event", "result"),
    [
        ("streaming", {"count": 2, "delay_ms": 0}, "completed_2_events"),
        ("structured", RequiredStartEvent(message="hi"), "hi"),
        ("fan_out", {"items": [3, 1, 2]}, [9, 1, 4]),
        ("fan_out", {"items": []}, []),
        ("looping", {"target": 5}, 5),
        ("branching", {"kind": "left"}, "left"),
        ("branching", {"kind": "right"}, "right"),
        ("flaky", {"failures": 2}, 3),
        ("flaky", FlakyStart(failures=0), 1),
        ("sleepy", {"delay_ms": 1}, "slept 1"),
        ("timeout", {"delay_ms": 1}, "slept 1"),
    ],
)
async def test_every_workflow_gives_its_result(client, workflow, start_event, result):
    handler = await client.run_workflow(workflow, start_event=start_event)
    assert (handler.status, handler.result) == ("completed", result)


async def test_unknown_workflow_is_404(client):
    await fails(client.run_workflow("nope"), 404, "^Workflow not found$")
    await fails(client.run_workflow_nowait("nope"), 404, "^Workflow not found$")


async def test_failing_workflow_is_500_with_its_error(client):
    await fails(client.run_workflow("error"), 500, "^Error running workflow: Test error$")


@pytest.mark.parametrize("start_event", [{}, {"message": 1}, {"type": "Nope", "value": {}}, {"_data": {}}])
async def test_bad_start_event_is_400(client, start_event):
    await fails(client.run_workflow("structured", start_event=start_event), 400, "^Validation error for 'start_event': ")
    await fails(client.run_workflow_nowait("structured", start_event=start_event or {"x": 1}), 400, "start_event")


async def test_start_event_of_another_workflow_is_400(client):
    await fails(client.run_workflow_nowait("structured", start_event=ApprovalStart(subject="x")), 400, "ApprovalStart")


async def test_context_brings_its_state(client):
    state = {"test_param": '"from context"'}
    context = {"version": 1, "state": {"state_type": "DictState", "state_data": {"_data": state}}, "is_running": False}
    handler = await client.run_workflow("echo", context=context)
    assert handler.result == "processed: from context"


async def test_context_object_is_taken_as_the_client_writes_it(client):
    context = Context(Local())
    await context.store.set("test_param", "from an object")
    assert (await client.run_workflow("echo", context=context)).result == "processed: from an object"
    begun = await client.run_workflow_nowait("echo", context=context)
    await drain(client, begun.handler_id)
    assert (await client.get_result(begun.handler_id)).result == "processed: from an object"


async def test_handler_is_continued_with_its_state(client):
    first = await client.run_workflow("cumulative", start_event={"increment": 5})
    second = await client.run_workflow("cumulative", handler_id=first.handler_id, start_event=StartEvent(increment=3))
    third = await client.run_workflow_nowait("cumulative", handler_id=first.handler_id)
    await drain(client, third.handler_id)
    assert first.result == "count: 5, runs: 1"
    assert second.result == "count: 8, runs: 2"
    assert (await client.get_result(first.handler_id)).result == "count: 9, runs: 3"
    assert len({first.handler_id, second.handler_id, third.handler_id}) == 1
    assert len({first.run_id, second.run_id, third.run_id}) == 3
    assert len((await client.get_handlers()).handlers) == 1


async def test_unknown_handler_is_not_continued(client):
    await fails(client.run_workflow("cumulative", handler_id="nope"), 404, "^Handler not found$")
    await fails(client.run_workflow_nowait("cumulative", handler_id="nope"), 404, "^Handler not found$")
    assert (await client.get_handlers()).handlers == []


async def test_result_tells_running_completed_and_failed(client):
    running = await client.run_workflow_nowait("interactive")
    assert running.status == "running"
    result = await client.get_result(running.handler_id)
    assert (result.status, result.result, result.completed_at) == ("running", None, None)
    failed = await client.run_workflow_nowait("error")
    await drain(client, failed.handler_id)
    await fails(client.get_result(failed.handler_id), 500, "^Error getting workflow result: Test error$")
    await fails(client.get_result("nope"), 404, "^Handler not found$")


async def test_handlers_are_listed_in_order_of_creation(client):
    completed = await client.run_workflow("echo")
    failed = await client.run_workflow_nowait("error")
    await drain(client, failed.handler_id)
    running = await client.run_workflow_nowait("sleepy")
    handlers = (await client.get_handlers()).handlers
    assert [handler.handler_id for handler in handlers] == [
        completed.handler_id,
        failed.handler_id,
        running.handler_id,
    ]
    assert [handler.status for handler in handlers] == ["completed", "failed", "running"]
    assert handlers[1].error == "Test error"


async def test_retries_give_up_with_the_last_error(client):
    await fails(client.run_workflow("flaky", start_event={"failures": 3}), 500, "attempt 3 failed$")


async def test_timeout_fails_the_run_and_names_its_steps(client):
    text = r"Operation timed out after 0\.2 seconds\. Currently active steps: sleep$"
    await fails(client.run_workflow("timeout"), 500, text)


async def test_cancel_stops_and_purge_deletes(client):
    begun = await client.run_workflow_nowait("sleepy")
    assert (await client.cancel_handler(begun.handler_id)).status == "cancelled"
    await fails(client.get_result(begun.handler_id), 404, "^Handler not found$")
    [handler] = (await client.get_handlers()).handlers
    assert (handler.status, handler.error, handler.result) == ("cancelled", None, None)
    assert handler.completed_at is not None
    await fails(client.cancel_handler(begun.handler_id), 404, "^Handler not found: it has already been cancelled$")
    assert (await client.cancel_handler(begun.handler_id, purge=True)).status == "deleted"
    assert (await client.get_handlers()).handlers == []
    await fails(client.cancel_handler(begun.handler_id, purge=True), 404, "^Handler not found$")


async def test_purge_deletes_a_running_and_a_completed_handler(client):
    running = await client.run_workflow_nowait("sleepy")
    completed = await client.run_workflow("echo")
    for handler in (running, completed):
        assert (await client.cancel_handler(handler.handler_id, purge=True)).status == "deleted"
        await fails(client.get_result(handler.handler_id), 404, "^Handler not found$")
    assert (await client.get_handlers()).handlers == []


async def test_cancel_of_a_completed_handler_changes_nothing(client):
    handler = await client.run_workflow("echo")
    await fails(client.cancel_handler(handler.handler_id), 404, "^Handler not found: it has already completed$")
    assert (await client.get_result(handler.handler_id)).result == "processed: default"


async def test_one_connection_pool_serves_many_runs_at_once(base_url):
    async with httpx.AsyncClient(base_url=base_url) as pool:
        client = WorkflowClient(httpx_client=pool)
        runs = (client.run_workflow("echo", start_event={"message": str(n)}) for n in range(100))
        handlers = await asyncio.gather(*runs)
    assert [handler.result for handler in handlers] == [f"processed: {n}" for n in range(100)]
