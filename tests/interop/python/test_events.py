"""Events: get_workflow_events, send_event; a person in the loop."""

import asyncio
import re

import httpx
import pytest
from conformance import (
    ApprovalGiven,
    ApprovalRequested,
    ApprovalResult,
    ApprovalStart,
    ExternalEvent,
    ItemDone,
    RequestedExternalEvent,
    StreamEvent,
    Tick,
)
from workflows.events import StartEvent, StepState, StepStateChanged, StopEvent
from workflows.protocol import WorkflowEventsListResponse, WorkflowGraphResponse, WorkflowSchemaResponse

pytestmark = pytest.mark.anyio


async def fails(call, status: int, text: str) -> None:
    with pytest.raises(httpx.HTTPStatusError) as error:
        await call
    assert error.value.response.status_code == status, error.value
    assert re.search(text, error.value.response.text), error.value.response.text


async def test_events_arrive_in_order_and_load_as_their_classes(client):
    begun = await client.run_workflow_nowait("streaming", start_event={"count": 3, "delay_ms": 0})
    events = [event.load_event() async for event in client.get_workflow_events(begun.handler_id)]
    streamed = [StreamEvent(message=f"event_{n}", sequence=n) for n in range(3)]
    assert events == [*streamed, StopEvent(result="completed_3_events")]
    assert [type(event) for event in events] == [StreamEvent] * 3 + [StopEvent]


async def test_events_load_from_a_registry_too(client):
    begun = await client.run_workflow_nowait("looping", start_event={"target": 2})
    events = [event.load_event([Tick, StopEvent]) async for event in client.get_workflow_events(begun.handler_id)]
    assert events == [Tick(n=0), Tick(n=1), Tick(n=2), StopEvent(result=2)]


async def test_ten_thousand_events_arrive(client):
    begun = await client.run_workflow_nowait("streaming", start_event={"count": 10_000, "delay_ms": 0})
    sequence = [event.value.get("sequence") async for event in client.get_workflow_events(begun.handler_id)]
    assert sequence == [*range(10_000), None]


async def test_internal_events_show_every_step(client):
    begun = await client.run_workflow_nowait("fan_out", start_event={"items": [1, 2, 3]})
    events = [event async for event in client.get_workflow_events(begun.handler_id, include_internal_events=True)]
    changes = [event.load_event() for event in events if event.type == "StepStateChanged"]
    assert all(isinstance(change, StepStateChanged) for change in changes)
    assert all(event.types == ["InternalDispatchEvent"] for event in events if event.type == "StepStateChanged")
    assert {change.name for change in changes} == {"split", "square", "join"}
    running = [change for change in changes if change.name == "square" and change.step_state == StepState.RUNNING]
    ended = [change for change in changes if change.name == "square" and change.step_state == StepState.NOT_RUNNING]
    assert len(running) == len(ended) == 3
    assert sorted(event.value["index"] for event in events if event.type == "ItemDone") == [0, 1, 2]
    assert {type(event.load_event()) for event in events} == {StepStateChanged, ItemDone, StopEvent}


async def test_without_internal_events_none_shows(client):
    begun = await client.run_workflow_nowait("fan_out", start_event={"items": [1]})
    types = [event.type async for event in client.get_workflow_events(begun.handler_id)]
    assert types == ["ItemDone", "StopEvent"]


async def test_line_separators_inside_a_string_do_not_end_a_line(client):
    # The client splits NDJSON as str.splitlines does: at these characters too.
    message = "a\u2028b\u2029c\u0085d\x0be\x1cf"
    begun = await client.run_workflow_nowait("echo", start_event=StartEvent(message=message))
    [stop] = [event async for event in client.get_workflow_events(begun.handler_id)]
    assert stop.load_event().result == f"processed: {message}"


async def test_drained_feed_is_empty(client):
    begun = await client.run_workflow_nowait("echo")
    assert [event.type async for event in client.get_workflow_events(begun.handler_id)] == ["StopEvent"]
    assert [event.type async for event in client.get_workflow_events(begun.handler_id)] == []


async def test_feed_of_a_failed_run_ends_with_a_stop_event_that_says_why(client):
    begun = await client.run_workflow_nowait("error")
    [stop] = [event async for event in client.get_workflow_events(begun.handler_id)]
    assert (stop.type, stop.value) == ("StopEvent", {"status": "failed", "error": "Test error", "step": "error_step"})
    assert stop.load_event().result is None


async def test_feed_of_a_cancelled_run_ends(client):
    begun = await client.run_workflow_nowait("sleepy")
    await client.cancel_handler(begun.handler_id)
    types = [event.type async for event in client.get_workflow_events(begun.handler_id)]
    assert types == ["StopEvent"]


async def test_unknown_handler_has_no_events(client):
    with pytest.raises(ValueError, match="Handler not found"):
        await anext(client.get_workflow_events("nope"))
    await fails(client.send_event("nope", ExternalEvent(response="x")), 404, "^Handler not found$")


