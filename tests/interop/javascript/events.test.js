// Events: the client reads them as SSE, and comes back with Last-Event-ID when a stream breaks off.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  getEventsByHandlerId,
  getHandlers,
  postEventsByHandlerId,
  postHandlersByHandlerIdCancel,
  postWorkflowsByNameRunNowait,
} from "@llamaindex/workflows-client";

import { collect, withServer } from "./program.js";

/** Starts a run; the path of its calls. */
async function begin(client, name, start_event = {}) {
  const { data, error } = await postWorkflowsByNameRunNowait({ client, path: { name }, body: { start_event } });
  assert.equal(error, undefined);
  return { handler_id: data.handler_id };
}

/** Its events. Without a bound the client would ask for ever after a feed that was read to its end. */
async function follow(client, path, options = {}) {
  return (await getEventsByHandlerId({ client, path, sseMaxRetryAttempts: 1, ...options })).stream;
}

const pong = { type: "ExternalEvent", value: { response: "pong" } };

/** A `fetch` that breaks the first response off after `bytes` bytes, and notes the headers of every request. */
function breakingFetch(bytes, requests) {
  return async (request) => {
    requests.push(request.headers);
    const response = await fetch(request);
    if (requests.length > 1) return response;
    let left = bytes;
    const cut = new TransformStream({
      transform(chunk, controller) {
        controller.enqueue(chunk.subarray(0, left));
        left -= chunk.length;
        if (left <= 0) controller.error(new Error("the connection broke"));
      },
    });
    return new Response(response.body.pipeThrough(cut), response);
  };
}

const check = (name, body) => test(name, () => withServer(body));

check("events arrive in order, as SSE without being asked for", async (client) => {
  const path = await begin(client, "streaming", { count: 3, delay_ms: 0 });
  const ids = [];
  const events = await collect(await follow(client, path, { onSseEvent: (event) => ids.push(Number(event.id)) }));
  assert.deepEqual(
    events.map(({ type, value }) => [type, value]),
    [
      ["StreamEvent", { message: "event_0", sequence: 0 }],
      ["StreamEvent", { message: "event_1", sequence: 1 }],
      ["StreamEvent", { message: "event_2", sequence: 2 }],
      ["StopEvent", { result: "completed_3_events" }],
    ],
  );
  assert.deepEqual(
    ids,
    [...ids].sort((a, b) => a - b),
  );
  assert.equal(new Set(ids).size, 4);
});

check("ten thousand events arrive", async (client) => {
  const path = await begin(client, "streaming", { count: 10_000, delay_ms: 0 });
  const events = await collect(await follow(client, path));
  assert.equal(events.length, 10_001);
  assert.ok(events.slice(0, -1).every((event, n) => event.value.sequence === n));
});

check("internal events and bare names come when asked for", async (client) => {
  const path = await begin(client, "echo");
  const query = { include_internal: true, include_qualified_name: false };
  const events = await collect(await follow(client, path, { query }));
  assert.deepEqual(
    events.map((event) => [event.type, event.value.step_state, event.qualified_name]),
    [
      ["StepStateChanged", "running", null],
      ["StepStateChanged", "not_running", null],
      ["StopEvent", undefined, null],
    ],
  );
});

check("a question is answered and the run ends", async (client) => {
  const path = await begin(client, "interactive");
  const events = [];
  for await (const event of await follow(client, path)) {
    events.push(event.type);
    if (event.type === "RequestedExternalEvent") {
      assert.deepEqual(event.types, ["InputRequiredEvent"]);
      const { data } = await postEventsByHandlerId({ client, path, body: { event: pong, step: "answer" } });
      assert.deepEqual(data, { status: "sent" });
    }
  }
  assert.deepEqual(events, ["RequestedExternalEvent", "StopEvent"]);
  const [handler] = (await getHandlers({ client })).data.handlers;
  assert.equal(handler.result, "received: pong");
  const late = await postEventsByHandlerId({ client, path, body: { event: pong } });
  assert.equal(late.response.status, 409);
  assert.equal(late.error, "Workflow already completed");
});

check("an event may come as JSON text", async (client) => {
  const path = await begin(client, "interactive");
  const { data } = await postEventsByHandlerId({ client, path, body: { event: JSON.stringify(pong) } });
  assert.deepEqual(data, { status: "sent" });
  assert.equal((await collect(await follow(client, path))).at(-1).value.result, "received: pong");
});

check("bad events say what is wrong", async (client) => {
  const path = await begin(client, "interactive");
  for (const [body, text] of [
    [{ event: pong, step: "nope" }, /^Failed to send event: Step nope does not exist$/],
    [{ event: pong, step: "ask" }, /^Failed to send event: Step ask does not accept ExternalEvent$/],
    [{ event: {} }, /^Event data is required$/],
    [{ event: { type: "Nope", value: {} } }, /Nope/],
  ]) {
    const { error, response } = await postEventsByHandlerId({ client, path, body });
    assert.equal(response.status, 400);
    assert.match(error, text);
  }
});

check("a stream that breaks off is taken up where it ended", async (client) => {
  const path = await begin(client, "streaming", { count: 20, delay_ms: 0 });
  const requests = [];
  const stream = await follow(client, path, {
    fetch: breakingFetch(1_000, requests),
    sseMaxRetryAttempts: 3,
    sseDefaultRetryDelay: 1,
  });
  const events = await collect(stream);
  assert.ok(requests.length === 2 && /^\d+$/.test(requests[1].get("Last-Event-ID")));
  assert.deepEqual(
    events.map((event) => event.value.sequence ?? event.value.result),
    [...Array(20).keys(), "completed_20_events"],
  );
});

check("the log is read from any number, by any number of readers", async (client) => {
  const path = await begin(client, "streaming", { count: 3, delay_ms: 0 });
  const all = await collect(await follow(client, path, { query: { after_sequence: -1 } }));
  const again = await collect(await follow(client, path, { query: { after_sequence: -1 } }));
  assert.equal(all.length, 4);
  assert.deepEqual(again, all);
  let last;
  const onSseEvent = (event) => (last = Number(event.id));
  await collect(await follow(client, path, { query: { after_sequence: -1 }, onSseEvent }));
  const tail = await collect(await follow(client, path, { query: { after_sequence: last - 1 } }));
  assert.deepEqual(tail, all.slice(-1));
});

check("a reader that aborts frees the feed", async (client) => {
  const path = await begin(client, "interactive");
  const abort = new AbortController();
  for await (const event of await follow(client, path, { signal: abort.signal })) {
    assert.equal(event.type, "RequestedExternalEvent");
    abort.abort();
  }
  await postEventsByHandlerId({ client, path, body: { event: pong } });
  const rest = await collect(await follow(client, path, { query: { acquire_timeout: 20 } }));
  assert.deepEqual(
    rest.map((event) => event.type),
    ["StopEvent"],
  );
});

check("a feed read to its end is empty for the next reader", async (client) => {
  const path = await begin(client, "echo");
  assert.equal((await collect(await follow(client, path))).length, 1);
  const errors = [];
  assert.deepEqual(await collect(await follow(client, path, { onSseError: (error) => errors.push(error) })), []);
  assert.match(String(errors), /No body in SSE response/);
});

check("the feed of a cancelled run ends", async (client) => {
  const path = await begin(client, "sleepy");
  await postHandlersByHandlerIdCancel({ client, path });
  const events = await collect(await follow(client, path));
  assert.deepEqual(
    events.map(({ type, value }) => [type, value]),
    [["StopEvent", { status: "cancelled", error: null, step: null }]],
  );
});
