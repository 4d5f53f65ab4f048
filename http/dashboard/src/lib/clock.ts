// The service's time, ticking once a second for everything that shows an age.

import { signal } from '@preact/signals';
import { clockOffset } from './stream';

/** Milliseconds since 1970 by the service's clock, to the second. */
export const now = signal(Date.now());

export const STALE_MS = 5 * 60_000;

setInterval(() => {
  now.value = serverNow();
}, 1000);

export function serverNow(): number {
  return Date.now() + clockOffset.value;
}

/** Whether a reading with this time is older than five intervals: the same rule as the service's, applied between two readings. */
export function isStale(timestamp: number): boolean {
  return now.value - timestamp > STALE_MS;
}
