// Runs: every call of the client but those about events.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  getEventsByHandlerId,
  getHandlers,
  getHandlersByHandlerId,
  getHealth,
  getResultsByHandlerId,
  getWorkflows,
  getWorkflowsByNameEvents,
  getWorkflowsByNameRepresentation,
  getWorkflowsByNameSchema,
  postEventsByHandlerId,
  postHandlersByHandlerIdCancel,
  postWorkflowsByNameRun,
  postWorkflowsByNameRunNowait,
} from "@llamaindex/workflows-client";

import { collect, withServer } from "./program.js";

const run = (client, name, body) => postWorkflowsByNameRun({ client, path: { name }, body });

/** Starts a run and does not wait for it; its handler id. */
async function begin(client, name, body = {}) {
  const { data, error } = await postWorkflowsByNameRunNowait({ client, path: { name }, body });
  assert.equal(error, undefined);
  return data.handler_id;
}

/** Reads the feed to its end, which is when the final state is stored. */
async function drain(client, handler_id) {
  const { stream } = await getEventsByHandlerId({ client, path: { handler_id }, sseMaxRetryAttempts: 1 });
  return collect(stream);
}

function assertFails({ data, error, response }, status, text) {
  assert.equal(response.status, status);
  assert.equal(data, undefined);
  assert.match(error, text);
}

const check = (name, body) => test(name, () => withServer(body));

check("health is healthy", async (client) => {
  assert.deepEqual((await getHealth({ client })).data, { status: "healthy" });
});

check("workflows are listed in order of registration", async (client) => {
  const { data } = await getWorkflows({ client });
  assert.deepEqual(data.workflows, [
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
  ]);
});

for (const [name, body, message] of [
  ["no body", undefined, "default"],
  ["an empty body", {}, "default"],
  ["fields", { start_event: { message: "hi" } }, "hi"],
  ["an envelope", { start_event: { type: "StartEvent", value: { message: "hi" } } }, "hi"],
  ["kwargs", { kwargs: { message: "hi" } }, "hi"],
  ["fields beyond ASCII", { start_event: { message: "snow ☃ 😀 \u2028" } }, "snow ☃ 😀 \u2028"],
]) {
  check(`a run takes ${name}`, async (client) => {
    const { data } = await run(client, "echo", body);
    assert.equal(data.status, "completed");
    assert.equal(data.result, `processed: ${message}`);
  });
}

check("every workflow gives its result", async (client) => {
  for (const [name, start_event, result] of [
    ["streaming", { count: 2, delay_ms: 0 }, "completed_2_events"],
    ["structured", { message: "hi" }, "hi"],
    ["fan_out", { items: [3, 1, 2] }, [9, 1, 4]],
    ["looping", { target: 3 }, 3],
    ["branching", { kind: "left" }, "left"],
    ["flaky", { failures: 2 }, 3],
    ["sleepy", { delay_ms: 1 }, "slept 1"],
  ]) {
    const { data } = await run(client, name, { start_event });
    assert.deepEqual(data.result, result, name);
  }
});

check("errors come with their status and text", async (client) => {
  assertFails(await run(client, "nope"), 404, /^Workflow not found$/);
  assertFails(await run(client, "error"), 500, /^Error running workflow: Test error$/);
  assertFails(await run(client, "structured"), 400, /^Validation error for 'start_event': .*message/s);
  assertFails(await run(client, "cumulative", { handler_id: "nope" }), 404, /^Handler not found$/);
  const path = { handler_id: "nope" };
  assertFails(await getResultsByHandlerId({ client, path }), 404, /^Handler not found$/);
  assertFails(await getHandlersByHandlerId({ client, path }), 404, /^Handler not found$/);
  assertFails(await postHandlersByHandlerIdCancel({ client, path }), 404, /^Handler not found$/);
  const event = { type: "ExternalEvent", value: { response: "x" } };
  assertFails(await postEventsByHandlerId({ client, path, body: { event } }), 404, /^Handler not found$/);
});

check("an Accept of JSON gives errors as JSON", async (client) => {
  const headers = { Accept: "application/json" };
  const { error } = await postWorkflowsByNameRun({ client, path: { name: "nope" }, body: {}, headers });
  assert.deepEqual(error, { detail: "Workflow not found" });
});

check("throwOnError throws the text", async (client) => {
  const call = postWorkflowsByNameRun({ client, path: { name: "nope" }, body: {}, throwOnError: true });
  await assert.rejects(call, (error) => error === "Workflow not found");
});

check("a handler is continued with its state", async (client) => {
  const first = (await run(client, "cumulative", { start_event: { increment: 5 } })).data;
  const { handler_id } = first;
  const second = (await run(client, "cumulative", { handler_id, start_event: { increment: 3 } })).data;
  assert.equal(first.result, "count: 5, runs: 1");
  assert.equal(second.result, "count: 8, runs: 2");
  assert.equal(second.handler_id, handler_id);
  assert.notEqual(second.run_id, first.run_id);
});

