// Every request to the API: the token, the error as a sentence that says what to do, and what an answer tells about the access.

import { signal } from '@preact/signals';
import type { Problem } from './wire';

const TOKEN = 'joulegate.token';

/** Why the token is asked for: null when it is not. */
export const tokenWanted = signal<'missing' | 'wrong' | null>(null);

/** Whether changes are refused to this token; every answer tells. */
export const readOnly = signal(false);

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId = '',
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export function token(): string | null {
  return sessionStorage.getItem(TOKEN);
}

export function setToken(value: string | null): void {
  if (value) sessionStorage.setItem(TOKEN, value);
  else sessionStorage.removeItem(TOKEN);
  readOnly.value = false;
  tokenWanted.value = null;
}

/** A request that was answered well. Throws an ApiError otherwise; an abort throws as fetch does. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const bearer = token();
  if (bearer) headers.set('Authorization', `Bearer ${bearer}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'The service cannot be reached. Is it running, and is the network up?');
  }
  const role = response.headers.get('X-Joulegate-Role');
  if (role) readOnly.value = role === 'read';
  if (response.ok) return response;
  throw await refused(response, bearer);
}

export async function get<T>(path: string, abort?: AbortSignal): Promise<T> {
  return (await ask(path, abort ? { signal: abort } : {})).json() as Promise<T>;
}

export async function send<T>(method: 'PUT' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  const response = await ask(path, init);
  return (response.status === 204 ? null : await response.json()) as T;
}

/** What a person is told. */
export function inWords(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

async function refused(response: Response, bearer: string | null): Promise<ApiError> {
  const problem = await asProblem(response);
  if (response.status === 401) tokenWanted.value = bearer ? 'wrong' : 'missing';
  const retryAfter = Number(response.headers.get('Retry-After')) || null;
  const detail = problem?.detail ?? `The service answered ${response.status}.`;
  return new ApiError(response.status, problem?.code ?? 'unknown', detail, problem?.requestId, retryAfter);
}

async function asProblem(response: Response): Promise<Problem | null> {
  try {
    return (await response.json()) as Problem;
  } catch {
    return null;
  }
}
