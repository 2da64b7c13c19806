// Starts the conformance program for one test and ends it afterwards.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { createClient, createConfig } from "@llamaindex/workflows-client";

const READY = "steprill listening on ";

/** Calls `test` with a client of a server of its own, and with the server's address. */
export async function withServer(test) {
  const program = process.env.CONFORMANCE_PROGRAM;
  if (!program) throw new Error("CONFORMANCE_PROGRAM must name the conformance program");
  const child = spawn(program, ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  try {
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    if (!line.startsWith(READY)) throw new Error(`expected "${READY}…", got ${JSON.stringify(line)}`);
    const baseUrl = line.slice(READY.length);
    await test(createClient(createConfig({ baseUrl })), baseUrl);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

/** All that an async iterator gives. */
export async function collect(stream) {
  const all = [];
  for await (const each of stream) all.push(each);
  return all;
}
