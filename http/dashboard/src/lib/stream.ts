// Server-sent events over fetch, which can carry a token: parsed, resumed by Last-Event-ID, watched, and taken up again with back-off.

import { signal } from '@preact/signals';
import { ApiError, ask } from './api';

export type Connection =
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'reconnecting'; until: number; why: string }
  | { state: 'database-down' }
  | { state: 'locked' };

/** Where the stream stands. Only `live` may be shown as live. */
export const connection = signal<Connection>({ state: 'connecting' });

/** When something was heard last, in milliseconds of this clock. */
export const heardAt = signal(0);

/** How far the service's clock is ahead of this one, in milliseconds. */
export const clockOffset = signal(0);

const SILENCE_MS = 40_000; // the service sends a comment every 15 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

type Handler = (event: string, data: unknown) => void;

let path = '';
let handler: Handler = () => {};
let abort = new AbortController();
let lastId = '';
let attempts = 0;
let wake = () => {};
let isRunning = false;

/** Follows `wanted` from now on; another path than before begins anew, without resuming. */
export function follow(wanted: string, onEvent: Handler): void {
  handler = onEvent;
  if (wanted === path && isRunning) return;
  path = wanted;
  lastId = '';
  if (isRunning) restart();
  else void run();
}

/** Tries at once: the viewer is impatient, or has another token. */
export function restart(): void {
  attempts = 0;
  abort.abort();
  wake();
}

async function run(): Promise<void> {
  isRunning = true;
  addEventListener('online', restart);
  for (;;) {
    abort = new AbortController();
    try {
      await listen(path, abort);
      await pause('the connection ended');
    } catch (error) {
      if (abort.signal.aborted && attempts === 0) connection.value = { state: 'connecting' };
      else if (error instanceof ApiError && error.status === 401) await locked();
      else if (error instanceof ApiError && error.code.startsWith('database')) await pause(error.message, 'database-down');
      else await pause(error instanceof Error ? error.message : String(error), 'reconnecting', error);
    }
  }
}

async function listen(from: string, control: AbortController): Promise<void> {
  const watchdog = new Watchdog(control);
  try {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (lastId) headers['Last-Event-ID'] = lastId;
    const response = await ask(from, { headers, signal: control.signal });
    if (!response.body) return;
    await read(response.body, watchdog);
  } finally {
    watchdog.stop();
  }
}

async function read(body: ReadableStream<Uint8Array>, watchdog: Watchdog): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    watchdog.feed();
    heardAt.value = Date.now();
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) dispatch(block);
  }
}

function dispatch(block: string): void {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) event = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
    else if (line.startsWith('id:')) lastId = line.slice(3).trim();
  }
  if (data.length === 0) return;
  const content: unknown = JSON.parse(data.join('\n'));
  if (event === 'hello') welcomed(content as { time: string });
  if (event === 'database') connection.value = { state: (content as { state: string }).state === 'up' ? 'live' : 'database-down' };
  handler(event, content);
}

function welcomed(hello: { time: string }): void {
  attempts = 0;
  clockOffset.value = Date.parse(hello.time) - Date.now();
  connection.value = { state: 'live' };
}

/** Waits before the next attempt: twice as long each time, half of it by chance, so that a thousand viewers do not come at once. */
async function pause(why: string, state: 'reconnecting' | 'database-down' = 'reconnecting', error?: unknown): Promise<void> {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempts);
  attempts += 1;
  const asked = error instanceof ApiError && error.retryAfter ? error.retryAfter * 1000 : 0;
  const wait = Math.max(Math.min(asked, LONGEST_WAIT_MS), longest / 2) + (Math.random() * longest) / 2;
  connection.value = state === 'database-down' ? { state } : { state, why, until: Date.now() + wait };
  await sleep(wait);
}

async function locked(): Promise<void> {
  connection.value = { state: 'locked' };
  await sleep(2 ** 31 - 1);
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** Cuts a connection that has fallen silent: a half-open one would look live for ever. */
class Watchdog {
  private timer = 0;

  constructor(private readonly control: AbortController) {
    this.feed();
  }

  feed(): void {
    this.stop();
    this.timer = window.setTimeout(() => {
      attempts = Math.max(attempts, 1);
      this.control.abort();
    }, SILENCE_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