async def test_second_reader_waits_and_is_refused(client):
    begun = await client.run_workflow_nowait("interactive")
    first = client.get_workflow_events(begun.handler_id)
    assert (await anext(first)).type == "RequestedExternalEvent"
    second = client.get_workflow_events(begun.handler_id, lock_timeout=0.1)
    # The client means to show the text of the 409, but cannot read the body of a stream.
    with pytest.raises(httpx.ResponseNotRead) as error:
        await anext(second)
    assert error.value.__context__.response.status_code == 409
    await first.aclose()


async def test_reader_that_leaves_takes_nothing_with_it(client):
    begun = await client.run_workflow_nowait("interactive")
    first = client.get_workflow_events(begun.handler_id)
    await anext(first)
    await first.aclose()
    await client.send_event(begun.handler_id, ExternalEvent(response="pong"))
    rest = [event.load_event() async for event in client.get_workflow_events(begun.handler_id, lock_timeout=10)]
    assert rest == [StopEvent(result="received: pong")]


async def test_second_reader_takes_over_when_the_first_leaves(client):
    begun = await client.run_workflow_nowait("interactive")
    first = client.get_workflow_events(begun.handler_id)
    await anext(first)
    second = asyncio.ensure_future(anext(client.get_workflow_events(begun.handler_id, lock_timeout=20)))
    await first.aclose()
    await client.send_event(begun.handler_id, ExternalEvent(response="pong"))
    assert (await second).value == {"result": "received: pong"}


@pytest.mark.parametrize(
    "event",
    [
        ExternalEvent(response="pong"),
        {"type": "ExternalEvent", "value": {"response": "pong"}},
        {"type": "ExternalEvent", "data": {"response": "pong"}},
        {"qualified_name": "conformance.ExternalEvent", "value": {"response": "pong"}},
    ],
)
@pytest.mark.parametrize("step", [None, "answer"])
async def test_event_is_answered_in_every_form(client, event, step):
    begun = await client.run_workflow_nowait("interactive")
    events = client.get_workflow_events(begun.handler_id)
    question = await anext(events)
    assert question.types == ["InputRequiredEvent"]
    assert question.load_event() == RequestedExternalEvent(message="ping")
    assert (await client.send_event(begun.handler_id, event, step=step)).status == "sent"
    assert [event.load_event() async for event in events] == [StopEvent(result="received: pong")]
    assert (await client.get_result(begun.handler_id)).result == "received: pong"
    await fails(client.send_event(begun.handler_id, event), 409, "^Workflow already completed$")


@pytest.mark.parametrize(
    ("event", "step", "text"),
    [
        ({"type": "ExternalEvent", "value": {"response": "x"}}, "nope", "^Failed to send event: Step nope does not exist$"),
        (
            {"type": "ExternalEvent", "value": {"response": "x"}},
            "ask",
            "^Failed to send event: Step ask does not accept ExternalEvent$",
        ),
        ({"type": "Nope", "value": {}}, None, "Nope.*ExternalEvent"),
        ({"type": "ExternalEvent", "value": {}}, None, "response"),
        ({}, None, "^Event data is required$"),
    ],
)
async def test_bad_event_is_400_and_the_run_goes_on(client, event, step, text):
    begun = await client.run_workflow_nowait("interactive")
    await fails(client.send_event(begun.handler_id, event, step=step), 400, text)
    await client.send_event(begun.handler_id, ExternalEvent(response="pong"))
    events = [event.type async for event in client.get_workflow_events(begun.handler_id)]
    assert events == ["RequestedExternalEvent", "StopEvent"]


async def test_step_that_asks_gets_its_answer(client):
    begun = await client.run_workflow_nowait("approval", start_event=ApprovalStart(subject="budget"))
    events = client.get_workflow_events(begun.handler_id)
    assert (await anext(events)).load_event() == ApprovalRequested(subject="budget")
    await client.send_event(begun.handler_id, ApprovalGiven(approved=True, by="me"))
    [stop] = [event async for event in events]
    assert stop.types == ["StopEvent"]
    assert stop.load_event() == ApprovalResult(subject="budget", approved=True, by="me")
    result = await client.get_result(begun.handler_id)
    assert result.result == {"subject": "budget", "approved": True, "by": "me"}


async def test_cancel_ends_a_waiting_run(client):
    waiting = asyncio.ensure_future(client.run_workflow("sleepy"))
    while not (handlers := (await client.get_handlers()).handlers):
        assert not waiting.done()
    await client.cancel_handler(handlers[0].handler_id)
    await fails(waiting, 500, "^Error running workflow: Workflow was cancelled$")


async def test_descriptions_have_the_form_that_the_client_package_declares(base_url):
    async with httpx.AsyncClient(base_url=base_url) as http:
        for name in (await http.get("/workflows")).json()["workflows"]:
            schema = WorkflowSchemaResponse.model_validate_json((await http.get(f"/workflows/{name}/schema")).text)
            events = WorkflowEventsListResponse.model_validate_json((await http.get(f"/workflows/{name}/events")).text)
            titles = [event["title"] for event in events.events]
            assert {schema.start["title"], schema.stop["title"]} <= set(titles)
            graph = WorkflowGraphResponse.model_validate_json(
                (await http.get(f"/workflows/{name}/representation")).text
            ).graph
            nodes = {node.id for node in graph.nodes}
            assert {edge.source for edge in graph.edges} | {edge.target for edge in graph.edges} <= nodes