check("a context brings its state", async (client) => {
  const state = { state_type: "DictState", state_data: { _data: { test_param: '"from context"' } } };
  const { data } = await run(client, "echo", { context: { version: 1, state, is_running: false } });
  assert.equal(data.result, "processed: from context");
});

check("handlers are listed in order of creation and filtered", async (client) => {
  const completed = (await run(client, "echo")).data.handler_id;
  const failed = await begin(client, "error");
  await drain(client, failed);
  const running = await begin(client, "sleepy");
  const ids = async (query) => (await getHandlers({ client, query })).data.handlers.map((each) => each.handler_id);
  assert.deepEqual(await ids(), [completed, failed, running]);
  assert.deepEqual(await ids({ status: ["running"] }), [running]);
  assert.deepEqual(await ids({ status: ["failed", "completed"] }), [completed, failed]);
  assert.deepEqual(await ids({ workflow_name: ["sleepy", "echo"] }), [completed, running]);
  assert.deepEqual(await ids({ workflow_name: ["echo"], status: ["running"] }), []);
});

check("a result is 202 while it runs, 200 when completed, 500 when failed", async (client) => {
  const running = await begin(client, "interactive");
  const pending = await getResultsByHandlerId({ client, path: { handler_id: running } });
  assert.equal(pending.response.status, 202);
  assert.equal(pending.data.status, "running");
  const completed = (await run(client, "echo")).data;
  const result = await getResultsByHandlerId({ client, path: { handler_id: completed.handler_id } });
  assert.equal(result.response.status, 200);
  assert.deepEqual(result.data, completed);
  const failed = await begin(client, "error");
  await drain(client, failed);
  const path = { handler_id: failed };
  assertFails(await getResultsByHandlerId({ client, path }), 500, /^Error getting workflow result: Test error$/);
});

check("a single handler has its stop event as an envelope", async (client) => {
  const { handler_id } = (await run(client, "echo")).data;
  const completed = await getHandlersByHandlerId({ client, path: { handler_id } });
  assert.equal(completed.response.status, 200);
  assert.deepEqual(completed.data.result, {
    value: { result: "processed: default" },
    qualified_name: "workflows.events.StopEvent",
    type: "StopEvent",
    types: null,
  });
  const running = await begin(client, "sleepy");
  assert.equal((await getHandlersByHandlerId({ client, path: { handler_id: running } })).response.status, 202);
  await postHandlersByHandlerIdCancel({ client, path: { handler_id: running } });
  const cancelled = await getHandlersByHandlerId({ client, path: { handler_id: running } });
  assert.equal(cancelled.response.status, 500);
  assert.equal(cancelled.error.status, "cancelled");
});

check("cancel stops and purge deletes", async (client) => {
  const path = { handler_id: await begin(client, "sleepy") };
  assert.deepEqual((await postHandlersByHandlerIdCancel({ client, path })).data, { status: "cancelled" });
  assert.equal((await getHandlers({ client })).data.handlers[0].status, "cancelled");
  const purged = await postHandlersByHandlerIdCancel({ client, path, query: { purge: true } });
  assert.deepEqual(purged.data, { status: "deleted" });
  assert.deepEqual((await getHandlers({ client })).data.handlers, []);
});

check("descriptions tell each workflow's events and graph", async (client) => {
  const { data } = await getWorkflows({ client });
  for (const name of data.workflows) {
    const schema = (await getWorkflowsByNameSchema({ client, path: { name } })).data;
    const { events } = (await getWorkflowsByNameEvents({ client, path: { name } })).data;
    const titles = events.map((event) => event.title);
    assert.deepEqual(titles, [...titles].sort());
    assert.ok(titles.includes(schema.start.title) && titles.includes(schema.stop.title), name);
    const { graph } = (await getWorkflowsByNameRepresentation({ client, path: { name } })).data;
    const nodes = new Set(graph.nodes.map((node) => node.id));
    assert.ok(graph.edges.every((edge) => nodes.has(edge.source) && nodes.has(edge.target)), name);
    assert.equal(graph.name, name);
  }
  const path = { name: "nope" };
  assertFails(await getWorkflowsByNameSchema({ client, path }), 404, /^Workflow not found$/);
  assertFails(await getWorkflowsByNameRepresentation({ client, path }), 404, /^Workflow not found$/);
  assertFails(await getWorkflowsByNameEvents({ client, path }), 404, /not found$/);
});

check("a hundred runs at once all end", async (client) => {
  const runs = Array.from({ length: 100 }, (_, n) => run(client, "echo", { start_event: { message: `${n}` } }));
  const results = (await Promise.all(runs)).map(({ data }) => data.result);
  assert.deepEqual(results, Array.from({ length: 100 }, (_, n) => `processed: ${n}`));
});
